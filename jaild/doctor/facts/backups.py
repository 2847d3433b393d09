"""What there is of backup targets on this host. Nobody is connected to."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from jaild.doctor.checks.backups import FolderFacts, SshFacts
from jaild.doctor.facts import host
from jaild.model.backups.targets import Ssh, TargetSettings


def targets(settings: Mapping[str, TargetSettings]) -> list[FolderFacts | SshFacts]:
    """Return each, by name."""
    return [_facts(name, each) for name, each in sorted(settings.items())]


def _facts(name: str, settings: TargetSettings) -> FolderFacts | SshFacts:
    if settings.ssh is not None:
        return _ssh(name, settings.ssh)
    path = settings.directory.path if settings.directory is not None else Path()
    return FolderFacts(name=name, path=str(path), there=path.is_dir(), writable=_is_writable(path))


def _is_writable(path: Path) -> bool:
    """Ask the system: a read-only file system refuses root, too."""
    return os.access(path, os.W_OK | os.X_OK)


def _ssh(name: str, settings: Ssh) -> SshFacts:
    mode, uid, knows = None, 0, settings.known_hosts is None
    if settings.identity is not None:
        with suppress(OSError):  # told: it cannot be read
            found = settings.identity.stat()
            mode, uid = stat.S_IMODE(found.st_mode), found.st_uid
    if settings.known_hosts is not None:
        with suppress(OSError):
            knows = settings.known_hosts.stat().st_size > 0
    return SshFacts(
        name=name,
        program=not host.missing(["ssh"]),
        identity=str(settings.identity or ""),
        mode=mode,
        uid=uid,
        known_hosts=str(settings.known_hosts or ""),
        knows=knows,
    )
