"""The downtime budget: when a jail that is being moved may be stopped, and how long it may stay so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_ROUNDS = 10
MAX_STALLED = 3  # rounds in a row that did not shrink
MAX_THAWS = 3  # times that a jail is stopped for a last part that then does not get through
FIXED_COST = 1.0  # seconds that any hand-over takes beside the last increment, until one has been measured
_PATIENCE = 3.0  # times what was allowed or predicted
_INSTANT = 1e-6  # seconds; a time below says nothing


@dataclass(frozen=True)
class Round:
    """A pre-copy round that was sent."""

    bytes: int
    seconds: float


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

    `written`: bytes written since the last round's snapshot, where ZFS tells.
    """
    predicted = predict(rounds, fixed, written)
    if len(rounds) > 1 and predicted <= budget:
        return Freeze(predicted)
    if len(rounds) > MAX_ROUNDS or _stalled(rounds):
        return OverBudget(predicted, len(rounds))
    return Again(predicted)


def predict(rounds: Sequence[Round], fixed: float, written: int | None = None) -> float:
    """Return the seconds that the jail would be down if it were stopped now.

    The next increment is taken to be as big as what is written during the last round: its size is that of the last one
    scaled by the time that the last one took against the one before it. ZFS's own count is taken where it is more, not
    where it is less: it lacks what is not on disk yet, of up to 5 seconds.
    """
    last = rounds[-1]
    rate = sum(r.bytes for r in rounds) / max(sum(r.seconds for r in rounds), _INSTANT)
    told = (written or 0) / max(rate, 1.0)
    if len(rounds) == 1:
        return (last.seconds if written is None else told) + fixed
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
