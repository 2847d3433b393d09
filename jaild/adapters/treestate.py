"""A word for the state of a tree, from what stat(2) tells; content is read only of what changed a moment ago."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

# Some file systems keep times by the second (seen: zfs-fuse 0.7): within one, times do not tell a change from the next.
_MOMENT = 2.0  # seconds
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def state(folder: Path, like: str = "") -> str:
    """Return a word that changes with anything below; '' if the folder does not exist. Blocks: one stat for each entry.

    Change times count, so that content replaced with its old size and time is seen; inodes, so that a swap of two is.
    A word begins with the time from which on changes were told by content: `like` is the earlier word that this one
    will be compared with, so that both tell by content of the same files. Symlinks are looked at and not followed; what
    goes away meanwhile is left out.
    """
    recent = float(like.partition(" ")[0]) if like else time.time() - _MOMENT
    try:
        lines = [_line(b".", folder.lstat())]
    except FileNotFoundError:
        return ""
    pending = [(os.fsencode(folder), b"")]
    while pending:
        place, prefix = pending.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    lines.append(_told(entry, prefix, recent))
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, prefix + entry.name + b"/"))
        except (FileNotFoundError, NotADirectoryError):
            lines.append(b"%s\0changed meanwhile\n" % prefix)
    return f"{recent} {hashlib.sha256(b''.join(sorted(lines))).hexdigest()}"


def _told(entry: os.DirEntry[bytes], prefix: bytes, recent: float) -> bytes:
    path = prefix + entry.name
    try:
        status = entry.stat(follow_symlinks=False)
        line = _line(path, status)
        return line + _content(entry.path, status) if status.st_ctime >= recent else line
    except OSError:  # gone, or another thing by now: the next word differs, whatever this one says
        return b"%s\0changed meanwhile\n" % path


def _line(path: bytes, status: os.stat_result) -> bytes:
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


def _content(path: bytes, status: os.stat_result) -> bytes:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)  # noqa: PTH115 -- a name is bytes
    if not stat.S_ISREG(status.st_mode):
        return b""
    with os.fdopen(os.open(path, _READ), "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
