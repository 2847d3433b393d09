"""Copies a tree with hard links and what `filecopy` keeps. No link is followed; what is mounted in it is left out."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from jaild.adapters.files import filecopy
from jaild.model.errors import CancelledError, FailedPreconditionError
from jaild.trees.openat import DEEPEST, look, names_in, opened, reached, reading, too_deep


def copy(
    source: Path, destination: Path, stopped: threading.Event, *, without: Collection[str] = (), below: str = ""
) -> None:
    """Copy the content of a folder into one that is missing or empty, which gets its owner and mode too.

    `below`: of `source` this folder only, reached through no link. Files whose paths are in `without` are left out.
    Sockets, pipes and device nodes are skipped: they belong to who made them.
    Raises `FailedPreconditionError` (DESTINATION_NOT_EMPTY), `ResourceExhaustedError` (TREE_TOO_LARGE) below
    `openat.DEEPEST`, `OSError` as it comes, `CancelledError` when `stopped`.
    """
    with reached(source, PurePosixPath(below).parts) as source_fd:
        with suppress(FileExistsError):
            destination.mkdir(mode=0o700)
        with opened(destination) as destination_fd:
            if names_in(destination_fd):
                raise FailedPreconditionError(
                    "DESTINATION_NOT_EMPTY", f"{destination} is not empty", hint="copy into a new folder"
                )
            _Copy(stopped, frozenset(without), destination_fd).folder(source_fd, destination_fd, "", 1)


@dataclass(frozen=True)
class _Copy:
    stopped: threading.Event
    without: frozenset[str]
    top: int  # the destination
    names: dict[tuple[int, int], str] = field(default_factory=dict)  # inode: the first name of its copy

    def folder(self, source: int, destination: int, prefix: str, depth: int) -> None:
        if depth > DEEPEST:
            raise too_deep()
        mine = os.fstat(source)
        for name in names_in(source):
            if self.stopped.is_set():
                raise CancelledError("CANCELLED", "copying a tree was cancelled")
            status = look(name, source)
            if stat.S_ISDIR(status.st_mode):
                os.mkdir(name, filecopy.first_mode(status.st_uid, status.st_mode, 0o700), dir_fd=destination)
                with opened(name, within=source) as inner_source, opened(name, within=destination) as inner_destination:
                    if status.st_dev == mine.st_dev:
                        self.folder(inner_source, inner_destination, f"{prefix}{name}/", depth + 1)
                    else:
                        filecopy.dress(inner_destination, inner_source)
            elif stat.S_ISREG(status.st_mode):
                if f"{prefix}{name}" not in self.without:
                    self._file(name, source, destination, f"{prefix}{name}")
            elif stat.S_ISLNK(status.st_mode):
                _link(name, status, source, destination)
        filecopy.dress(destination, source)

    def _file(self, name: str, source: int, destination: int, path: str) -> None:
        with reading(name, within=source) as original:
            status = os.fstat(original.fileno())
            first = self.names.setdefault((status.st_dev, status.st_ino), path) if status.st_nlink > 1 else path
            if first != path:
                os.link(first, name, src_dir_fd=self.top, dst_dir_fd=destination, follow_symlinks=False)
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            mode = filecopy.first_mode(status.st_uid, status.st_mode)
            with os.fdopen(os.open(name, flags, mode, dir_fd=destination), "wb", buffering=0) as copied:
                filecopy.write(original.fileno(), copied.fileno(), self.stopped)
                filecopy.dress(copied.fileno(), original.fileno())


def _link(name: str, status: os.stat_result, source: int, destination: int) -> None:
    os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=destination)
    filecopy.own_link(name, destination, status.st_uid, status.st_gid)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=destination, follow_symlinks=False)
