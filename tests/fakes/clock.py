"""A clock that stands still until somebody sleeps or the test sets it."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Implements `jaild.ports.clock.Clock`. `sleep` moves both clocks on and lets the others run; it takes no time."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.time = now
        self.stepped = 0.0  # seconds by which somebody put the wall clock on (or, below 0, back)
        self.booted = 0.0  # the time at which the host was booted: there its monotonic clock begins
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since the epoch, as set."""
        return self.time + self.stepped

    def monotonic(self) -> float:
        """Seconds since the host was booted."""
        return self.time - self.booted

    def reboot(self) -> None:
        """Let the monotonic clock begin anew."""
        self.booted = self.time

    async def sleep(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)
