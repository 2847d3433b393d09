"""Folders held open, so that what is done in them does not depend on who moves or links what above them meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Name = str | bytes


@contextmanager
def opened(path: Path | Name, *, within: int | None = None) -> Iterator[int]:
    """Open a folder that is no symlink itself; give its descriptor. Raises `OSError` as it comes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def look(name: Name, within: int) -> os.stat_result:
    """Return what `name` in an open folder is, itself and not where it leads."""
    return os.stat(name, dir_fd=within, follow_symlinks=False)


def names_in(folder: int) -> list[str]:
    """Return the names in an open folder, in no order."""
    return os.listdir(folder)
