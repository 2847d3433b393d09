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
    source: str = ""  # absolute, on the host, itself no symlink; empty for tmpfs
    within: str = ""  # the folder of `source` that is mounted, relative; a jail may write there, so no link is followed
    readonly: bool = False
    size: int = 0  # bytes, tmpfs only; 0: the system's default

    @property
    def folder(self) -> str:
        """What is mounted, as a path of the host; empty for tmpfs."""
        return f"{self.source}/{self.within}" if self.within else self.source

    @property
    def depth(self) -> int:
        """How far below the root the target is."""
        return len(PurePosixPath(self.target).parts) - 1


def below_writable(mount: Mount, mounts: tuple[Mount, ...]) -> bool:
    """Return whether the target of `mount`, one of `mounts`, is reached through what a jail can write to."""
    place = PurePosixPath(mount.target)
    return any(
        not other.readonly and place != PurePosixPath(other.target) and place.is_relative_to(other.target)
        for other in mounts
    )


def order(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Return the mounts parents first; equal depths keep their order."""
    return tuple(sorted(mounts, key=lambda m: m.depth))
