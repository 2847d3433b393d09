"""Removes a file or a tree, and never what is mounted in it."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import ExitStack
from pathlib import Path

from jaild.model.errors import FailedPreconditionError
from jaild.trees.openat import DEEPEST, Name, look, names_in, opened

_FULL = frozenset({errno.ENOTEMPTY, errno.EEXIST})  # POSIX leaves the choice


def remove(path: Path) -> None:
    """Remove what is at `path`, a symlink as such; no error if nothing is there. Blocks: call it in a thread.

    Raises `FailedPreconditionError` (TREE_BUSY) before anything is removed if another file system is mounted in it.
    A second mount of the same file system cannot be told by looking on every system: it is found when its turn comes.
    """
    with ExitStack() as stack:
        try:
            parent = stack.enter_context(opened(path.parent.resolve()))
            status = look(path.name, parent)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            _require_no_mounts(path.name, parent, os.fstat(parent).st_dev, path)
        remove_within(path.name, parent, path)


def _require_no_mounts(name: Name, parent: int, device: int, shown: Path, depth: int = 1) -> None:
    with opened(name, within=parent) as folder:
        if os.fstat(folder).st_dev != device:
            raise _busy(shown)
        if depth < DEEPEST:  # what is mounted further below is found when its turn comes
            for inner in names_in(folder):
                if stat.S_ISDIR(look(inner, folder).st_mode):
                    _require_no_mounts(inner, folder, device, shown / inner, depth + 1)


def remove_within(name: Name, parent: int, shown: Path) -> None:
    """Remove `name` from an open folder; `shown` is its path for messages. Raises TREE_BUSY, `OSError` as it comes."""
    if _removed(name, parent, shown):
        return
    with opened(name, within=parent) as top:
        while _emptied(top, top, shown, 1):  # what was too deep to go down to lies in the top folder now
            pass
    os.rmdir(name, dir_fd=parent)


def _removed(name: Name, parent: int, shown: Path) -> bool:
    """Remove what is no folder, or an empty one; return whether it was."""
    try:
        if not stat.S_ISDIR(look(name, parent).st_mode):
            os.unlink(name, dir_fd=parent)
            return True
        # Before its content is touched: rmdir(2) says EBUSY of a mount point, of whatever file system, empty or not.
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _busy(shown) from error
        if error.errno not in _FULL:
            raise
        return False
    return True


def _emptied(folder: int, top: int, shown: Path, depth: int) -> bool:
    """Remove what is in a folder; return whether folders deeper than DEEPEST were moved up to `top` instead."""
    moved = False
    for name in names_in(folder):
        if _removed(name, folder, shown / name):
            continue
        if depth == DEEPEST:
            os.rename(name, f".jaild-deep.{secrets.token_hex(8)}", src_dir_fd=folder, dst_dir_fd=top)
            moved = True
            continue
        with opened(name, within=folder) as inner:
            moved |= _emptied(inner, top, shown / name, depth + 1)
        os.rmdir(name, dir_fd=folder)
    return moved


def _busy(path: Path) -> FailedPreconditionError:
    return FailedPreconditionError(
        "TREE_BUSY",
        f"{path} is a mount point",
        hint=f"unmount it, then try again: umount {path}",
        resource=str(path),
    )
