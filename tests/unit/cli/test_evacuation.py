"""`jailctl host drain, undrain, evacuate, evacuation`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from rich.console import Console

from jaild.cli.output import board
from jaild.cli.output.exits import Exit
from jaild.v1 import common_pb2, evacuations_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status

_STATE = evacuations_pb2.JailMove
MOVES = (
    _STATE(
        jail="jails/web",
        target="beta",
        state=_STATE.STATE_MOVED,
        sent_bytes=3 << 20,
        attempts=1,
        duration=duration_pb2.Duration(seconds=4),
        downtime=duration_pb2.Duration(nanos=312_000_000),
    ),
    _STATE(
        jail="jails/db",
        state=_STATE.STATE_FAILED,
        reason="NO_HOST_TAKES_IT",
        message="beta: 9 bytes have to come, 1 are free",
        hint="make room",
    ),
)
FOUND = evacuations_pb2.Evacuation(name="evacuations/op-1", targets=["beta"], moves=MOVES)
EVACUATE = ("host", "evacuate", "--to", "beta,gamma")


def test_it_is_watched_to_its_end_and_reported_jail_by_jail(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(phase="plan", kind="evacuate", target="host")]
    daemon.evacuations = [FOUND]

    def watch(_context: Any) -> Iterator[Any]:
        yield operation(phase="move", message="1 of 2 moved")
        yield operation(error=status("ABORTED", "EVACUATION_INCOMPLETE", "1 of 2 moved, 1 failed", hint="see each"))

    daemon.watches = [watch]
    result = jailctl(*EVACUATE, "--parallel", "4", "--bandwidth", "50M", "--max-downtime", "2s", "--proceed")

    assert result.exit_code == Exit.ABORTED
    assert result.stdout == (
        "JAIL  TO    STATE   SENT  TOOK    DOWNTIME  REASON\n"
        "web   beta  moved   3M    4.00 s  312 ms    -\n"
        "db    -     failed  -     -       -         NO_HOST_TAKES_IT\n"
        "db: beta: 9 bytes have to come, 1 are free\n"
        "    hint: make room\n"
    )
    assert "move: 1 of 2 moved\n" in result.stderr
    assert "EVACUATION_INCOMPLETE" in result.stderr
    (request,) = daemon.asked(evacuations_pb2.EvacuateHostRequest)
    assert (list(request.targets), request.parallel, request.bandwidth) == (["beta", "gamma"], 4, 50 << 20)
    assert request.max_downtime.seconds == 2
    assert request.proceed_over_budget


def test_json_is_the_report_whether_it_went_well_or_not(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(error=status("ABORTED", "EVACUATION_INCOMPLETE", "no", hint="r"))]
    daemon.evacuations = [FOUND]
    result = jailctl(*EVACUATE, "-o", "json")
    assert result.exit_code == Exit.ABORTED
    assert [move["state"] for move in json.loads(result.stdout)["moves"]] == ["moved", "failed"]


@pytest.mark.parametrize("flag", ["--plan", "--dry-run"])
def test_a_dry_run_shows_the_plan(jailctl: Run, daemon: Daemon, flag: str) -> None:
    problem = common_pb2.Problem(
        severity=common_pb2.SEVERITY_WARNING,
        code="NO_HOST_TAKES_IT",
        message="no host takes it",
        evidence=["beta: full"],
    )
    plan = common_pb2.Plan(kind="evacuate", target="host", steps=["drain host", "web to beta"], problems=[problem])
    daemon.answers = [operation(plan)]
    result = jailctl(*EVACUATE, flag)
    assert result.exit_code == 0
    assert "2. web to beta" in result.stdout
    assert "beta: full" in result.stdout
    assert daemon.asked(evacuations_pb2.EvacuateHostRequest)[0].validate_only


def test_without_waiting_only_its_operation_is_told(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(phase="plan")]
    assert jailctl(*EVACUATE, "--no-wait").stdout == "operations/op-1\n"


@pytest.mark.parametrize("rate", ["fast", "10 M", "-1", "1T"])
def test_what_is_no_rate_is_refused_before_the_daemon_is_asked(jailctl: Run, daemon: Daemon, rate: str) -> None:
    assert jailctl(*EVACUATE, f"--bandwidth={rate}").exit_code == 2
    assert daemon.requests == []


def test_the_last_evacuation_is_shown_without_a_name(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("host", "evacuation").exit_code == 1
    daemon.evacuations = [FOUND]
    assert jailctl("host", "evacuation").stdout == jailctl("host", "evacuation", "op-1").stdout


def test_a_drain_says_what_is_still_there(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("host", "drain", "--reason", "disk 2").stdout == "alpha takes no jails; 3 are here\n"
    assert daemon.asked(evacuations_pb2.DrainHostRequest)[0].reason == "disk 2"
    assert jailctl("host", "undrain").stdout == "alpha takes jails again\n"


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


class Away(grpc.RpcError):
    pass


def test_a_terminal_shows_every_jail_live_and_keeps_them_while_the_daemon_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    asked = threading.Event()
    answers = [FOUND]

    def ask() -> evacuations_pb2.Evacuation:
        asked.set()
        if answers:
            return answers.pop()
        raise Away

    with board.shown(ask) as view:
        assert asked.wait(10)
        assert isinstance(view, board.Board)
        view.step("move", "1 of 2 moved", 3 << 20, 4 << 20)
        console = Console(width=140, file=StringIO(), record=True)
        console.print(view.draw())
        frame = console.export_text()
    assert "move: 1 of 2 moved, 3M of 4M" in frame
    assert "web" in frame
    assert "NO_HOST" not in frame  # the message says more
    assert "beta: 9 bytes have to come" in frame
