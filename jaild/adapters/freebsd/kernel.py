"""What this host's kernel is asked about jails, processes, interfaces and itself: by programs or by system calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from jaild.adapters.freebsd.mounts import Mounting


class Jail(msgspec.Struct, frozen=True, kw_only=True):
    """One jail, also one that is dying: removed, and kept by the kernel while something (a socket) refers to it."""

    jid: int
    name: str
    path: str
    dying: bool


class Kernel(Protocol):
    """How it is asked. All raise `DeadlineExceededError` (COMMAND_TIMEOUT) after two minutes."""

    async def jails(self) -> list[Jail]:
        """Return every jail, dying ones too."""

    async def remove_jail(self, jid: int) -> None:
        """Remove a jail with all that runs in it. Raises what the system said; if there is none, too."""

    async def processes(self, jid: int) -> dict[int, str]:
        """Return pid and name of a jail's processes; none if there is no such jail."""

    async def all_processes(self) -> dict[int, dict[int, str]]:
        """Return pid and name of the processes of all jails, by jid; the host's own have 0."""

    async def values(self, *names: str) -> Mapping[str, str]:
        """Return values of sysctl(8), without those that this kernel does not know."""

    async def interfaces(self) -> frozenset[str]:
        """Return the names of the host's network interfaces."""


@dataclass(frozen=True)
class System:
    """All that the kernel is asked, in one of the two ways."""

    mounting: Mounting
    kernel: Kernel
