"""Where backups are sent to: the setting `backups` of the configuration, a name for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._:-]{0,253}[A-Za-z0-9])?")  # no option of ssh(1): none begins with -
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")
_DATASET = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9_][A-Za-z0-9_.:-]*)*")


class Ssh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dataset of a host that has ZFS and sshd, and nothing of jaild."""

    host: str  # its name or address
    dataset: str  # below which each jail has one; it must be there
    user: str = ""  # ssh(1)'s own choice if not said
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 22  # of its sshd
    identity: Path | None = None  # file with the private key; ssh's own choice if not said
    known_hosts: Path | None = None  # file with the host's key; ssh's own if not said
    zfs: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("zfs",)  # there: /sbin/zfs, or doas zfs

    def __post_init__(self) -> None:
        """Refuse what ssh(1) would take for something else."""
        if not _HOST.fullmatch(self.host) or (self.user and not _USER.fullmatch(self.user)):
            raise ValueError("host or user is none: give a name or an address, without user@")
        if not _DATASET.fullmatch(self.dataset):
            raise ValueError("dataset is none: give POOL/NAME, as in tank/backups")

    @property
    def destination(self) -> str:
        """What is shown of it."""
        return f"{self.user}@{self.host}:{self.dataset}" if self.user else f"{self.host}:{self.dataset}"


class Directory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder: streams as files, with their checksums."""

    path: Path  # absolute; it must be there
    increments: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 30  # after a full one, before the next full one

    def __post_init__(self) -> None:
        """Refuse a path that depends on where the daemon was started."""
        if not self.path.is_absolute():
            raise ValueError("path must be absolute")

    @property
    def destination(self) -> str:
        """What is shown of it."""
        return str(self.path)


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One target: either of the two is given."""

    ssh: Ssh | None = None
    directory: Directory | None = None

    def __post_init__(self) -> None:
        """Refuse none, and both."""
        if (self.ssh is None) == (self.directory is None):
            raise ValueError("give one of ssh and directory")

    @property
    def destination(self) -> str:
        """What is shown of it."""
        to = self.ssh or self.directory
        return to.destination if to is not None else ""
