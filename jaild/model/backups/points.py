"""The moments that a jail's data can be gone back to: its snapshots by name, jaild's own and those of others alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jaild.model import layout, quantity
from jaild.model.errors import NotFoundError
from jaild.model.replication.policy import moment
from jaild.model.snapshots import Snapshot

_TOLD = 5  # names that a message has


@dataclass(frozen=True, kw_only=True)
class Point:
    """Snapshots of one name, of a jail's datasets. `parts`: by their paths below the jail's own, which has ''."""

    tag: str
    parts: Mapping[str, Snapshot]
    created: int = field(init=False)  # seconds since the epoch, of the last of them
    purpose: str = field(init=False)  # what jaild made them for; '': they are somebody's

    def __post_init__(self) -> None:
        object.__setattr__(self, "created", max(each.created for each in self.parts.values()))
        object.__setattr__(self, "purpose", next((s.purpose for s in self.parts.values() if s.purpose), ""))

    @property
    def is_atomic(self) -> bool:
        """Whether they may have been taken in one transaction: other tools take them one after the other."""
        return len({each.created for each in self.parts.values()}) == 1

    @property
    def used(self) -> int:
        """Bytes that they hold alone."""
        return sum(each.used for each in self.parts.values())

    @property
    def referenced(self) -> int:
        """Bytes of the files in them."""
        return sum(each.referenced for each in self.parts.values())


def points(dataset: str, snapshots: Iterable[Snapshot]) -> tuple[Point, ...]:
    """Return the moments of a jail, oldest first. `dataset`: the jail's own; `snapshots`: of it and all below.

    One of which nothing is in the jail's data is no moment of that: such as a tool's of a volume alone.
    """
    by_tag: dict[str, dict[str, Snapshot]] = {}
    for snapshot in snapshots:
        by_tag.setdefault(snapshot.tag, {})[snapshot.dataset.removeprefix(dataset).lstrip("/")] = snapshot
    found = [Point(tag=tag, parts=parts) for tag, parts in by_tag.items() if layout.DATA in parts]
    return tuple(sorted(found, key=lambda point: point.created))


def point_of(there: Sequence[Point], wanted: str | float) -> Point:
    """Return a moment by the name of its snapshots, or the last one that is not later than a time.

    `there`: oldest first; a time is in seconds since the epoch. `NotFoundError` (SNAPSHOT_NOT_FOUND).
    """
    if isinstance(wanted, str):
        found = next((point for point in there if point.tag == wanted), None)
        missing = f"there is no snapshot {wanted}"
    else:
        found = next((point for point in reversed(there) if point.created <= wanted), None)
        at = moment(wanted) if math.isfinite(wanted) else str(wanted)
        missing = f"there is no snapshot from {at} or before"
    if found is not None:
        return found
    if isinstance(wanted, str) or not there:
        hint = f"there are: {told(there)}"
    else:
        hint = f"the oldest of {quantity.count(len(there), 'snapshot')} is {there[0].tag}, {moment(there[0].created)}"
    raise NotFoundError("SNAPSHOT_NOT_FOUND", missing, hint=hint)


def told(there: Sequence[Point]) -> str:
    """Return the newest names for people, newest first."""
    names = [point.tag for point in reversed(there[-_TOLD:])]
    more = len(there) - len(names)
    return (", ".join(names) or "none") + (f" and {more} older" if more else "")
