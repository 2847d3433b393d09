"""Whether a jail's queue takes a request: accepted, a duplicate of an earlier one, or denied with a named reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaild.model.operation import Operation

QUEUE_LIMIT = 16  # more than that on one jail is a runaway caller
# After these the jail is not here any more.
_REASONS = {"delete": "JAIL_DELETING", "migrate": "JAIL_MIGRATING", "salvage": "JAIL_MIGRATING", "fence": "JAIL_FENCED"}


@dataclass(frozen=True)
class Accepted:
    """It is queued behind what is there."""


@dataclass(frozen=True)
class Duplicate:
    """The same request id was accepted before: this is its operation."""

    operation: Operation


@dataclass(frozen=True)
class Denied:
    """Not now, and why."""

    reason: str
    message: str
    remedy: str


def admit(pending: Sequence[Operation], kind: str, duplicate: Operation | None) -> Accepted | Duplicate | Denied:
    """Decide about a request of `kind`, given the operations queued or running on the jail, oldest first."""
    if duplicate is not None:
        return Duplicate(duplicate)
    last = next((op for op in pending if op.kind in _REASONS), None)
    if last is not None:
        reason = _REASONS[last.kind]
        return Denied(
            reason,
            f"{last.name} ({last.kind}) is under way; {kind} has to wait until it is over",
            f"wait for {last.name}, or cancel it",
        )
    if len(pending) >= QUEUE_LIMIT:
        return Denied("JAIL_QUEUE_FULL", f"{len(pending)} operations are waiting already", "wait for some of them")
    return Accepted()
