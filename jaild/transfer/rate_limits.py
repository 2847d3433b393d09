"""Letting streams through at the rate that they share."""

from __future__ import annotations

from collections.abc import Iterable

from jaild.model.bandwidth import Bucket, take
from jaild.ports.clock import Clock


class RateLimits:
    """Which jails' streams are held to which cap, while an evacuation goes on."""

    def __init__(self) -> None:
        self._by_jail: dict[str, RateLimiter] = {}

    def hold(self, jails: Iterable[str], limiter: RateLimiter) -> None:
        """Let these jails' streams share a cap, also those of moves that are under way."""
        self._by_jail.update(dict.fromkeys(jails, limiter))

    def free(self, jails: Iterable[str]) -> None:
        """Let them go without one."""
        for jail in jails:
            self._by_jail.pop(jail, None)

    async def acquire(self, jail: str, size: int, *, at_once: bool) -> None:
        """Return when `size` bytes of a jail may go."""
        limiter = self._by_jail.get(jail)
        if limiter is not None:
            await limiter.acquire(size, at_once=at_once)


class RateLimiter:
    """A cap of `rate` bytes per second over everything that passes; 0 for none."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._bucket = Bucket(rate) if rate else None
        self._clock = clock

    async def acquire(self, size: int, *, at_once: bool = False) -> None:
        """Return when `size` bytes may go. What has to go `at_once` is not held up; the others wait for it instead."""
        if self._bucket is None:
            return
        self._bucket, wait = take(self._bucket, self._clock.monotonic(), size)
        if wait and not at_once:
            await self._clock.sleep(wait)
