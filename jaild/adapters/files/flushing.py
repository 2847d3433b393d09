"""Bringing what is in memory of a file system to that file system."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def flush(folder: Path) -> None:
    """Flush the file system that holds `folder`: by syncfs(2) where there is one, else (FreeBSD) all, by sync(2).

    FreeBSD writes a mapped file's pages when its last user ends (vinactive(9)), or has them done by sync(2).
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # a folder that is not there is told
    try:
        if syncfs is None:
            os.sync()
        elif syncfs(opened) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(opened)
