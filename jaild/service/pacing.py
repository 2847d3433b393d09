"""Letting streams through at the rate that they share."""

from __future__ import annotations

from jaild.domain.bandwidth import Bucket, take
from jaild.ports.clock import Clock


class Pace:
    """A cap of `rate` bytes per second over everything that passes; 0 for none."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._bucket = Bucket(rate) if rate else None
        self._clock = clock

    async def let(self, size: int, *, at_once: bool = False) -> None:
        """Return when `size` bytes may go. What has to go `at_once` is not held up; the others wait for it instead."""
        if self._bucket is None:
            return
        self._bucket, wait = take(self._bucket, self._clock.monotonic(), size)
        if wait and not at_once:
            await self._clock.sleep(wait)
