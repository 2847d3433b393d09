"""Lines compared with lines, with an end: difflib's matcher, which counts its steps."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import Match, SequenceMatcher
from typing import Any


class TooManyStepsError(Exception):
    """The steps are used up."""


class Steps:
    """A number of steps for any number of comparisons. A step is a line looked at, or a pair of equal lines."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, number: int) -> None:
        """Use up some. `TooManyStepsError` if there are not that many; the next comparison may still be small."""
        if number > self._left:
            raise TooManyStepsError
        self._left -= number

    def matcher(self, _junk: None, one: Sequence[Any], other: Sequence[Any]) -> _Matcher:
        """Return a matcher of two texts; it may raise `TooManyStepsError`. Called as Merge3 calls a matcher's class."""
        return _Matcher(self, one, other)


class _Matcher(SequenceMatcher[Any]):
    def __init__(self, steps: Steps, one: Sequence[Any], other: Sequence[Any]) -> None:
        self._steps = steps
        self._one = one
        steps.take(len(one) + len(other))
        super().__init__(None, one, other)

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        # What the method below is going to do: for each line of a, go through the lines of b that are equal to it.
        end = len(self._one) if ahi is None else ahi
        equal: dict[Any, list[int]] = self.b2j  # type: ignore[attr-defined]  # missing in the stubs
        self._steps.take(end - alo + sum(len(equal.get(self._one[line], ())) for line in range(alo, end)))
        return super().find_longest_match(alo, ahi, blo, bhi)
