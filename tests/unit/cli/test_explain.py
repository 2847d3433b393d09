"""`jailctl explain`."""

from __future__ import annotations

import json

from click.testing import CliRunner

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
