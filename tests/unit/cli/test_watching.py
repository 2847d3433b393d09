"""`--watch`: a list that is shown again when something happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import grpc
import pytest

from jaild.cli.client import watching
from jaild.cli.client.settings import Settings
from jaild.v1 import jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon

_JAIL = jails_pb2.Jail


def jail(name: str, state: int) -> jails_pb2.Jail:
    return _JAIL(name=f"jails/{name}", state=state)  # type: ignore[arg-type]


def happens(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
    """Let these things happen, one after each look, and then Ctrl-C."""
    following: Iterator[Callable[[], object]] = iter(steps)

    def wait(_ears: watching.Ears, _seconds: float) -> None:
        step = next(following, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(watching.Ears, "wait", wait)


def test_it_is_shown_again_if_it_says_something_new(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.jails = [jail("web", _JAIL.STATE_STARTING)]

    def started() -> None:
        daemon.jails = [jail("web", _JAIL.STATE_RUNNING)]

    happens(monkeypatch, started, lambda: None)
    ended = jailctl("jail", "ls", "--watch", "--columns", "name,state", "--no-headers")
    assert (ended.exit_code, ended.stdout) == (0, "web  starting\n\nweb  running\n")


def test_for_programs_it_is_a_line_for_what_came_changed_and_went(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.jails = [jail("web", _JAIL.STATE_STARTING), jail("db", _JAIL.STATE_RUNNING)]

    def changed() -> None:
        daemon.jails = [jail("web", _JAIL.STATE_RUNNING), jail("mail", _JAIL.STATE_RUNNING)]

    happens(monkeypatch, lambda: None, changed)
    lines = [json.loads(line) for line in jailctl("jail", "ls", "--watch", "-o", "json").stdout.splitlines()]
    assert [(line["change"], line["object"]["name"], line["object"]["state"]) for line in lines] == [
        ("added", "jails/web", "starting"),
        ("added", "jails/db", "running"),
        ("changed", "jails/web", "running"),
        ("added", "jails/mail", "running"),
        ("removed", "jails/db", "running"),
    ]
    assert {line["list"] for line in lines} == {"jails"}


def test_a_daemon_that_is_away_is_told_and_waited_for(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.jails = [jail("web", _JAIL.STATE_RUNNING)]
    happens(monkeypatch, lambda: daemon.away.append(grpc.StatusCode.UNAVAILABLE), lambda: None)
    ended = jailctl("jail", "ls", "--watch", "--columns", "name", "--no-headers")
    assert (ended.exit_code, "cannot reach jaild" in ended.stderr) == (0, True)
    assert ended.stdout == "web\n\nweb\n\nweb\n"


def test_a_list_that_is_refused_ends_it(jailctl: Run) -> None:
    ended = jailctl("jail", "ls", "--watch", "--columns", "colour")
    assert (ended.exit_code, "no column is called" in ended.stderr) == (2, True)


def test_what_happens_on_a_host_is_heard(daemon: Daemon) -> None:
    with watching.Ears([Settings(address=daemon.address)]) as ears:
        ears.wait(20.0)
        (request,) = daemon.requests[:1]
    assert request.after_sequence == -1


def test_every_list_can_be_watched(jailctl: Run) -> None:
    for noun in ("base", "channel", "operation", "migration", "rollout", "volume", "template", "peer", "event-sink"):
        assert "--watch" in jailctl(noun, "ls", "--help").stdout, noun
