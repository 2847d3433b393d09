"""Folders held open, and files opened in them: what is done there does not depend on who moves or links what meanwhile.

The rule for every tree that a jail's root can write: go down by descriptor, follow no link, open nothing but folders
and regular files (a device or a pipe may never end, and opening one may do something), and stop at a limit.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from jaild.model import bounds, quantity
from jaild.model.errors import ResourceExhaustedError
from jaild.model.operation import clipped

Name = str | bytes

# Folders in folders. Each on the way is a descriptor held open, and a call on the stack: a jail can make them deeper
# than either allows, and no configuration or program does.
DEEPEST = 128
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# What opening says when another thing stands there than was looked at. EMLINK: FreeBSD's word for O_NOFOLLOW.
CHANGED = frozenset({errno.ENOENT, errno.ELOOP, errno.EMLINK, errno.ENOTDIR})


class NotAFileError(OSError):
    """What was to be read is no regular file."""


class StepError(OSError):
    """The way down through folders does not go on at step `depth`, counted from 1: missing, no folder, or a link."""

    def __init__(self, code: int, text: str, step: Name, *, depth: int, is_link: bool) -> None:
        super().__init__(code, text, step)
        self.depth = depth
        self.is_link = is_link


class TreeRoom:
    """What may still be read of a configuration tree, by `jaild.model.bounds`.

    Raises `ResourceExhaustedError` (TREE_TOO_LARGE) when that is used up.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.left = size  # bytes

    def enter(self, path: str) -> None:
        """Count an entry by its path in the tree."""
        if path.count("/") >= bounds.TREE_DEPTH:
            raise self._too_large(path)
        self.take(bounds.TREE_ENTRY + len(path), path)

    def take(self, size: int, path: str) -> None:
        """Count bytes that were read."""
        self.left -= size
        if self.left < 0:
            raise self._too_large(path)

    def _too_large(self, path: str) -> ResourceExhaustedError:
        shown = clipped(path, bounds.AUDIT_FIELD)
        size, depth = quantity.size(self._size), bounds.TREE_DEPTH
        return ResourceExhaustedError(
            "TREE_TOO_LARGE",
            f"the configuration is larger than {size} or deeper than {depth} folders, at {shown}",
            hint="keep what is no configuration in the jail's data or in a volume",
            detail={"path": shown},
        )


def too_deep() -> ResourceExhaustedError:
    """Return TREE_TOO_LARGE for folders in folders beyond DEEPEST."""
    return ResourceExhaustedError(
        "TREE_TOO_LARGE", f"the tree is deeper than {DEEPEST} folders", hint="remove or move what lies that deep"
    )


@contextmanager
def opened(path: Path | Name, *, within: int | None = None) -> Iterator[int]:
    """Open a folder that is no symlink itself; give its descriptor. Raises `OSError` as it comes."""
    descriptor = os.open(path, os.O_RDONLY | _FOLDER, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def reached(top: Path | int, steps: Sequence[Name]) -> Iterator[int]:
    """Go down from the folder `top`, open or itself no symlink, and give a descriptor of the folder where it ends.

    Raises `StepError` for a step that is missing, a link, or no folder; `OSError` as it comes.
    """
    current = os.dup(top) if isinstance(top, int) else os.open(top, os.O_RDONLY | _FOLDER)
    try:
        for depth, step in enumerate(steps, 1):
            following = _next(current, step, depth)
            os.close(current)
            current = following
        yield current
    finally:
        os.close(current)


def _next(folder: int, step: Name, depth: int) -> int:
    try:
        if not stat.S_ISLNK(look(step, folder).st_mode):
            return os.open(step, os.O_RDONLY | _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in CHANGED:
            raise StepError(error.errno or 0, error.strerror or "", step, depth=depth, is_link=False) from error
        raise
    raise StepError(errno.ELOOP, os.strerror(errno.ELOOP), step, depth=depth, is_link=True)


@contextmanager
def reading(name: Path | Name, *, within: int | None = None) -> Iterator[FileIO]:
    """Open a regular file, unbuffered. Raises `NotAFileError` for anything else, `OSError` as it comes."""
    # Looked at beforehand: to open a device may already do something. Looked at again: it may be another one by then.
    _require_file(os.stat(name, dir_fd=within, follow_symlinks=False), name)
    with os.fdopen(os.open(name, _FILE, dir_fd=within), "rb", buffering=0) as file:
        _require_file(os.fstat(file.fileno()), name)
        yield file


def look(name: Name, within: int) -> os.stat_result:
    """Return what `name` in an open folder is, itself and not where it leads."""
    return os.stat(name, dir_fd=within, follow_symlinks=False)


def names_in(folder: int) -> list[str]:
    """Return the names in an open folder, in no order."""
    return os.listdir(folder)


def _require_file(status: os.stat_result, name: Path | Name) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    if not stat.S_ISREG(status.st_mode):
        raise NotAFileError(errno.EINVAL, "not a regular file", name)
