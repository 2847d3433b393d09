"""`jailctl rollout`."""

from __future__ import annotations

import re

import pytest
from google.protobuf.duration_pb2 import Duration

from jaild.cli.output.exits import Exit
from jaild.v1 import common_pb2, rollouts_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

STEP = rollouts_pb2.RolloutStep
PROBLEM = common_pb2.Problem(severity=common_pb2.SEVERITY_ERROR, code="MERGE_CONFLICT", message="/etc/motd differs")
FOUND = rollouts_pb2.Rollout(
    name="rollouts/op-1",
    spec=rollouts_pb2.RolloutSpec(channel="channels/stable"),
    state=rollouts_pb2.Rollout.STATE_PAUSED,
    target="bases/debian-13",
    message="1 of the canaries failed",
    expected_duration=Duration(seconds=90),
    expected_downtime=Duration(seconds=2),
    expected_at_least=True,
    steps=[
        STEP(
            jail="jails/a",
            wave=0,
            state=STEP.STATE_FAILED,
            before="bases/debian-12",
            target="bases/debian-13",
            reason="HEALTH_CHECK_FAILED",
            message="it answers 500",
            hint="look at it",
            downtime=Duration(nanos=250_000_000),
        ),
        STEP(
            jail="jails/b",
            wave=1,
            state=STEP.STATE_DONE,
            runs=rollouts_pb2.RunsOn(base="bases/debian-13", base_guid=255),
        ),
        STEP(jail="jails/c", wave=1, state=STEP.STATE_REFUSED, reason="MERGE_CONFLICT", problems=[PROBLEM]),
    ],
)


@pytest.fixture(autouse=True)
def rollouts(daemon: Daemon) -> None:
    daemon.rollouts = [FOUND]


def test_a_rollout_is_begun_as_said_and_not_waited_for(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(phase="plan", kind="rollout", target="host")]
    words = "--channel stable --jail a --label tier=edge --canaries 1 --wave 3 --wave 10% --max-parallel 4 --soak 1m"
    more = "--healthy-deadline 2m --stagger 1s --budget 5% --keep-failed --on-breach undo --deadline 1h"
    accepted = ("--accept", "MISSING_LIBRARY:/x.so", "--because", "unused")
    window = ("--maintenance", "Mon 02:00-05:00 Europe/Berlin")
    last = (*accepted, *window, "--leave-out-refused", "--request-id", "r")
    done = jailctl("rollout", "start", *words.split(), *more.split(), *last)
    assert done.stdout == "rollouts/op-1 has begun: jailctl rollout show op-1\n"
    (request,) = daemon.asked(rollouts_pb2.StartRolloutRequest)
    spec, policy = request.spec, request.spec.policy
    assert (spec.channel, list(spec.jails), dict(spec.labels)) == ("channels/stable", ["jails/a"], {"tier": "edge"})
    assert (spec.leave_out_refused, request.request_id) == (True, "r")
    assert [(one.code, one.subject, one.reason) for one in spec.accept] == [("MISSING_LIBRARY", "/x.so", "unused")]
    assert [(wave.number, wave.percent) for wave in policy.waves] == [(3, False), (10, True)]
    assert (policy.canaries, policy.max_parallel, policy.keep_failed) == (1, 4, True)
    assert policy.on_breach == rollouts_pb2.RolloutPolicy.ON_BREACH_UNDO
    times = (policy.min_healthy_time, policy.healthy_deadline, policy.stagger, policy.deadline)
    assert [time.seconds for time in times] == [60, 120, 1, 3600]
    assert (policy.failure_budget.number, policy.failure_budget.percent) == (5, True)
    assert list(policy.maintenance) == ["Mon 02:00-05:00 Europe/Berlin"]


def test_one_aim_is_named(jailctl: Run, daemon: Daemon) -> None:
    for words in ((), ("--channel", "stable", "--base", "debian-13")):
        assert jailctl("rollout", "start", *words).exit_code == Exit.USAGE
    assert jailctl("rollout", "start", "--channel", "stable", "--budget", "many").exit_code == Exit.USAGE
    assert daemon.requests == []


def test_a_plan_says_who_is_refused_how_long_it_takes_and_how_much_downtime(jailctl: Run, daemon: Daemon) -> None:
    done = jailctl("rollout", "start", "--channel", "stable", "--plan")
    assert done.exit_code == Exit.REFUSED
    assert "takes about" in done.stdout
    assert "downtime in sum at least 2" in done.stdout
    assert "MERGE_CONFLICT" in done.stdout
    assert "it would be refused: 1 of 3 jails" in done.stderr
    assert daemon.asked(rollouts_pb2.StartRolloutRequest) == []
    left_out = jailctl("rollout", "start", "--channel", "stable", "--plan", "--leave-out-refused")
    assert left_out.exit_code == Exit.OK


def test_a_rollout_is_shown_jail_by_jail(jailctl: Run) -> None:
    shown = jailctl("rollout", "show", "op-1").stdout
    assert "op-1: paused, to debian-13" in shown
    assert "1 of the canaries failed" in shown
    assert "00000000000000ff" not in shown
    assert "00000000000000ff" in jailctl("rollout", "show", "op-1", "--wide").stdout
    assert re.search(r"a: it answers 500 \([A-Z_]+\)\n    hint: look at it", shown)
    lines = jailctl("rollout", "ls").stdout.splitlines()
    assert lines[1].split()[:6] == ["op-1", "paused", "to", "debian-13", "1", "1"]


@pytest.mark.parametrize("word", ["pause", "resume", "cancel"])
def test_a_rollout_is_steered(jailctl: Run, daemon: Daemon, word: str) -> None:
    assert "op-1: paused" in jailctl("rollout", word, "op-1").stdout
    kind = getattr(rollouts_pb2, f"{word.capitalize()}RolloutRequest")
    assert daemon.asked(kind)[0].name == "rollouts/op-1"


def test_an_undo_can_be_planned_and_waited_for(jailctl: Run, daemon: Daemon) -> None:
    jailctl("rollout", "undo", "op-1", "--plan")
    (planned,) = daemon.asked(rollouts_pb2.PlanRolloutRequest)
    assert planned.spec.undoes == "rollouts/op-1"
    daemon.answers = [operation(FOUND, kind="rollout", target="host")]
    done = jailctl("rollout", "undo", "op-1", "--wait")
    assert done.exit_code == Exit.OK
    assert "op-1: paused" in done.stdout
