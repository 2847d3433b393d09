"""What becomes of an evacuation's moves."""

from __future__ import annotations

import pytest

from jaild.model.evacuation.record import ATTEMPTS, Evacuation, JailMove, MoveState, ended, pause, summary
from jaild.model.operation import Failure, Operation
from jaild.model.problems import Problem, Severity

MOVE = JailMove(jail="web", target="beta", state=MoveState.MOVING, operation="op-2")


def operation(reason: str = "", *problems: Problem) -> Operation:
    failure = Failure(error="AbortedError", reason=reason, message="why", hint="do", problems=problems)
    return Operation(
        id="op-2",
        kind="migrate",
        target="jails/web",
        seconds=4.0,
        bytes_done=7,
        downtime=0.5,
        done=True,
        failure=failure if reason else None,
    )


def test_a_move_that_went_well_keeps_what_was_measured() -> None:
    move = ended(MOVE, operation())
    assert (move.state, move.bytes, move.downtime, move.seconds, move.attempts) == (MoveState.MOVED, 7, 0.5, 4.0, 1)
    assert not move.stays


@pytest.mark.parametrize(
    ("reason", "state", "stays"),
    [
        ("ACTIVATED_UNHEALTHY", MoveState.UNHEALTHY, False),
        ("NO_SPACE", MoveState.FAILED, True),
        ("DOWNTIME_OVER_BUDGET", MoveState.FAILED, True),
        ("JAIL_NOT_FOUND", MoveState.SKIPPED, False),
        ("JAIL_MOVED", MoveState.SKIPPED, False),
        ("OPERATION_CANCELLED", MoveState.SKIPPED, True),
        ("PEER_UNREACHABLE", MoveState.WAITING, False),
        ("MIGRATION_UNDER_WAY", MoveState.WAITING, False),
        ("HOST_SHUT_DOWN", MoveState.WAITING, False),
    ],
)
def test_a_failure_decides_what_a_move_becomes(reason: str, state: MoveState, *, stays: bool) -> None:
    move = ended(MOVE, operation(reason))
    assert (move.state, move.stays, move.reason, move.hint) == (state, stays, reason, "do")


def test_a_refused_plan_is_told_by_the_problem_that_refused_it() -> None:
    warning = Problem(severity=Severity.WARNING, code="KERNEL_UNKNOWN", message="no osreldate")
    taken = Problem(severity=Severity.ERROR, code="NAME_TAKEN", message="there is another", hint="rename one")
    move = ended(MOVE, operation("PLAN_REFUSED", warning, taken))
    assert (move.reason, move.message, move.hint) == ("NAME_TAKEN", "there is another", "rename one")


def test_what_somebody_else_stands_in_the_way_of_is_tried_again_but_not_for_ever() -> None:
    move, pauses = MOVE, []
    while (move := ended(move, operation("PEER_TIMEOUT"))).state is MoveState.WAITING:
        pauses.append(pause(move))
    assert move.state is MoveState.FAILED
    assert move.attempts == ATTEMPTS
    assert pauses == [2.0, 4.0, 8.0, 16.0]


def test_the_first_try_does_not_wait() -> None:
    assert pause(MOVE) == 0.0


def test_the_summary_counts_what_went_badly_and_names_what_is_on_its_way() -> None:
    moves = (
        MOVE,
        JailMove(jail="a", state=MoveState.MOVED),
        JailMove(jail="b", state=MoveState.FAILED),
        JailMove(jail="c"),
    )
    evacuation = Evacuation(id="op-1", targets=("beta",), parallel=2, moves=moves)
    assert summary(evacuation) == "1 of 4 moved, 1 failed; moving web"
