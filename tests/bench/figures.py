"""What is made of samples: medians, ratios of pairs, goals that are met or not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A number beside the one it should not exceed, or `at_least` reach."""

    name: str
    value: float
    limit: float
    unit: str  # empty for a ratio
    below: bool = False  # must stay under the limit; else it may reach it
    at_least: bool = False  # must reach the limit

    @property
    def met(self) -> bool:
        """Whether it is."""
        if self.at_least:
            return self.value >= self.limit
        return self.value < self.limit if self.below else self.value <= self.limit

    @property
    def told(self) -> str:
        """`<= 1.1`, `< 20 ms`, `>= 0.95`."""
        sign = ">=" if self.at_least else "<" if self.below else "<="
        return f"{sign} {self.limit:g} {self.unit}".rstrip()

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"name": self.name, "value": _short(self.value), "goal": self.told, "met": self.met}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table; texts, empty where there is nothing to say."""

    what: str
    measured: str
    reference: str = ""
    ratio: str = ""
    goal: Goal | None = None


def seconds_of(found: Mapping[str, float]) -> str:
    """The median of a summary of seconds."""
    return f"{found['median']:.3f} s"


def spread_of(found: Mapping[str, float]) -> str:
    """The median of a summary of ratios, and between what it lies."""
    return f"{found['median']:.2f} ({found['min']:.2f} to {found['max']:.2f})"


def summary(samples: Sequence[float]) -> dict[str, Any]:
    """Median, least, greatest, and the samples themselves."""
    return {
        "median": _short(median(samples)),
        "min": _short(min(samples)),
        "max": _short(max(samples)),
        "samples": [_short(sample) for sample in samples],
    }


def ratios(measured: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    """The ratios of samples taken side by side, and what they say: a machine that slows down slows both."""
    return summary([one / other for one, other in zip(measured, reference, strict=True)])


def too_slow(made: int, wanted: int, seconds: float, budget: float) -> bool:
    """Tell whether `wanted` things will not be there within `budget` seconds, each taking at least as long as so far.

    The first 20 tell nothing yet.
    """
    return made >= 20 and seconds * wanted > budget * made


def _short(value: float) -> float:
    return round(value, _DIGITS)
