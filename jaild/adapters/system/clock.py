"""The system's clocks."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """`jaild.ports.clock.Clock` as the system has it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        await asyncio.sleep(seconds)
