"""One command for many jails: by their names, their labels or a filter; and waiting for one."""

from __future__ import annotations

import grpc
import pytest

from jaild.cli.commands import jail_life
from jaild.cli.output.exits import Exit
from jaild.v1 import jails_pb2, stats_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status

WEB, DB = (jails_pb2.Jail(name=f"jails/{name}", state=jails_pb2.Jail.STATE_STOPPED) for name in ("web", "db"))


def test_all_are_asked_for_and_one_that_fails_keeps_none_from_it(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [
        operation(WEB, kind="stop"),
        status(
            "FAILED_PRECONDITION", "JAIL_MOVED", "jail db moved to beta", hint="jailctl --context beta jail show db"
        ),
        operation(WEB, kind="stop"),
    ]
    ended = jailctl("jail", "stop", "web", "db", "mail", "web", "--request-id", "r")
    asked = [(request.name, request.request_id) for request in daemon.asked(jails_pb2.StopJailRequest)]
    assert asked == [("jails/web", "r/web"), ("jails/db", "r/db"), ("jails/mail", "r/mail")]
    assert ended.exit_code == Exit.REFUSED
    assert "jail db moved to beta" in ended.stderr
    assert "1 of 3 failed" in ended.stderr
    assert ended.stderr.count("jailctl context add beta --address HOST:PORT") == 1
    assert ended.stdout.count("stop jails/web") == 2


def test_they_are_chosen_by_labels_and_a_filter(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [WEB, DB]
    daemon.answers = [operation(WEB, kind="stop"), operation(DB, kind="stop")]
    choice = ("-l", 'team=c"dn,canary', "-l", "stage!=test", "--filter", "base = b1")
    assert jailctl("jail", "stop", *choice).exit_code == 0
    (asked,) = daemon.asked(jails_pb2.ListJailsRequest)
    assert asked.filter == ('labels.team = "c\\"dn" AND labels.canary : * AND labels.stage != "test" AND (base = b1)')
    assert [request.name for request in daemon.asked(jails_pb2.StopJailRequest)] == ["jails/web", "jails/db"]
    for wrong in ((), ("web", "-l", "team=cdn")):
        assert jailctl("jail", "stop", *wrong).exit_code == Exit.USAGE
    daemon.jails = []
    nobody = jailctl("jail", "stop", *choice)
    assert (nobody.exit_code, nobody.stderr) == (0, "no jail is like that\n")


@pytest.mark.usefixtures("pauses")
def test_a_jail_is_waited_for(jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def event(_api: object, name: str, seconds: float) -> None:
        looks.append((name, seconds <= 2.0))
        daemon.jails = [WEB] if not daemon.jails else []

    monkeypatch.setattr(jail_life, "next_event", event)
    assert jailctl("jail", "wait", "web", "--for", "state = stopped").exit_code == 0
    assert looks == [("jails/web", True)]
    assert daemon.asked(jails_pb2.ListJailsRequest)[0].filter == 'name = "web" AND (state = stopped)'
    assert jailctl("jail", "wait", "web", "--for", "deleted").exit_code == 0
    assert daemon.asked(jails_pb2.ListJailsRequest)[-1].filter == 'name = "web"'
    wrong = jailctl("jail", "wait", "web", "--for", "foo")
    assert (wrong.exit_code, "it ends where =, != or : is wanted" in wrong.stderr) == (Exit.INVALID, True)
    late = jailctl("jail", "wait", "web", "--timeout", "0")
    assert (late.exit_code, "not so within 0 ms" in late.stderr) == (Exit.TIMED_OUT, True)
    daemon.away.append(grpc.StatusCode.UNAVAILABLE)
    silent = jailctl("jail", "wait", "web", "--timeout", "0")
    assert silent.exit_code == Exit.UNAVAILABLE  # it is not known how the jail is


def test_a_daemon_that_is_restarted_is_waited_for_with_a_line_when_it_goes_and_one_when_it_is_back(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    happens = iter((lambda: daemon.away.extend([grpc.StatusCode.UNAVAILABLE] * 3), lambda: daemon.jails.append(WEB)))
    monkeypatch.setattr(jail_life, "next_event", lambda *_: next(happens)())
    ended = jailctl("jail", "wait", "web")
    waits, away = "waiting: jail web: state = running", "reconnecting: the connection to the daemon broke"
    assert (ended.exit_code, ended.stderr.splitlines()) == (0, [waits, away, waits])
    assert len(pauses) == 3


def test_lists_of_what_jails_have_are_chosen_by_labels_too(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [WEB]
    daemon.stats = [[stats_pb2.JailStats(name="jails/web")]]
    assert jailctl("stats", "-l", "team=cdn", "--interval", "0").exit_code == 0
    assert [*daemon.asked(stats_pb2.ListJailStatsRequest)[0].names] == ["jails/web"]
    assert len(jailctl("volume", "ls", "-l", "team=cdn", "--no-headers").stdout.splitlines()) == 2
    daemon.jails = []
    assert jailctl("stats", "-l", "team=cdn", "--no-headers").stdout == ""
    assert jailctl("volume", "ls", "--filter", "base = b", "--no-headers").stdout == ""
    assert len(daemon.asked(stats_pb2.ListJailStatsRequest)) == 1  # none is not all
    for wrong in (
        ("stats", "web", "-l", "a"),
        ("volume", "ls", "web", "-l", "a"),
        ("stats", "-l", "a", "-o", "collectd"),
    ):
        assert jailctl(*wrong).exit_code == Exit.USAGE
