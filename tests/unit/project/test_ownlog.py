"""How the daemon writes its log: lines of JSON, or lines for people; never both, and an exception in one piece."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jaild import config
from jaild.model.errors import InvalidArgumentError

SAY = """
import sys, logging, structlog
from jaild import ownlog
from jaild.rpc import correlation
ownlog.write(ownlog.Log(format=sys.argv[1], level=sys.argv[2]))
correlation.bind(operation="4f1c")
log = structlog.get_logger("x")
log.debug("not said")
log.info("queued -> plan", of="operation", name="a b\\nc")
logging.getLogger("grpc").warning("of a library")
try:
    raise ValueError("no")
except ValueError:
    log.exception("failed")
"""


def said(form: str, level: str = "info") -> list[str]:
    done = subprocess.run([sys.executable, "-c", SAY, form, level], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_is_one_object_a_line_with_the_ids_that_are_bound() -> None:
    first, library, last = said("json")
    line = json.loads(first)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "queued -> plan",
        "level": "info",
        "of": "operation",
        "name": "a b\nc",
        "operation": "4f1c",
    }
    assert library == "of a library"
    assert "ValueError: no" in json.loads(last)["exception"]
    assert len(said("json", "error")) == 1


def test_pretty_is_for_people() -> None:
    lines = said("pretty")
    assert "queued -> plan" in lines[0]
    assert "operation=4f1c" in lines[0]
    assert "\x1b" not in "".join(lines)  # a file is no terminal
    assert any("ValueError" in line for line in lines)


@pytest.mark.parametrize("wrong", ["log: {format: xml}", "log: {level: loud}", "log: pretty"])
def test_another_form_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "jaild.yaml").write_text(wrong)
    with pytest.raises(InvalidArgumentError, match="log"):
        config.load(tmp_path / "jaild.yaml", {})
