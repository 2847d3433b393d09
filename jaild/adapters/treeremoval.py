"""Removes a file or a tree, and never what is mounted in it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from jaild.adapters.openfolder import Name, look, names_in, opened
from jaild.domain.errors import FailedPreconditionError

_FULL = frozenset({errno.ENOTEMPTY, errno.EEXIST})  # POSIX leaves the choice


def remove(path: Path) -> None:
    """Remove what is at `path`, a symlink as such; no error if nothing is there. Blocks: call it in a thread.

    Raises `FailedPreconditionError` (TREE_BUSY) before anything is removed if another file system is mounted in it.
    A second mount of the same file system cannot be told by looking on every system: it is found when its turn comes.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        _require_no_mounts(path, path.parent.stat().st_dev)
    with opened(path.parent.resolve()) as parent:
        remove_within(path.name, parent, path)


def _require_no_mounts(path: Path, device: int) -> None:
    def fail(error: OSError) -> None:
        raise error

    for folder, _, _ in os.walk(path, onerror=fail):
        if os.lstat(folder).st_dev != device or os.path.ismount(folder):
            raise _busy(Path(folder))


def remove_within(name: Name, parent: int, shown: Path) -> None:
    """Remove `name` from an open folder; `shown` is its path for messages. Raises TREE_BUSY, `OSError` as it comes."""
    try:
        if not stat.S_ISDIR(look(name, parent).st_mode):
            os.unlink(name, dir_fd=parent)
            return
        # Before its content is touched: rmdir(2) says EBUSY of a mount point, of whatever file system, empty or not.
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _busy(shown) from error
        if error.errno not in _FULL:
            raise
    else:
        return
    with opened(name, within=parent) as folder:
        for inner in names_in(folder):
            remove_within(inner, folder, shown / inner)
    os.rmdir(name, dir_fd=parent)


def _busy(path: Path) -> FailedPreconditionError:
    return FailedPreconditionError(
        "TREE_BUSY",
        f"{path} is a mount point",
        remedy=f"unmount it, then try again: umount {path}",
        resource=str(path),
    )
