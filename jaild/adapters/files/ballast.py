"""A file that takes up space, to be given up when there is none left: then what must be written down still can be.

A migration that was begun needs its journal to be undone or finished. So when the file system is full, the ballast goes
and the write is tried again. It is made anew when there is room for it twice over.

Its content is random: file systems that compress would keep zeros for nothing. posix_fallocate(2) is no way: ZFS
refuses it (EINVAL), since a copy-on-write file system cannot keep a block for the next write of it. A snapshot of the
state folder's dataset keeps the blocks of a ballast that was given up: leave it out of automatic snapshots.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from jaild.adapters.files.room import free_bytes
from jaild.model import bounds

_PIECE = 1 << 20


class Ballast:
    """The file. All methods block; they are for the store's own thread."""

    def __init__(self, path: Path, size: int = bounds.BALLAST, free: Callable[[Path], int] = free_bytes) -> None:
        self._path = path
        self._size = size
        self._free = free

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def is_whole(self) -> bool:
        """Return whether it is there in its full size."""
        try:
            return self._path.stat().st_size >= self._size
        except FileNotFoundError:
            return False

    def fill(self) -> bool:
        """Make it if it is not whole and there is room for it twice over; return whether it is whole now.

        Raises `OSError` for whatever is no want of space.
        """
        if self.is_whole():
            return True
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)  # of a crash: it takes room, and nobody would give it up
        if self._free(self._path.parent) < 2 * self._size:
            return False
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                for at in range(0, self._size, _PIECE):
                    rest = memoryview(os.urandom(min(_PIECE, self._size - at)))
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            part.replace(self._path)
        finally:
            part.unlink(missing_ok=True)
        return True

    def give_up(self) -> bool:
        """Remove it; return whether there was anything to remove."""
        try:
            os.truncate(self._path, 0)
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
