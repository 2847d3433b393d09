"""When the next one is due, and which of many are kept: snapshots of a schedule, and backups.

Of each of the last N hours (days, weeks, months, years) that have one, the newest is kept; `last` keeps the newest
whatever their times. That is the rule of restic's and borg's prune. Hours are those of UTC, weeks begin on Monday. What
counts are those that there are, not the clock: a host that was down for a month keeps what it has, and a clock that
jumps makes nothing go early.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from jaild.model.jails.spec import Keep

Taken = tuple[str, float]  # its name, and when it was taken (seconds since the epoch)
_PERIODS: tuple[tuple[str, Callable[[datetime], tuple[int, ...]]], ...] = (
    ("hourly", lambda at: (at.year, at.month, at.day, at.hour)),
    ("daily", lambda at: (at.year, at.month, at.day)),
    ("weekly", lambda at: tuple(at.isocalendar()[:2])),
    ("monthly", lambda at: (at.year, at.month)),
    ("yearly", lambda at: (at.year,)),
)


def is_due(now: float, every: float, newest: float | None) -> bool:
    """Whether one is to be taken: the newest is of another multiple of `every` seconds since 1970, or there is none.

    So what has the same interval is due at the same time and can be taken at once, a host that was down takes one and
    not those that it missed, and a clock that was put back takes one at once instead of waiting for the time to pass.
    """
    return newest is None or now // every != newest // every


def kept(taken: Sequence[Taken], keep: Keep) -> frozenset[str]:
    """Return the names of those that are kept; `taken`: oldest first, in the order in which they were made."""
    newest_first = taken[::-1]
    names = {name for name, _ in newest_first[: keep.last]}
    for field, period in _PERIODS:
        seen: set[tuple[int, ...]] = set()
        for name, at in newest_first:
            of = period(datetime.fromtimestamp(at, UTC))
            if len(seen) < getattr(keep, field) and of not in seen:
                seen.add(of)
                names.add(name)
    return frozenset(names)


def expired(taken: Sequence[Taken], keep: Keep) -> tuple[str, ...]:
    """Return the names of those that go, oldest first. The newest never does: it says when the next is due."""
    stay = kept(taken, keep) | {name for name, _ in taken[-1:]}
    return tuple(name for name, _ in taken if name not in stay)
