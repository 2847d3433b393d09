"""What an error of SQLite means to its operator."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from jaild.adapters.files.room import free_bytes
from jaild.model.errors import DataLossError, InternalError, JaildError, ResourceExhaustedError

_NOTHING = 1 << 20  # bytes: less is no space


def failure(error: sqlite3.Error, path: Path) -> JaildError:
    """Return what is raised for an error of the file at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes have the primary one in their low byte
    if is_full(error, path):
        return no_space(path, str(error))
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DataLossError(
            "STORE_DAMAGED",
            f"{path} is damaged: {error}",
            hint="stop the daemon and move the file away: jails are on their datasets, not in it",
        )
    return InternalError("STORE_FAILED", f"{path}: {error}", hint="look at that file and its file system")


def is_full(error: sqlite3.Error, path: Path) -> bool:
    """Return whether an error means that there is no space.

    SQLite says SQLITE_FULL for ENOSPC alone: at a dataset's quota, where ZFS answers EDQUOT, it is an I/O error.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code != sqlite3.SQLITE_IOERR:
        return code == sqlite3.SQLITE_FULL
    try:
        return free_bytes(path.parent) < _NOTHING
    except OSError:
        return False


def no_space(path: Path, why: str) -> ResourceExhaustedError:
    """Return what is raised where there is no room for the file."""
    return ResourceExhaustedError(
        "NO_SPACE", f"no room left for {path}: {why}", hint="free space on its file system, then try again"
    )
