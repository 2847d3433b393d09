"""Walks a folder without following a link, and gives its entries in the order in which they would be packed."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from jaild.model.errors import CancelledError, NotFoundError
from jaild.model.layers.archive import Checker, Entry, EntryKind, Listing, Policy, shown

_KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.SYMLINK,
    stat.S_IFCHR: EntryKind.CHARACTER_DEVICE,
    stat.S_IFBLK: EntryKind.BLOCK_DEVICE,
    stat.S_IFIFO: EntryKind.FIFO,
    stat.S_IFSOCK: EntryKind.SOCKET,
}


def check(source: Path, policy: Policy, stopped: threading.Event) -> Listing:
    """Apply the policy's rules to a folder; blocks, so call it in a thread. `stopped` set: `CancelledError`.

    Raises what `Checker.see` raises, and `NotFoundError` (TREE_MISSING). Two names of one file count as two files.
    """
    if source.is_symlink() or not source.is_dir():
        raise NotFoundError(
            "TREE_MISSING", f"{source} is not a folder", hint="name the folder that holds the unpacked tree"
        )
    checker = Checker(policy)
    for entry in _walk(source, source.lstat().st_dev, checker):
        if stopped.is_set():
            raise CancelledError("CANCELLED", f"the check of {source} was cancelled")
        checker.see(entry)
    return checker.finish()


def _walk(source: Path, device: int, checker: Checker) -> Iterator[Entry]:
    pending = [b""]  # folders whose entries are still to be given, relative to the source, with a slash at their end
    while pending:
        folder = pending.pop()
        with os.scandir(source / os.fsdecode(folder)) as entries:
            for found in entries:
                name = folder + os.fsencode(found.name)
                status = found.stat(follow_symlinks=False)
                if status.st_dev != device:
                    checker.note(f"left out {shown(name)}: another file system is mounted there")
                    continue
                if stat.S_ISDIR(status.st_mode):
                    pending.append(name + b"/")
                yield _entry(name, status, found)


def _entry(name: bytes, status: os.stat_result, found: os.DirEntry[str]) -> Entry:
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    return Entry(
        name=name,
        kind=kind,
        size=status.st_size if kind is EntryKind.FILE else 0,
        mode=stat.S_IMODE(status.st_mode),
        link=os.fsencode(Path(found.path).readlink()) if kind is EntryKind.SYMLINK else b"",
    )
