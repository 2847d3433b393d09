"""Port: jails of this host that other tools made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class ForeignHost(Protocol):
    """Their files, and their tools."""

    async def texts(self, root: Path, paths: Mapping[str, str]) -> dict[str, str]:
        """Return the texts of those of some files that are there, by the same keys.

        A path is below `root`, or absolute. No link below `root` is followed. `FailedPreconditionError`
        (NOT_A_PLAIN_FILE) for what is no file, or too large.
        """

    async def place(self, folder: str) -> Path | None:
        """Return a folder of the host with all links on the way to it resolved; None if there is none."""

    async def is_running(self, jail: str) -> bool:
        """Return whether the kernel has a jail of this name; on a system without jails it has none."""

    async def run(self, command: Sequence[str]) -> None:
        """Run a tool's own command, as root. `InternalError` (COMMAND_FAILED), `UnavailableError` (PROGRAM_MISSING)."""
