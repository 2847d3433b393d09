"""A word for the state of a tree, from what stat(2) tells and without reading content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def state(folder: Path) -> str:
    """Return a word that changes with anything below; '' if the folder does not exist. Blocks: one stat for each entry.

    Change times count, so that content replaced with its old size and time is seen; inodes, so that a swap of two is.
    Symlinks are looked at and not followed.
    """
    try:
        lines = [_line(b".", folder.lstat())]
    except FileNotFoundError:
        return ""
    pending = [(os.fsencode(folder), b"")]
    while pending:
        place, prefix = pending.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                path = prefix + entry.name
                lines.append(_line(path, entry.stat(follow_symlinks=False)))
                if entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, path + b"/"))
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


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
