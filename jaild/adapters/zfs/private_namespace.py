"""A mount namespace of the daemon's own, so that a private zfs-fuse and its mounts are nobody else's (Linux only).

    start ──> is the folder's zfs-fuse alive? ──yes──> nsenter its namespace: the mounts of the last daemon are back
                       └──no──> unshare a new one, in which `EmbeddedPool.start` starts zfs-fuse

The daemon replaces itself by exec, before there is an event loop: a namespace is entered by a process of one thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jaild.model.errors import PermissionDeniedError, UnavailableError

MARKER = "JAILD_PRIVATE_NAMESPACE"  # environment: the folder whose namespace this process is in


def kernel_has_zfs() -> bool:
    """Tell whether the kernel's own ZFS is there, so that neither zfs-fuse nor a namespace is needed."""
    return sys.platform.startswith("freebsd") or Path("/dev/zfs").exists()


def pid_file(folder: Path) -> Path:
    """Return where the folder's zfs-fuse writes its process id."""
    return folder / "zfs-fuse.pid"


def running(folder: Path) -> int | None:
    """Return the process id of the folder's zfs-fuse, if it is alive.

    A recycled id is no match: the process must be a zfs-fuse that was started with this folder's pid file.
    """
    try:
        pid = int(pid_file(folder).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    mine = Path(os.fsdecode(words[0])).name == "zfs-fuse" and os.fsencode(pid_file(folder)) in words
    return pid if mine else None


def enter(folder: Path, argv: Sequence[str]) -> None:
    """Return if this process is where it belongs; else become `argv` (this same program) there, and do not return.

    `folder` must be absolute. Raises `PermissionDeniedError` (NOT_ROOT), `UnavailableError` (PROGRAM_MISSING).
    """
    if kernel_has_zfs() or os.environ.get(MARKER) == str(folder):
        return
    if os.geteuid() != 0:
        raise PermissionDeniedError("NOT_ROOT", "a private zfs-fuse needs root", hint="run jaild as root")
    os.environ[MARKER] = str(folder)
    pid = running(folder)
    if pid is None:
        _become(["unshare", "--mount", "--propagation", "private", "--", *argv])
    # Entering would leave us in /: relative paths on the command line mean what they meant before.
    _become(["nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--wdns={Path.cwd()}", "--", *argv])


def _become(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606 -- this process itself, no shell
    except FileNotFoundError as error:
        raise UnavailableError(
            "PROGRAM_MISSING", f"{command[0]}: no such program", hint="install util-linux", resource=command[0]
        ) from error
