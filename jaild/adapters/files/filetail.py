"""The ends of files that grow: logs. A file that is not there yet is an empty one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PIECE = 64 << 10


def size(path: Path) -> int:
    """Return a file's size in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def sizes(folder: Path) -> dict[str, int]:
    """Return the files in a folder with their sizes in bytes; none if it does not exist."""
    found = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # gone meanwhile
                if entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def read_at(path: Path, position: int, length: int) -> bytes:
    """Return at most `length` bytes from `position`; b'' at the end, or if there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(length)
    except FileNotFoundError:
        return b""


def times(folder: Path, names: Iterable[str]) -> dict[str, float]:
    """Return when files of a folder were written last; those that are not there are left out."""
    found = {}
    for name in names:
        with suppress(FileNotFoundError):
            found[name] = (folder / name).stat().st_mtime
    return found


def rename(path: Path, name: str) -> None:
    """Give a file another name in its folder; nothing if there is none."""
    with suppress(FileNotFoundError):
        path.rename(path.with_name(name))


def line_start(path: Path, lines: int, begin: int = 0) -> tuple[int, int]:
    """Return where the last `lines` lines begin, and how many lines were found.

    `begin` if there are fewer: nothing before it is looked at. An unfinished line counts as one.
    """
    end = size(path)
    if end <= begin or lines <= 0:
        return max(end, begin), 0
    missing = lines
    position = end
    with path.open("rb") as file:
        while position > begin:
            start = max(begin, position - _PIECE)
            file.seek(start, os.SEEK_SET)
            piece = file.read(position - start)
            at = len(piece) - 1 if position == end else len(piece)  # the file's last newline ends the last line
            while (at := piece.rfind(b"\n", 0, at)) >= 0:
                missing -= 1
                if missing == 0:
                    return start + at + 1, lines
            position = start
    return begin, lines - missing + 1
