"""What a jail's tree is put together from: base, release, generation, data, volumes; parents first."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath

import msgspec


class MountKind(StrEnum):
    """How a layer is mounted."""

    LAYER = "layer"  # a folder of the host: nullfs on FreeBSD, bind on Linux
    TMPFS = "tmpfs"


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One mount of a jail's tree."""

    kind: MountKind
    target: str  # absolute, inside the jail
    source: str = ""  # absolute, on the host; empty for tmpfs
    readonly: bool = False
    size: int = 0  # bytes, tmpfs only; 0: the system's default

    @property
    def depth(self) -> int:
        """How far below the root the target is."""
        return len(PurePosixPath(self.target).parts) - 1


def order(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Return the mounts parents first; equal depths keep their order."""
    return tuple(sorted(mounts, key=lambda m: m.depth))
