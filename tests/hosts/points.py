"""Which cases of a matrix are tried, as calls that a fault strikes: all, or, for a quick look, one of so many."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

_Case = TypeVar("_Case")


def every() -> int:
    """Return of how many calls one is struck: JAILD_FAULT_EVERY; else 1: all."""
    return max(1, int(os.environ.get("JAILD_FAULT_EVERY", "1")))


def some(cases: Sequence[_Case], seed: str | None = None) -> Sequence[_Case]:
    """Return all cases, or every so many; of a sample other ones each time, by `seed` or the one that pytest prints."""
    step = min(every(), len(cases)) or 1
    chance = random if seed is None else random.Random(seed)  # noqa: S311 -- no secret
    return cases[chance.randrange(step) :: step]


def points(calls: Sequence[str], worth: Callable[[str], bool] = lambda _: True) -> list[tuple[int, str]]:
    """Return (number, call) of those to strike."""
    return list(some([(number, call) for number, call in enumerate(calls) if worth(call)]))
