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

from jaild import client
from jaild.cli.client import comebacks
from jaild.cli.output import board
from jaild.cli.output.exits import Exit
from jaild.v1 import common_pb2, evacuations_pb2, host_pb2, jails_pb2, migrations_pb2
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


@pytest.fixture
def away(jailctl: Run, daemon: Daemon) -> Daemon:
    """A host that web left for beta by evacuation; beta's daemon is the same one, by a context of its name."""
    assert jailctl("context", "add", "beta", "--address", daemon.address).exit_code == 0
    daemon.evacuations = [FOUND]
    daemon.jails = [jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_MOVED, owner="beta")]
    return daemon


def test_what_left_is_brought_back_by_the_host_that_has_it_and_the_host_takes_jails_again(
    jailctl: Run, away: Daemon
) -> None:
    away.answers = [operation(migrations_pb2.Migration(phase="activated"), kind="migrate")]
    told = jailctl("host", "undrain")
    assert "left by evacuation: web (beta); to bring them back: jailctl host evacuate --back" in told.stderr
    back = jailctl("host", "evacuate", "--back", "--bandwidth", "4M", "--max-downtime", "2s", "--request-id", "r")
    assert (back.exit_code, back.stdout) == (0, "JAIL  FROM  STATE  REASON\nweb   beta  back   -\n"), back.stderr
    (request,) = away.asked(migrations_pb2.MigrateJailRequest)
    assert (request.name, request.target, request.bandwidth) == ("jails/web", "alpha", 2 << 20)
    assert (request.max_downtime.seconds, request.request_id) == (2, "r/jails/web")
    assert len(away.asked(evacuations_pb2.UndrainHostRequest)) == 2


def test_what_left_before_the_present_drain_is_left_where_it_is(away: Daemon) -> None:
    earlier = evacuations_pb2.Evacuation(moves=[_STATE(jail="jails/db", target="gamma", state=_STATE.STATE_MOVED)])
    earlier.end_time.FromSeconds(99)
    later = evacuations_pb2.Evacuation(moves=MOVES)
    later.end_time.FromSeconds(101)
    away.evacuations = [later, earlier]
    host = host_pb2.HostInfo(name="alpha", drain=host_pb2.HostDrain())
    host.drain.since.FromSeconds(100)
    with client.connect(away.address) as api:
        assert [each.jail for each in comebacks.left(api, host)] == ["jails/web"]
        host.drain.since.FromSeconds(98)
        assert [each.jail for each in comebacks.left(api, host)] == ["jails/db", "jails/web"]


def test_the_plan_of_the_way_back_is_asked_of_each_host_and_changes_nothing(jailctl: Run, away: Daemon) -> None:
    error = common_pb2.SEVERITY_ERROR
    found = [
        common_pb2.Problem(severity=error, code="HOST_DRAINING", message="as long as it is not undrained"),
        common_pb2.Problem(severity=error, code="NO_SPACE", message="full"),
    ]
    away.answers = [operation(common_pb2.Plan(kind="migrate", problems=found))]
    planned = jailctl("host", "evacuate", "--back", "--plan")
    assert (planned.exit_code, "web from beta" in planned.stdout) == (Exit.REFUSED, True)
    assert ("NO_SPACE" in planned.stdout, "HOST_DRAINING" in planned.stdout) == (True, False)
    assert away.asked(migrations_pb2.MigrateJailRequest)[0].validate_only
    assert away.asked(evacuations_pb2.UndrainHostRequest) == []


def test_a_jail_that_stays_away_is_told_with_the_reason(jailctl: Run, away: Daemon) -> None:
    away.jails = [jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_MOVED, owner="gamma")]
    missing = jailctl("host", "evacuate", "--back")
    assert (missing.exit_code, "there is no context 'gamma'" in missing.stderr) == (Exit.ABORTED, True)
    assert "web   gamma  away" in missing.stdout
    away.jails = [jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_RUNNING, owner="alpha")]
    here = jailctl("host", "evacuate", "--back")
    assert (here.exit_code, here.stderr) == (0, "no jail that left by evacuation is away\n")


@pytest.mark.parametrize("wrong", [(), ("--to", "beta", "--back"), ("--back", "--no-wait")])
def test_where_to_is_said_or_that_it_is_back(jailctl: Run, daemon: Daemon, wrong: tuple[str, ...]) -> None:
    assert jailctl("host", "evacuate", *wrong).exit_code == Exit.USAGE
    assert daemon.requests == []
