"""`jailctl explain`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

from jaild.cli.client import reasons
from jaild.cli.main import command
from jaild.cli.output.exits import Exit


def test_a_field_is_explained_without_a_daemon() -> None:
    told = CliRunner().invoke(command, ["explain", "spec.volumes"]).stdout
    for part in (
        "spec.volumes: a mapping of names to objects with path",
        "as in: volumes: {db: {path: /var/db/redis, quota: 20G, recordsize: 16K}}",
        "path        a text, required",
        "Bytes, or 10M, 2G, 1T.",
    ):
        assert part in told
    assert "readiness" in CliRunner().invoke(command, ["explain"]).stdout
    found = json.loads(CliRunner().invoke(command, ["explain", "manifest.users", "-o", "json"]).stdout)
    assert (found["form"], found["fields"][0]["path"]) == (
        "a list of objects with name, uid, gid",
        "manifest.users.name",
    )


def test_a_field_that_there_is_not_is_told_with_those_there_are() -> None:
    refused = CliRunner().invoke(command, ["explain", "spec.limits.cpu"])
    assert refused.exit_code == Exit.NOT_FOUND
    assert "spec.limits.cpus" in refused.stderr
    assert "spec, manifest" in CliRunner().invoke(command, ["explain", "recipe"]).stderr


def test_the_reason_of_an_error_is_explained_as_the_page_of_errors_has_it() -> None:
    told = CliRunner().invoke(command, ["explain", "other_axis"]).stdout
    assert told == (
        "OTHER_AXIS: a configure names another base, channel or release\n"
        "  what to do: upgrade for the base, deploy for the release\n"
    )
    found = json.loads(CliRunner().invoke(command, ["explain", "JAIL_NOT_RUNNING", "-o", "json"]).stdout)
    assert (found["code"], found["remedy"]) == ("JAIL_NOT_RUNNING", "start it")
    page = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
    codes = re.findall(r"^\| `([A-Z0-9_*]+)`", page, re.MULTILINE)
    assert [code for code in codes if reasons.find(code) is None] == []
    assert reasons.find("PEER_UNREACHABLE").code == "PEER_UNREACHABLE"  # type: ignore[union-attr]
    assert all(reason.happened for reason in reasons.known().values())


def test_a_reason_that_there_is_not_is_told_with_the_nearest() -> None:
    refused = CliRunner().invoke(command, ["explain", "MISING_LIBARY"])
    assert (refused.exit_code, "MISSING_LIBRARY" in refused.stderr) == (Exit.NOT_FOUND, True)
