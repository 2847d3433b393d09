"""The plan of an evacuation: as moves to carry out, and as steps and problems to read. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from jaild.model import quantity
from jaild.model.evacuation.placement import Placed, Placements, Unplaced
from jaild.model.evacuation.record import KIND, JailMove, MoveState
from jaild.model.problems import Plan, Problem, Severity

NO_HOST = "NO_HOST_TAKES_IT"
_HINT = "make room on one of the hosts or name another, then evacuate again: what has moved is not touched"


def moves_of(placements: Placements, left_out: Sequence[JailMove]) -> tuple[JailMove, ...]:
    """Return one move for each jail, in the order in which they leave; those that cannot are over already."""
    waiting = [
        JailMove(jail=placed.guest.jail, target=placed.host, priority=placed.guest.priority, expected=placed.bytes)
        for placed in placements.placed
    ]
    refused = [
        JailMove(
            jail=unplaced.guest.jail,
            state=MoveState.FAILED,
            priority=unplaced.guest.priority,
            reason=NO_HOST,
            message="; ".join(_reasons(unplaced)) or "no host was named",
            hint=_HINT,
        )
        for unplaced in placements.unplaced
    ]
    return (*waiting, *refused, *left_out)


def plan_of(placements: Placements, left_out: Sequence[JailMove], host: str) -> Plan:
    """Return the plan as readers see it. What stays stops nothing else, so it is warned of and no error."""
    notes = [note for placed in placements.placed for note in placed.notes]
    refused = [
        _warning(NO_HOST, "no host takes it", unplaced.guest.jail, _HINT, tuple(_reasons(unplaced)))
        for unplaced in placements.unplaced
    ]
    others = [_warning(move.reason, move.message, move.jail, move.hint) for move in left_out]
    return Plan(
        kind=KIND,
        target=host,
        steps=(f"drain {host}", *map(_step, placements.placed)),
        problems=(*refused, *others, *notes),
    )


def _step(placed: Placed) -> str:
    comes = quantity.size(placed.bytes) if placed.bytes else "an increment of its copy there"
    return f"{placed.guest.jail} to {placed.host}, priority {placed.guest.priority}, {comes}"


def _reasons(unplaced: Unplaced) -> list[str]:
    return [f"{host}: {problem.message} ({problem.code})" for host, problem in unplaced.reasons.items()]


def _warning(code: str, message: str, jail: str, hint: str, evidence: tuple[str, ...] = ()) -> Problem:
    return Problem(
        severity=Severity.WARNING,
        code=code,
        message=message,
        subject=f"jails/{jail}",
        hint=hint,
        evidence=evidence,
    )
