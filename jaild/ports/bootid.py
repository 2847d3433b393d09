"""Port: which boot of the host this is."""

from __future__ import annotations

from typing import Protocol


class BootId(Protocol):
    """The kernel's own word for one boot."""

    async def read(self) -> str:
        """Return what no other boot of the host has; '' where the kernel does not tell."""
