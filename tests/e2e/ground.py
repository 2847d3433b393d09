"""What a test's host stands on, and what is different there between Linux and FreeBSD."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.e2e.freebsd_ground import FreebsdGround
from tests.e2e.linux_ground import LinuxGround


class Ground(Protocol):
    """The mounts, processes and interfaces of one embedded daemon, which has all it makes in one folder."""

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` among the host's mounts, where its ZFS answers."""

    def seen(self, path: Path) -> Path:
        """Where this process sees a path of the host."""

    def mounts(self) -> list[str]:
        """Where something is mounted in the folder, as the host sees it."""

    def jail_processes(self, name: str = "") -> list[int]:
        """The processes of one jail, or of all."""

    def processes(self) -> list[int]:
        """Everything that runs for the host but a daemon that we are the parent of."""

    def left(self) -> list[str]:
        """What is still on this machine of a host that was destroyed, but for files. Empty: nothing."""

    def cut_power(self) -> None:
        """End whatever runs, and forget what no host has after a reboot. The daemon is dead."""

    def state(self) -> str:
        """How its ZFS is, for whoever reads of a test that failed."""


def of(folder: Path, bridge: str, enter: Sequence[str]) -> Ground:
    """Return this machine's, for a host in `folder`.

    `bridge`: the one that its daemon makes; '' if it makes none. `enter`: the command that enters its network.
    """
    if sys.platform.startswith("freebsd"):
        return FreebsdGround(folder, bridge)
    return LinuxGround(folder, bridge, enter)
