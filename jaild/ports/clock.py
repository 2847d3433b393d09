"""Port: time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Both clocks; a fake one makes tests quick."""

    def now(self) -> float:
        """Seconds since the epoch, for records."""

    def monotonic(self) -> float:
        """Seconds that never jump, for durations."""

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
