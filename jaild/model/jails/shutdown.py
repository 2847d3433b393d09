"""Stopping all jails of a host: in which order, and how long each order is waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby


def groups(orders: Mapping[str, int]) -> list[tuple[int, list[str]]]:
    """Return jails by boot order, lowest first, each order's by name. They are stopped from the end."""
    ranked = sorted(orders, key=lambda name: (orders[name], name))
    return [(order, list(names)) for order, names in groupby(ranked, key=lambda name: orders[name])]


def share(left: float, timeouts: Sequence[float]) -> float:
    """Return how many of the `left` seconds the first of some groups is waited for.

    `timeouts` has for each group still to be stopped the longest stop.timeout of its jails, the next one first. Where
    the time is enough for all, each gets at least its own; where it is not, each gets the same part of its own, so that
    the last one is asked to stop in time as well.
    """
    wanted = sum(timeouts)
    return max(0.0, left) * (timeouts[0] / wanted if wanted else 1 / len(timeouts))
