"""Puts one folder's files over another's: new ones are added, others replaced, what is there besides stays.

Holes and what `filecopy` keeps come with them; two names of one file become two files.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from jaild.adapters.files import filecopy
from jaild.model.errors import CancelledError, InvalidArgumentError
from jaild.trees.openat import look, names_in, opened


def overlay(source: Path, destination: Path, stopped: threading.Event) -> None:
    """Blocks, so call it in a thread. `stopped` set: `CancelledError`. Raises `OSError` as it comes.

    A folder where the destination has a link or file: `InvalidArgumentError` (ARCHIVE_PATH_ESCAPES). A file or link
    takes the place of whatever file or link is there; of a folder: the same error.
    """
    with opened(source) as source_fd, opened(destination) as destination_fd:
        _folder(source_fd, destination_fd, stopped, "")


def _folder(source: int, destination: int, stopped: threading.Event, shown: str) -> None:
    there = set(names_in(destination))
    for name in sorted(names_in(source)):
        if stopped.is_set():
            raise CancelledError("CANCELLED", "copying files was cancelled")
        wanted = look(name, source)
        have = look(name, destination) if name in there else None
        path = f"{shown}/{name}"
        if have is not None and stat.S_ISDIR(have.st_mode) != stat.S_ISDIR(wanted.st_mode):
            raise _in_the_way(path, wanted, have)
        if stat.S_ISDIR(wanted.st_mode):
            if have is None:
                os.mkdir(name, 0o700, dir_fd=destination)
            with opened(name, within=source) as inner, opened(name, within=destination) as into:
                _folder(inner, into, stopped, path)
                if have is None:
                    filecopy.dress(into, inner)
            continue
        if have is not None:
            os.unlink(name, dir_fd=destination)  # never written into: it may have other names
        if stat.S_ISLNK(wanted.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=destination)
            os.chown(name, wanted.st_uid, wanted.st_gid, dir_fd=destination, follow_symlinks=False)
            os.utime(name, ns=(wanted.st_mtime_ns, wanted.st_mtime_ns), dir_fd=destination, follow_symlinks=False)
        else:
            _file(name, source, destination, stopped)


def _file(name: str, source: int, destination: int, stopped: threading.Event) -> None:
    original = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=source)
    with os.fdopen(original, "rb", buffering=0):
        copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=destination)
        with os.fdopen(copy, "wb", buffering=0):
            filecopy.write(original, copy, stopped)
            filecopy.dress(copy, original)


def _in_the_way(path: str, wanted: os.stat_result, have: os.stat_result) -> InvalidArgumentError:
    new = "a folder" if stat.S_ISDIR(wanted.st_mode) else "a file or link"
    old = "a folder" if stat.S_ISDIR(have.st_mode) else "a symlink" if stat.S_ISLNK(have.st_mode) else "a file"
    return InvalidArgumentError(
        "ARCHIVE_PATH_ESCAPES",
        f"{path} is {new}, and {old} is there already",
        hint="copy to another folder, or take away what is there by a step before",
        detail={"path": path},
    )
