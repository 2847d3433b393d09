"""`jailctl jail history`: what was done with a jail, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

from jaild.rpc.moments import duration, timestamp
from jaild.v1 import histories_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon


def entry(kind: str = "deploy", **fields: Any) -> histories_pb2.HistoryEntry:
    return histories_pb2.HistoryEntry(kind=kind, time=timestamp(1e9), actor="ada", outcome="done", **fields)


def test_the_history_says_who_did_what_and_for_how_long_it_was_down(jailctl: Run, daemon: Daemon) -> None:
    daemon.history = [
        entry(
            downtime=duration(0.25),
            predicted_downtime=duration(1.5),
            predicted_at_least=True,
            from_generation=1,
            to_generation=2,
            base="bases/deb-1",
            release="apps/web/releases/2",
        ),
        entry("migrate", source="alpha", target="beta"),
    ]
    head, *_ = jailctl("jail", "history", "web").stdout.splitlines()
    assert head.split() == ["WHEN", "KIND", "BY", "RESULT", "DOWNTIME", "NOTE"]
    _, deployed, moved = jailctl("jail", "history", "web", "--wide").stdout.splitlines()
    for part in ("2001-09-09", "deploy", "ada", "done", "1 to 2", "250 ms", "at least 1.50 s", "deb-1 web/2"):
        assert part in deployed
    assert "alpha to beta" in moved
    assert daemon.requests[-1].parent == "jails/web"


def test_programs_get_the_entries_as_the_api_has_them(jailctl: Run, daemon: Daemon) -> None:
    daemon.history = [entry(operation="operations/op-1", request_id="r")]
    (told,) = json.loads(jailctl("jail", "history", "web", "-o", "json").stdout)["entries"]
    assert (told["operation"], told["requestId"], told["time"]) == ("operations/op-1", "r", "2001-09-09T01:46:40Z")
