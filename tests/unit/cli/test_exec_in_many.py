"""One command in several jails: whose line is whose, how it ended in each, and a console."""

from __future__ import annotations

import json

import pytest

from jaild.cli.client import execution
from jaild.cli.commands import jail_exec
from jaild.cli.output.exits import Exit
from jaild.v1 import jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon

_JAIL = jails_pb2.Jail
WEB, MAIL = (_JAIL(name=f"jails/{name}", state=_JAIL.STATE_RUNNING) for name in ("web", "mail"))
GONE = _JAIL(name="jails/gone", state=_JAIL.STATE_MOVED)


def test_lines_have_the_name_of_their_jail_and_copies_of_other_hosts_jails_are_passed_over(
    jailctl: Run, daemon: Daemon
) -> None:
    daemon.jails = [WEB, MAIL, GONE]
    ended = jailctl("jail", "exec", "-l", "team=cdn", "-u", "root", "--", "echo", "-u", "0")
    assert ended.exit_code == 0, ended.stderr
    assert daemon.asked(jails_pb2.ListJailsRequest)[0].filter == 'labels.team = "cdn"'
    asked = sorted((start.name, [*start.command], start.user) for start in daemon.asked(jails_pb2.ExecStart))
    assert asked == [(f"jails/{name}", ["echo", "-u", "0"], "root") for name in ("mail", "web")]
    assert sorted(ended.stderr_bytes.splitlines()) == [b"mail | err\xff", b"web  | err\xff"]


def test_what_failed_is_told_by_jail_and_is_the_exit_status(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails, daemon.statuses = [WEB, MAIL], {"jails/web": 3, "jails/mail": None}
    ended = jailctl("jail", "exec", "--filter", "base = b", "--parallel", "1", "--", "echo", "0")
    assert ended.exit_code == Exit.FAILED
    for told in ("2 of 2 failed", "web: exit status 3", "mail: the daemon hung up before the command ended"):
        assert told in ended.stderr
    daemon.jails = []
    nobody = jailctl("jail", "exec", "-l", "a", "--", "echo", "0")
    assert (nobody.exit_code, nobody.stderr) == (0, "no jail is like that\n")


def test_for_programs_each_line_is_an_object_and_each_end_is_one(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails, daemon.statuses = [WEB], {"jails/web": 3}
    ended = jailctl("jail", "exec", "-l", "a", "-o", "json", "--", "echo", "0")
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert told == [
        {"jail": "jails/web", "stream": "stderr", "line": "err�"},
        {"jail": "jails/web", "exitStatus": 3},
    ]


def test_several_hosts_are_asked_and_one_that_is_silent_is_a_failure(jailctl: Run, daemon: Daemon) -> None:
    for name, address in (("alpha", daemon.address), ("beta", daemon.address), ("away", "/nowhere.sock")):
        assert jailctl("context", "add", name, "--address", address).exit_code == 0
    daemon.jails = [WEB]
    both = jailctl("--context", "alpha,beta", "jail", "exec", "web", "--", "echo", "0")
    assert both.exit_code == 0, both.stderr
    assert sorted(both.stderr_bytes.splitlines()) == [b"alpha/web | err\xff", b"beta/web  | err\xff"]
    assert daemon.asked(jails_pb2.ListJailsRequest)[0].filter == 'name = "web"'
    every = jailctl("jail", "exec", "web", "-A", "--", "echo", "0")
    assert (every.exit_code, "host away: " in every.stderr, "1 of 3 failed" in every.stderr) == (9, True, True)


@pytest.mark.parametrize(
    "wrong", [("web", "-l", "a", "--", "x"), ("-l", "a", "x", "y"), ("-l", "a", "-t", "--", "x"), ("-l", "a", "--")]
)
def test_what_cannot_be_meant_is_refused(jailctl: Run, daemon: Daemon, wrong: tuple[str, ...]) -> None:
    assert jailctl("jail", "exec", *wrong).exit_code == Exit.USAGE
    assert daemon.requests == []


def test_a_console_is_a_login_of_root_on_a_terminal(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = jailctl("jail", "console", "web")
    assert (refused.exit_code, "jailctl jail exec web -- COMMAND" in refused.stderr) == (Exit.USAGE, True)
    monkeypatch.setattr(execution, "is_foreground", lambda: True)
    monkeypatch.setattr(jail_exec, "is_terminal", lambda: True)

    class Execution:
        def __init__(self, _api: object, start: jails_pb2.ExecStart, _source: object) -> None:
            daemon.requests.append(start)

        def run(self) -> int:
            return 5

    monkeypatch.setattr(execution, "Execution", Execution)
    assert jailctl("jail", "console", "web", "-u", "deploy").exit_code == 5
    (start,) = daemon.asked(jails_pb2.ExecStart)
    assert (start.name, start.user, start.command[-1]) == ("jails/web", "root", "deploy")
    assert start.HasField("terminal")
