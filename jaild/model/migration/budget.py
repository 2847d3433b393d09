"""The downtime budget: when a jail that is being moved may be stopped, and how long it may stay so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import msgspec

MAX_ROUNDS = 10
MAX_STALLED = 3  # rounds in a row that did not shrink
MAX_THAWS = 3  # times that a jail is stopped for a last part that then does not get through
_PATIENCE = 3.0  # times what was allowed or predicted
_LITTLE = (
    64 << 10
)  # bytes; a round below is mostly headers and waiting: it tells neither the link's rate nor the jail's
_INSTANT = 1e-6  # seconds; a time below says nothing
_TRIFLE = 0.05  # seconds; a part below need not be named


_SERVES = frozenset({"before_stop", "readiness", "after_start"})  # parts in which the jail runs

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None


class Parts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a downtime is made of, in its order: the seconds of each part. None: not known."""

    before_stop: _Seconds = None  # hooks: the jail serves meanwhile, so this is no part of the downtime
    stop: _Seconds = None
    flush: _Seconds = None  # of what was written to mapped files
    snapshot: _Seconds = None
    send: _Seconds = None  # of the last increment
    verify: _Seconds = None  # every guid is compared, the target prepares, the source commits
    mounts: _Seconds = None  # from when the target is told to start the jail until it does
    start: _Seconds = None  # until its first process runs
    # The health checks: the jail runs, so this is no part of the downtime. Stored by its former name (decision 350).
    readiness: _Seconds = msgspec.field(name="gate", default=None)
    after_start: _Seconds = None  # hooks: the same

    @property
    def downtime(self) -> float:
        """The sum of those that are known, without those in which the jail runs."""
        return sum(self._down().values())

    def _down(self) -> dict[str, float]:
        parts: dict[str, float] = msgspec.structs.asdict(self)
        return {name: value for name, value in parts.items() if value is not None and name not in _SERVES}

    def __str__(self) -> str:
        """Name those that are known and no trifle, without those in which the jail runs."""
        return ", ".join(f"{name} {value:.1f} s" for name, value in self._down().items() if value >= _TRIFLE)


@dataclass(frozen=True)
class Round:
    """A pre-copy round that was sent."""

    bytes: int
    seconds: float
    snapshot: float = 0.0  # seconds of these that its snapshot took

    @property
    def sending(self) -> float:
        """Seconds."""
        return self.seconds - self.snapshot


@dataclass(frozen=True)
class Again:
    """Another round: what changed meanwhile is too much, and still shrinking."""

    predicted: float


@dataclass(frozen=True)
class Freeze:
    """The last increment is predicted to fit: stop the jail and send it."""

    predicted: float


@dataclass(frozen=True)
class OverBudget:
    """More rounds do not help."""

    predicted: float
    rounds: int


def after_round(
    rounds: Sequence[Round], budget: float, fixed: float, written: int | None = None
) -> Again | Freeze | OverBudget:
    """Decide after a round, given the seconds of downtime that are allowed and those that any move costs.

    `fixed` alone may be over the budget, which no round changes. `written`: bytes written since the last round's
    snapshot, where ZFS tells.
    """
    predicted = predict(rounds, fixed, written)
    if len(rounds) > 1 and predicted <= budget:
        return Freeze(predicted)
    if fixed > budget or len(rounds) > MAX_ROUNDS or _stalled(rounds):
        return OverBudget(predicted, len(rounds))
    return Again(predicted)


def predict(rounds: Sequence[Round], fixed: float, written: int | None = None) -> float:
    """Return the seconds that the jail would be down if it were stopped now.

    The next increment is taken to be as big as what is written during the last round: its size is that of the last one
    scaled by the time that the last one took against the one before it. ZFS's own count is taken where it is more, not
    where it is less: it lacks what is not on disk yet, of up to 5 seconds. One of next to nothing is taken to be
    followed by another one, as quick as the quickest.
    """
    last = rounds[-1]
    telling = [r for r in rounds if r.bytes >= _LITTLE] or rounds
    rate = sum(r.bytes for r in telling) / max(sum(r.sending for r in telling), _INSTANT)
    told = written / max(rate, 1.0) if written and written >= _LITTLE else 0.0
    if len(rounds) == 1:
        return (last.sending if written is None else told) + fixed
    if last.bytes < _LITTLE:
        return max(min(r.sending for r in rounds[1:] if r.bytes < _LITTLE), told) + fixed
    ratio = last.seconds / rounds[-2].seconds if rounds[-2].seconds > _INSTANT else 1.0
    return max(last.bytes * ratio / max(rate, 1.0), told) + fixed


def patience(budget: float, predicted: float) -> float:
    """Return how many seconds a stopped jail waits for its last part to get through before it is started again here.

    Not the budget itself: a prediction may be a little wrong, and a stop and start for nothing costs as much again.
    """
    return _PATIENCE * max(budget, predicted)


def _stalled(rounds: Sequence[Round]) -> bool:
    if len(rounds) <= MAX_STALLED:
        return False
    tail = rounds[-MAX_STALLED - 1 :]
    return all(b.bytes >= a.bytes for a, b in pairwise(tail))
