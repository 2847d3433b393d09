"""Events as input of programs, which are real."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import JaildError
from jaild.model.sinks.settings import SinkSettings
from jaild.ports.sinks import Sink
from tests.unit.adapters.sinks.test_syslog import NOTICE


def sink(*argv: str, timeout: float = 10.0) -> Sink:
    settings = msgspec.convert({"command": {"argv": argv, "timeout": timeout}}, SinkSettings)
    return SinkAdapters(ProcessRunner()).make(settings)


async def test_a_program_gets_one_line_of_json_and_its_words_as_they_are(tmp_path: Path) -> None:
    to = tmp_path / "a file; with $words"
    await sink("tee", str(to)).deliver(NOTICE)
    text = to.read_text()
    assert text.count("\n") == 1
    assert json.loads(text)["kind"] == "jail.exited"


async def test_one_that_reads_nothing_may_have_taken_it_all_the_same() -> None:
    await sink("true").deliver(NOTICE)


@pytest.mark.parametrize(
    ("argv", "timeout", "reason"),
    [
        (("false",), 10.0, "COMMAND_FAILED"),
        (("/nonexistent/program",), 10.0, "PROGRAM_MISSING"),
        (("sleep", "1000"), 0.2, "COMMAND_TIMEOUT"),
    ],
)
async def test_another_status_a_missing_program_and_one_that_does_not_end_have_not(
    argv: tuple[str, ...], timeout: float, reason: str
) -> None:
    with pytest.raises(JaildError) as failed:
        await sink(*argv, timeout=timeout).deliver(NOTICE)
    assert failed.value.reason == reason


@pytest.mark.parametrize(
    ("argv", "timeout"),
    [
        (("false", "s3cret"), 10.0),
        (("sh", "-c", "echo no s3cret >&2; exit 1"), 10.0),
        (("sleep", "1000"), 0.2),
    ],
)
async def test_of_what_was_not_taken_only_the_programs_name_is_told(argv: tuple[str, ...], timeout: float) -> None:
    """Viewers see the error, and its arguments may be a token's."""
    with pytest.raises(JaildError) as failed:
        await sink(*argv, timeout=timeout).deliver(NOTICE)
    assert argv[0] in failed.value.message
    assert argv[-1] not in failed.value.message
    assert failed.value.hint
