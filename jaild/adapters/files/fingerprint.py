"""A word for the state of a tree, from what stat(2) tells; content is read only of what changed a moment ago.

Root in the jail writes there meanwhile: so every step is by descriptor, as `openat` says, with its limits.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from jaild.model import bounds
from jaild.trees.openat import CHANGED, NotAFileError, TreeRoom, look, names_in, opened, reading

# Some file systems keep times by the second (seen: zfs-fuse 0.7): within one, times do not tell a change from the next.
_MOMENT = 2.0  # seconds
LIMIT = bounds.TREE_BYTES  # content counts where it changed a moment ago
_PIECE = 1 << 20
_MEANWHILE = CHANGED | {errno.ESTALE}


def state(folder: Path, like: str = "") -> str:
    """Return a word that changes with anything below; '' if the folder does not exist. Blocks: one stat for each entry.

    Change times count, so that content replaced with its old size and time is seen; inodes, so that a swap of two is.
    A word begins with the time from which on changes were told by content: `like` is the earlier word that this one
    will be compared with, so that both tell by content of the same files. Symlinks are looked at and not followed; what
    goes away or is swapped meanwhile is left out; another file system is not entered. Raises `ResourceExhaustedError`
    (TREE_TOO_LARGE) above LIMIT or `bounds.TREE_DEPTH`.
    """
    recent = float(like.partition(" ")[0]) if like else time.time() - _MOMENT
    try:
        with opened(folder) as top:
            status = os.fstat(top)
            look_through = _Walk(recent=recent, device=status.st_dev, room=TreeRoom(LIMIT))
            look_through.lines.append(line(b".", status))
            look_through.folder(top, b"")
    except FileNotFoundError:
        return ""
    return f"{recent} {hashlib.sha256(b''.join(sorted(look_through.lines))).hexdigest()}"


@dataclass(kw_only=True)
class _Walk:
    recent: float
    device: int
    room: TreeRoom
    lines: list[bytes] = field(default_factory=list)

    def folder(self, folder: int, prefix: bytes) -> None:
        for name in names_in(folder):
            path = prefix + os.fsencode(name)
            self.room.enter(os.fsdecode(path))
            try:
                self._entry(folder, name, path)
            except OSError as error:
                if error.errno not in _MEANWHILE and not isinstance(error, NotAFileError):
                    raise
                self.lines.append(b"%s\0changed meanwhile\n" % path)  # the next word differs, whatever this one says

    def _entry(self, folder: int, name: str, path: bytes) -> None:
        status = look(name, folder)
        told = line(path, status)
        if status.st_ctime >= self.recent:
            told += self._content(folder, name, path, status)
        self.lines.append(told)
        if stat.S_ISDIR(status.st_mode) and status.st_dev == self.device:
            with opened(name, within=folder) as inner:
                if os.fstat(inner).st_dev == self.device:
                    self.folder(inner, path + b"/")

    def _content(self, folder: int, name: str, path: bytes, status: os.stat_result) -> bytes:
        if stat.S_ISLNK(status.st_mode):
            return os.fsencode(os.readlink(name, dir_fd=folder))
        if not stat.S_ISREG(status.st_mode) or status.st_dev != self.device:
            return b""
        digest = hashlib.sha256()
        with reading(name, within=folder) as file:
            while piece := file.read(_PIECE):
                self.room.take(len(piece), os.fsdecode(path))
                digest.update(piece)
        return digest.digest()


def line(path: bytes, status: os.stat_result) -> bytes:
    """Return what stat(2) tells of an entry."""
    numbers = (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
    )
    return b"%s\0%s\n" % (path, repr(numbers).encode())
