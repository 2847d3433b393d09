"""What a migration sends next, decided from what both sides have. Snapshots are matched by guid, never by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

PROTOCOL = 1  # between hosts; see jaild.peer.v1
MIGRATION = "mig-"  # what tags of migration snapshots begin with
HOLD = "jaild-migration"  # tag of the holds on both sides
MAX_ROUNDS = 10
MAX_STALLED = 3  # rounds in a row that did not shrink
SLACK = 1.1  # of what has to come: block clones expand on receive, and metadata needs room
_INSTANT = 1e-6  # seconds; a time below says nothing


@dataclass(frozen=True)
class Version:
    """A snapshot on one side."""

    tag: str
    guid: int


@dataclass(frozen=True)
class Nothing:
    """The target has it."""


@dataclass(frozen=True)
class Full:
    """Everything has to be sent."""


@dataclass(frozen=True)
class Increment:
    """From `base`, which both sides have."""

    base: Version


@dataclass(frozen=True)
class Conflict:
    """The target has a dataset of that name that cannot be continued; `newer`: its snapshots after the common one."""

    common: Version | None
    newer: tuple[int, ...]


Path = Nothing | Full | Increment | Conflict


def incremental_path(source: Sequence[Version], target: Sequence[int], wanted: Version) -> Path:
    """Return how `wanted` (the source's newest) gets to a target that has snapshots with these guids, oldest first."""
    if wanted.guid in target:
        return Nothing() if target[-1] == wanted.guid else Conflict(wanted, _after(target, wanted.guid))
    if not target:
        return Full()
    common = next((v for v in reversed(source) if v.guid in target), None)
    if common is None:
        return Conflict(None, tuple(target))
    newer = _after(target, common.guid)
    return Conflict(common, newer) if newer else Increment(common)


def _after(guids: Sequence[int], guid: int) -> tuple[int, ...]:
    return tuple(guids[list(guids).index(guid) + 1 :])


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


def after_round(rounds: Sequence[Round], budget: float, fixed: float) -> Again | Freeze | OverBudget:
    """Decide after a round, given the seconds of blackout that are allowed and those that any move costs.

    The next increment is taken to be as big as what is written during the last round: its size is that of the last one
    scaled by the time that the last one took against the one before it.
    """
    last = rounds[-1]
    rate = sum(r.bytes for r in rounds) / max(sum(r.seconds for r in rounds), _INSTANT)
    measurable = len(rounds) > 1 and rounds[-2].seconds > _INSTANT
    ratio = last.seconds / rounds[-2].seconds if measurable else 1.0
    predicted = last.bytes * ratio / max(rate, 1.0) + fixed if len(rounds) > 1 else last.seconds + fixed
    if len(rounds) > 1 and predicted <= budget:
        return Freeze(predicted)
    if len(rounds) > MAX_ROUNDS or _stalled(rounds):
        return OverBudget(predicted, len(rounds))
    return Again(predicted)


def _stalled(rounds: Sequence[Round]) -> bool:
    if len(rounds) <= MAX_STALLED:
        return False
    tail = rounds[-MAX_STALLED - 1 :]
    return all(b.bytes >= a.bytes for a, b in pairwise(tail))
