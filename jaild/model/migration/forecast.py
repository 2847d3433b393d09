"""What a jail's hand-over is expected to take beside its last increment, from what stops, starts and moves took.

Each part is taken from what is nearest to it: this jail on that host, this jail here, others. So each learns from what
was measured of it. The last increment is predicted from its rounds, and what that is wrong by is learned apart: a round
of next to nothing still has its snapshot list, its processes and its answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from jaild.model.migration.budget import Parts
from jaild.model.migration.journal import Journal

ALLOWANCE = 1.0  # seconds for what only a move measures, until one from this host has
_LAST = 5  # moves that count


@dataclass(frozen=True)
class FixedCost:
    """What no round makes shorter. Seconds."""

    seconds: float  # all of it
    at_least: bool  # it may be far more: what the jail's stop or its start takes is not known
    parts: Parts
    allowance: float  # for parts that have not been measured
    learned: float  # that last increments took longer than predicted

    def __str__(self) -> str:
        """Name its parts."""
        other = {"not measured yet": self.allowance, "as last increments took longer than predicted": self.learned}
        told = [str(self.parts), *(f"{value:.1f} s {why}" for why, value in other.items() if value)]
        return ", ".join(filter(None, told))

    def hint(self, predicted: float, allowed: float) -> str:
        """Return what can be done about `predicted` seconds where only `allowed` are."""
        enough = f"--max-downtime {math.floor(predicted) + 1}s" + (" or longer" if self.at_least else "")
        other = "see why the jail stops or starts slowly" if self.seconds > allowed else "migrate when less is written"
        return f"allow more: {enough}; {other}; or migrate with --proceed"


def _summed(parts: Parts, allowance: float = 0.0, learned: float = 0.0) -> FixedCost:
    at_least = parts.stop is None or parts.start is None
    return FixedCost(parts.downtime + allowance + learned, at_least, parts, allowance, learned)


NOTHING = _summed(Parts(stop=0.0, start=0.0))  # of a jail that does not run


def fixed_cost(jail: str, peer: str, moves: Iterable[Journal], here: Parts, there: Parts) -> FixedCost:
    """Return what it is expected to be for this jail's move to that peer.

    `moves`: those that this host drove. `here`: what the jail's stop, mounts and start took here last. `there`: what
    the peer says of its own (`usual`).
    """
    newest_first = sorted(moves, key=lambda move: move.created, reverse=True)
    measured = [(move, move.parts) for move in newest_first if move.parts is not None]
    own = [(move.peer, parts) for move, parts in measured if move.jail == jail]
    own_there = [parts for name, parts in own if name == peer]
    last = [(move, parts) for move, parts in measured if move.downtime is not None and move.predicted is not None]
    del last[_LAST:]
    parts = Parts(
        stop=_first(here.stop, *(parts.stop for _, parts in own)),
        flush=_median(parts.flush for _, parts in last),
        snapshot=_median(parts.snapshot for _, parts in last),
        verify=_median(parts.verify for _, parts in last),
        mounts=_first(
            *(parts.mounts for parts in own_there),
            _median(parts.mounts for _, parts in last),
            there.mounts,
            here.mounts,
        ),
        start=_first(*(parts.start for parts in own_there), there.start, here.start),
    )
    errors = (parts.send - move.predicted_send for move, parts in last if parts.send is not None)
    return _summed(parts, 0.0 if last else ALLOWANCE, max(_median(errors) or 0.0, 0.0))


def usual(jail: Parts, others: Iterable[Parts]) -> Parts:
    """Return what mounts and start of a jail take on a host: as they took there last, else the median of all jails."""
    if jail.start is not None:
        return Parts(mounts=jail.mounts, start=jail.start)
    took = list(others)
    return Parts(mounts=_median(each.mounts for each in took), start=_median(each.start for each in took))


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
