"""Reads a tree as records: by descriptor, through no link, and nothing but folders and regular files is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from jaild.model.filerecords import BLOCK, Data, Entry, Kind, Record
from jaild.trees.openat import DEEPEST, Name, look, names_in, opened, reading, too_deep

_ZEROS = bytes(BLOCK)


class TreeReader:
    """Reads one tree. `skip` are paths in it that are left out, since something else is mounted there."""

    def __init__(self, skip: frozenset[bytes] = frozenset()) -> None:
        self._skip = skip
        self._names: dict[tuple[int, int], bytes] = {}  # inode: its first name

    def entry(self, folder: int, name: Name, path: bytes = b"") -> Iterator[Record]:
        """Yield what `name` in an open folder is, as `path`. Raises `OSError` as it comes, TREE_TOO_LARGE."""
        status = look(name, folder)
        if stat.S_ISDIR(status.st_mode):
            with opened(name, within=folder) as inner:
                yield from self.folder(inner, path)
        elif stat.S_ISREG(status.st_mode):
            yield from self._file(folder, name, path, status)
        elif stat.S_ISLNK(status.st_mode):
            target = os.readlink(os.fsencode(name), dir_fd=folder)
            yield _entry(path, Kind.SYMLINK, status, target=target)
        else:
            yield _entry(path, Kind.PIPE if stat.S_ISFIFO(status.st_mode) else Kind.SKIPPED, status)

    def folder(self, folder: int, path: bytes = b"") -> Iterator[Record]:
        """Yield an open folder and what is below it."""
        if path.count(b"/") >= DEEPEST:
            raise too_deep()
        yield _entry(path, Kind.FOLDER, os.fstat(folder))
        for name in sorted(os.fsencode(each) for each in names_in(folder)):
            below = path + b"/" + name if path else name
            if below not in self._skip:
                yield from self.entry(folder, name, below)

    def _file(self, folder: int, name: Name, path: bytes, status: os.stat_result) -> Iterator[Record]:
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1:
            first = self._names.setdefault(inode, path)
            if first != path:
                yield _entry(path, Kind.HARDLINK, status, target=first)
                return
        with reading(name, within=folder) as file:
            yield _entry(path, Kind.FILE, os.fstat(file.fileno()))
            yield from blocks(file.fileno(), status.st_size)


def blocks(descriptor: int, size: int) -> Iterator[Data]:
    """Yield what is in a file of that size but for its zeros, which are holes at the other end.

    The file is read whole: what lseek(2) says of holes (SEEK_DATA) was wrong for files that are just being written on
    OpenZFS before 2.1.14 and 2.2.2 (https://github.com/openzfs/zfs/issues/15526).
    """
    offset = 0
    while offset < size:
        content = os.pread(descriptor, min(BLOCK, size - offset), offset)
        if not content:  # it became shorter meanwhile
            return
        if content != _ZEROS[: len(content)]:
            yield Data(offset, content)
        offset += len(content)


def _entry(path: bytes, kind: Kind, status: os.stat_result, *, target: bytes = b"") -> Entry:
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime_ns,
        size=status.st_size if kind is Kind.FILE else 0,
        target=target,
    )
