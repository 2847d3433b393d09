"""The plan of an evacuation: as moves to carry out, and as steps and findings to read. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from jaild.model.evacuation.placement import Placed, Placements, Unplaced
from jaild.model.evacuation.record import KIND, JailMove, MoveState
from jaild.model.findings import Finding, Plan, Severity

NO_HOST = "NO_HOST_TAKES_IT"
_REMEDY = "make room on one of the hosts or name another, then evacuate again: what has moved is not touched"


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
            remedy=_REMEDY,
        )
        for unplaced in placements.unplaced
    ]
    return (*waiting, *refused, *left_out)


def plan_of(placements: Placements, left_out: Sequence[JailMove], host: str) -> Plan:
    """Return the plan as readers see it. What stays stops nothing else, so it is warned of and no error."""
    notes = [note for placed in placements.placed for note in placed.notes]
    refused = [
        _warning(NO_HOST, "no host takes it", unplaced.guest.jail, _REMEDY, tuple(_reasons(unplaced)))
        for unplaced in placements.unplaced
    ]
    others = [_warning(move.reason, move.message, move.jail, move.remedy) for move in left_out]
    return Plan(
        kind=KIND,
        target=host,
        steps=(f"drain {host}", *map(_step, placements.placed)),
        findings=(*refused, *others, *notes),
    )


def _step(placed: Placed) -> str:
    return f"{placed.guest.jail} to {placed.host}, priority {placed.guest.priority}, {placed.bytes / (1 << 20):.1f} MiB"


def _reasons(unplaced: Unplaced) -> list[str]:
    return [f"{host}: {finding.message} ({finding.code})" for host, finding in unplaced.reasons.items()]


def _warning(code: str, message: str, jail: str, remedy: str, evidence: tuple[str, ...] = ()) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code=code,
        message=message,
        subject=f"jails/{jail}",
        remedy=remedy,
        evidence=evidence,
    )
