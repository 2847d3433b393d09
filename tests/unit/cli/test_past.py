"""`jailctl jail history` and `jail diff`: what was done with a jail, and what differs, for people and programs."""

from __future__ import annotations

import json
from typing import Any

from jaild.cli.commands.jail_past import merged
from jaild.cli.output.exits import Exit
from jaild.rpc.moments import duration, timestamp
from jaild.v1 import contents_pb2, histories_pb2
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


def at(second: int, kind: str, **fields: Any) -> histories_pb2.HistoryEntry:
    return histories_pb2.HistoryEntry(kind=kind, time=timestamp(float(second)), **fields)


def test_what_several_hosts_tell_of_is_told_once_by_the_one_that_did_it() -> None:
    moved = at(5, "migrate", migration="migrations/m", operation="operations/3")
    alpha = [
        moved,
        at(4, "deploy", to_generation=2, base="bases/b", operation="operations/2"),
        at(1, "create", to_generation=1, base="bases/b", operation="operations/1"),
    ]
    beta = [
        at(9, "rollback", to_generation=1, base="bases/b", operation="operations/9"),
        at(8, "rollback", to_generation=1, base="bases/b", operation="operations/8"),
        at(7, "exec-in-jail"),
        at(6, "exec-in-jail"),
        at(5, "migrate", migration="migrations/m"),
        at(3, "deploy", to_generation=2, base="bases/b"),
        at(1, "create", to_generation=1, base="bases/b"),
    ]
    rows = merged([*(("beta", each) for each in beta), *(("alpha", each) for each in alpha)])
    assert [(name, entry.kind, entry.time.seconds) for name, entry in rows] == [
        ("beta", "rollback", 9),
        ("beta", "rollback", 8),
        ("beta", "exec-in-jail", 7),
        ("beta", "exec-in-jail", 6),
        ("alpha", "migrate", 5),
        ("alpha", "deploy", 4),
        ("alpha", "create", 1),
    ]


def test_all_contexts_are_asked_and_one_that_knows_nothing_of_the_jail_is_no_failure(
    jailctl: Run, daemon: Daemon
) -> None:
    for name, address in (("here", daemon.address), ("away", "/nowhere.sock")):
        assert jailctl("context", "add", name, "--address", address).exit_code == 0
    daemon.history = [entry()]
    result = jailctl("jail", "history", "web", "-A")
    assert result.stdout.splitlines()[1].split()[0] == "here"
    assert ("away" in result.stderr, result.exit_code) == (True, Exit.UNAVAILABLE)
    assert jailctl("context", "rm", "away").exit_code == 0
    (told,) = json.loads(jailctl("jail", "history", "web", "-A", "-o", "json").stdout)["entries"]
    assert told["context"] == "here"


def test_a_jail_that_no_host_knows_of_is_not_found(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("context", "add", "here", "--address", daemon.address).exit_code == 0
    assert jailctl("jail", "history", "wbe", "-A").exit_code == Exit.NOT_FOUND
    assert jailctl("context", "add", "away", "--address", "/nowhere.sock").exit_code == 0
    assert jailctl("jail", "history", "wbe", "-A").exit_code == Exit.UNAVAILABLE


def test_a_comparison_is_told_in_sections_with_etc_as_a_diff(jailctl: Run, daemon: Daemon) -> None:
    change, kinds = contents_pb2.ContentChange, contents_pb2.FileChange
    daemon.comparison = contents_pb2.Comparison(
        to=2,
        from_base="bases/deb-1",
        to_base="bases/deb-2",
        spec=[change(name="quota", before="1G", after="2G")],
        packages=[change(name="libssl3", before="1", after="2"), change(name="new", after="1")],
        libraries=[change(name="liba.so", before="")],
        release_files=[kinds(path="/usr/local/bin/run", change=kinds.CHANGE_CHANGED)],
        release_file_counts=contents_pb2.FileCounts(changed=1),
        base_file_counts=contents_pb2.FileCounts(added=1200, removed=3),
        configuration=[
            kinds(path="/etc/issue", change=kinds.CHANGE_CHANGED, diff="--- a\n+++ b\n@@ -1 +1 @@\n-old\n+n\x1bew\n"),
            kinds(path="/etc/shadow", change=kinds.CHANGE_CHANGED, reason="private"),
        ],
        notes=["not compared"],
    )
    setattr(daemon.comparison, "from", 1)  # a keyword of Python's
    said = jailctl("jail", "diff", "web", "1", "2").stdout
    assert said.splitlines() == [
        "web: generation 1 to 2",
        "base: deb-1 to deb-2",
        "spec:",
        "  ~ quota  1G to 2G",
        "packages:",
        "  ~ libssl3  1 to 2",
        "  + new  1",
        "libraries:",
        "  - liba.so  version not known",
        "files of the release (1 changed):",
        "  ~ /usr/local/bin/run",
        "files of the base (1,200 new, 3 gone)",
        "configuration:",
        "  ~ /etc/issue",
        "    --- a",
        "    +++ b",
        "    @@ -1 +1 @@",
        "    -old",
        "    +n\\x1bew",
        "  ~ /etc/shadow  (private)",
        "note: not compared",
    ]
    request = daemon.requests[-1]
    assert (request.name, getattr(request, "from"), request.to) == ("jails/web", 1, 2)


def test_without_numbers_the_daemon_chooses_the_generations(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("jail", "diff", "web").exit_code == 0
    assert (getattr(daemon.requests[-1], "from"), daemon.requests[-1].to) == (0, 0)
