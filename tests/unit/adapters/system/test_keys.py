"""Keys out of files and commands: none that others can read, and nothing of one in an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.system.keys import ConfiguredKeys, KeySource
from jaild.adapters.system.process import ProcessRunner
from jaild.config import load
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError, NotFoundError
from jaild.model.jails.keys import as_told

_KEY = b"correct horse"


def keys(**sources: KeySource) -> ConfiguredKeys:
    return ConfiguredKeys(ProcessRunner(), sources)


async def test_a_file_is_a_key_if_nobody_but_its_owner_reads_it(tmp_path: Path) -> None:
    (file := tmp_path / "key").write_bytes(_KEY)
    file.chmod(0o600)
    assert await keys(a=KeySource(file=file)).read("a") == _KEY
    for mode in (0o640, 0o604, 0o620):
        file.chmod(mode)
        with pytest.raises(FailedPreconditionError, match="chmod 600"):
            await keys(a=KeySource(file=file)).read("a")
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FailedPreconditionError) as refused:
            await keys(a=KeySource(file=path)).read("a")
        assert refused.value.reason == "KEY_UNREADABLE"


async def test_what_a_command_prints_is_a_key_and_stands_in_no_error() -> None:
    assert await keys(a=KeySource(command=("printf", "%s", "correct horse"))).read("a") == _KEY
    broken = [
        KeySource(command=("sh", "-c", "echo correct horse; echo correct horse >&2; exit 1")),
        KeySource(command=("/no/such/program",)),
        KeySource(command=("sh", "-c", "echo correct horse; exec sleep 60"), timeout=0.2),
    ]
    for source in broken:
        with pytest.raises(JaildError) as refused:
            await keys(a=source).read("a")
        error = refused.value
        assert error.reason == "KEY_UNREADABLE"
        assert "correct" not in f"{error.message} {error.hint} {error.detail}"


async def test_a_name_that_the_configuration_has_not_is_told() -> None:
    with pytest.raises(NotFoundError) as refused:
        await keys().read("customers")
    assert refused.value.reason == "KEY_SOURCE_MISSING"


@pytest.mark.parametrize("source", ["{}", "{file: key}", "{file: /a, command: [b]}", "{env: A}"])
def test_a_source_is_either_an_absolute_path_or_a_command(tmp_path: Path, source: str) -> None:
    (tmp_path / "jaild.yaml").write_text(f"keys: {{a: {source}}}")
    with pytest.raises(InvalidArgumentError):
        load(tmp_path / "jaild.yaml", {})


def test_a_passphrase_is_a_line_and_a_raw_key_every_byte() -> None:
    assert [as_told(each, "passphrase") for each in (_KEY, _KEY + b"\n", _KEY + b"\r\nmore\n")] == [_KEY + b"\n"] * 3
    assert as_told(b"\n\r\0", "raw") == b"\n\r\0"


def test_sources_are_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "jaild.yaml").write_text("keys: {a: {file: /k}, b: {command: [vault, read], timeout: 5}}")
    found = load(tmp_path / "jaild.yaml", {}).keys
    assert found["a"].file == Path("/k")
    assert (found["b"].command, found["b"].timeout) == (("vault", "read"), 5.0)
