"""Port: FreeBSD's own tools that put a userland together in a folder of the host, or patch one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Packages:
    """What a userland is put together from."""

    repository: str  # a name in the host's configured folder of repositories
    names: tuple[str, ...]  # FreeBSD-set-base-jail
    abi: str  # FreeBSD:15:amd64
    osversion: int  # __FreeBSD_version of what is installed


@dataclass(frozen=True, kw_only=True)
class Patched:
    """What came of patching a userland."""

    changed: bool  # whether there was anything to be done; the tree is as it was if not
    ended: bool  # whether its release has passed its end of life: what is found later is not patched any more


class Userland(Protocol):
    """Runs on the host as root; there is none but on FreeBSD (`UnavailableError`, PROGRAM_MISSING).

    `work` is an empty folder for what is fetched. Raises `InternalError` (COMMAND_FAILED) with the tool's words.
    """

    async def install(self, tree: Path, packages: Packages, work: Path) -> None:
        """Install packages of the base system (pkgbase) into an empty folder."""

    async def patch(self, tree: Path, version: str, work: Path) -> Patched:
        """Bring a userland of `version` (14.1-RELEASE-p2) to its newest patch level."""
