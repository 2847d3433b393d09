"""What a client was promised, and when: every acknowledged number, and the longest silence within a step."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise


class UnknownStepError(Exception):
    """A step that was not marked, or that was marked twice."""


@dataclass
class Ledger:
    """Acknowledgements in the order of their times, and the steps that were marked. Times are monotonic seconds."""

    numbers: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    steps: dict[str, float] = field(default_factory=dict)

    def acknowledge(self, number: int, at: float) -> None:
        """The server answered that `number` is written."""
        self.numbers.append(number)
        self.times.append(at)

    def mark(self, step: str, at: float) -> None:
        """`step` begins, and so the one before it ends."""
        if step in self.steps:
            raise UnknownStepError(f"step {step!r} was marked before")
        self.steps[step] = at

    def span(self, step: str, now: float) -> tuple[float, float]:
        """When `step` began and ended: when the next one began, or now."""
        if step not in self.steps:
            raise UnknownStepError(f"step {step!r} was never marked")
        start = self.steps[step]
        return start, min((at for at in self.steps.values() if at > start), default=now)

    def spoke_since(self, moment: float) -> bool:
        """Whether there is an acknowledgement at or after `moment`."""
        return bool(self.times) and self.times[-1] >= moment

    def longest_gap(self, start: float, end: float, now: float) -> float:
        """Seconds of the longest interval between acknowledgements that touches `start` to `end`.

        An interval that reaches over either counts whole; one that has not ended yet counts up to now.
        Before the first acknowledgement there is no service and so no gap.
        """
        first = max(bisect_right(self.times, start) - 1, 0)
        last = bisect_left(self.times, end)
        points = list(self.times[first : last + 1])
        if points and last == len(self.times):
            points.append(now)
        return max((later - earlier for earlier, later in pairwise(points)), default=0.0)

    def lost(self, found: set[int], acknowledged: int) -> list[int]:
        """Those of the first `acknowledged` numbers that are not among those found."""
        return [number for number in self.numbers[:acknowledged] if number not in found]
