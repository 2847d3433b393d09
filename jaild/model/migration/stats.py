"""How often something took how long."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from jaild.model.migration.journal import Journal, Phase

DOWNTIMES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds
ERRORS = (-5.0, -1.0, -0.25, 0.25, 1.0, 5.0)  # seconds that a downtime was longer than predicted


class Bucket(msgspec.Struct, frozen=True):
    """How many values were at or above the bound of the bucket before, and below this one's."""

    below: float | None  # None: no bound
    count: int


class MigrationStats(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the migrations from a host. Seconds."""

    moved: int
    aborted: int
    thaws: int  # times that a jail was stopped in vain
    downtimes: tuple[Bucket, ...]
    errors: tuple[Bucket, ...]  # measured less predicted
    median: float | None  # of the downtimes
    longest: float | None


def histogram(values: Iterable[float], bounds: Sequence[float]) -> tuple[Bucket, ...]:
    """Count values between bounds (ascending)."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_right(bounds, value)] += 1
    return tuple(Bucket(bound, count) for bound, count in zip((*bounds, None), counts, strict=True))


def stats(journals: Iterable[Journal]) -> MigrationStats:
    """Sum up what a host remembers of the migrations that it drove."""
    driven = [journal for journal in journals if journal.outgoing]
    measured = sorted(journal.downtime for journal in driven if journal.downtime is not None)
    errors = [j.downtime - j.predicted for j in driven if j.downtime is not None and j.predicted is not None]
    return MigrationStats(
        moved=sum(journal.phase in {Phase.ACTIVATED, Phase.FINALIZED} for journal in driven),
        aborted=sum(journal.phase is Phase.ABORTED for journal in driven),
        thaws=sum(journal.thaws for journal in driven),
        downtimes=histogram(measured, DOWNTIMES),
        errors=histogram(errors, ERRORS),
        median=measured[len(measured) // 2] if measured else None,
        longest=measured[-1] if measured else None,
    )
