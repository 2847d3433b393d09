"""`jailctl host start-jails` and `stop-jails`: what rc(8) runs when the host comes up and goes down."""

from __future__ import annotations

from google.protobuf import duration_pb2, empty_pb2

from jaild.cli.output.exits import Exit
from jaild.v1 import common_pb2, host_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status


def test_a_shutdown_carries_its_deadline(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(empty_pb2.Empty(), kind="stop-jails", target="host")]

    result = jailctl("host", "stop-jails", "--deadline", "75s")

    (request,) = daemon.asked(host_pb2.StopJailsRequest)
    assert request.deadline == duration_pb2.Duration(seconds=75)
    assert (result.exit_code, result.stdout) == (0, "stop-jails host: done\n")


def test_a_shutdown_that_was_too_slow_is_told_with_the_jails_that_run_still(jailctl: Run, daemon: Daemon) -> None:
    error = status("DEADLINE_EXCEEDED", "JAILS_STILL_RUNNING", "1 jail still running: web", web="not done yet")
    daemon.answers = [operation(error=error, kind="stop-jails", target="host")]

    result = jailctl("host", "stop-jails")

    assert result.exit_code == Exit.FAILED
    assert "1 jail still running: web (JAILS_STILL_RUNNING)\n  web: not done yet\n" in result.stderr


def test_a_plan_shows_the_order(jailctl: Run, daemon: Daemon) -> None:
    plan = common_pb2.Plan(kind="stop-jails", target="host", steps=["stop web (order 100)", "stop db (order 10)"])
    daemon.answers = [operation(plan, kind="stop-jails", target="host")]

    result = jailctl("host", "stop-jails", "--plan")

    assert daemon.requests[0].validate_only
    assert "   1. stop web (order 100)\n   2. stop db (order 10)\n" in result.stdout


def test_starting_them_without_waiting_tells_the_operation(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(name="operations/op-7", kind="start-jails", target="host")]

    result = jailctl("host", "start-jails", "--no-wait", "--daemon-wait", "60s", "--request-id", "boot")

    (request,) = daemon.asked(host_pb2.StartJailsRequest)
    assert request.request_id == "boot"
    assert result.stdout == "operations/op-7\n"


def test_a_reload_tells_what_counts_now_and_what_waits_for_a_restart(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [host_pb2.ReloadConfigurationResponse(applied=["grants.ops"], needs_restart=["name"])] * 2
    assert jailctl("host", "reload", "--plan").stdout.split("\n")[0] == "would change:         grants.ops"
    assert daemon.requests[0].validate_only
    assert jailctl("host", "reload").stdout == "changed:              grants.ops\nafter a restart only: name\n"
    assert not daemon.requests[1].validate_only
