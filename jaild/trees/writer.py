"""Writes records as a tree: by descriptor, through no link, and each file takes its place when it is whole."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jaild.model.errors import FailedPreconditionError
from jaild.model.filerecords import ALL_BITS, LARGEST, PERMISSIONS, Data, Entry, Kind, Record, invalid, steps_of
from jaild.trees.openat import DEEPEST, look, reached, too_deep

Owner = tuple[int, int]


class TreeWriter:
    """Writes one tree into a folder: as `name`, or with an empty one its contents beside what is there.

    The folder is given open with each call. Between two nothing is open if `rest` was called, so it can be unmounted.
    `drafts`: a folder of the same file system, open too, where files are until they are whole; None: beside their own.
    `owner`: whose all of it will be; None: whose each record says, as far as we may. `preserve`: all bits of the
    permissions. `closed`: paths at and below which nothing is written. A folder that is there stays as it is; what else
    is there is replaced.
    """

    def __init__(
        self,
        name: bytes,
        *,
        owner: Owner | None,
        preserve: bool = False,
        closed: frozenset[bytes] = frozenset(),
    ) -> None:
        self._top = -1
        self._drafts: int | None = None
        self._name = (name,) if name else ()
        self._owner = owner
        self._bits = ALL_BITS if preserve else PERMISSIONS
        self._closed = closed
        self._made: list[Entry] = []  # folders, which get times and modes when all is in them
        self._file: Entry | None = None
        self._temporary = b""
        self._descriptor = -1
        self._end = 0
        self.entries = 0
        self.bytes = 0

    def take(self, folder: int, records: Iterable[Record], drafts: int | None = None) -> None:
        """Write some records. Raises `OSError` as it comes; FILES_INVALID, PATH_TAKEN, PATH_OF_VOLUME."""
        self._top, self._drafts = folder, drafts
        for record in records:
            if isinstance(record, Data):
                self._data(record)
                continue
            self._finish_file()
            if record.kind is not Kind.SKIPPED:
                self._make(record)
                self.entries += 1

    def rest(self) -> None:
        """Close what is open until the next call."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def close(self, folder: int, drafts: int | None = None) -> None:
        """Finish the last file, then the folders, inner ones first."""
        self._top, self._drafts = folder, drafts
        self._finish_file()
        for made in reversed(self._made):
            with reached(self._top, self._steps(made)) as inner:
                self._dress(inner, made)

    def abandon(self, folder: int, drafts: int | None = None) -> None:
        """Take away the file that is not whole; harmless after `close`. Raises `OSError` as it comes."""
        self._top, self._drafts = folder, drafts
        if self._file is not None:
            file, self._file = self._file, None
            self.rest()
            with self._parent(file) as (within, _):
                os.unlink(self._temporary, dir_fd=self._draft(within))

    def _make(self, entry: Entry) -> None:
        if entry.kind is Kind.FOLDER:
            self._folder(entry)
            return
        with self._parent(entry) as (within, name):
            self._require_free(within, name, entry, as_folder=False)
            beside, at = b".jaild-cp-" + secrets.token_hex(8).encode(), self._draft(within)
            match entry.kind:
                case Kind.FILE:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                    self._descriptor = os.open(beside, flags, 0o600, dir_fd=at)
                    self._file, self._temporary, self._end = entry, beside, 0
                    return
                case Kind.HARDLINK:
                    other = Entry(path=entry.target, kind=Kind.FILE)
                    with self._parent(other) as (place, first):
                        os.link(first, beside, src_dir_fd=place, dst_dir_fd=at, follow_symlinks=False)
                case Kind.SYMLINK:
                    os.symlink(entry.target, beside, dir_fd=at)
                    self._dress_name(at, beside, entry)
                case _:
                    os.mkfifo(beside, 0o600, dir_fd=at)
                    self._dress_name(at, beside, entry)
                    os.chmod(beside, entry.mode & self._bits, dir_fd=at)
            os.replace(beside, name, src_dir_fd=at, dst_dir_fd=within)

    def _folder(self, entry: Entry) -> None:
        steps = self._steps(entry)
        if not steps:  # the one whose contents come
            return
        with reached(self._top, steps[:-1]) as within:
            if self._require_free(within, steps[-1], entry, as_folder=True):
                os.mkdir(steps[-1], 0o700, dir_fd=within)
                self._made.append(entry)

    def _require_free(self, within: int, name: bytes, entry: Entry, *, as_folder: bool) -> bool:
        """Return whether nothing is there. PATH_TAKEN for a folder where none is wanted, and the other way round."""
        try:
            there = look(name, within).st_mode
        except FileNotFoundError:
            return True
        if stat.S_ISDIR(there) is not as_folder:
            shown = entry.path.decode("utf-8", "backslashreplace") or name.decode("utf-8", "backslashreplace")
            raise _taken(shown, as_folder=as_folder)
        return False

    def _data(self, data: Data) -> None:
        if self._file is None or data.offset < self._end or len(data.content) > LARGEST:
            raise invalid("bytes that belong to no file, or not in order")
        left = memoryview(data.content)
        offset, descriptor = data.offset, self._open(self._file)
        while left:
            written = os.pwrite(descriptor, left, offset)
            left, offset = left[written:], offset + written
        self._end = offset
        self.bytes += len(data.content)

    def _finish_file(self) -> None:
        if self._file is None:
            return
        file = self._file
        descriptor = self._open(file)
        os.ftruncate(descriptor, max(file.size, self._end))
        self._dress(descriptor, file)
        with self._parent(file) as (within, name):
            os.replace(self._temporary, name, src_dir_fd=self._draft(within), dst_dir_fd=within)
        self._file = None
        self.rest()

    def _open(self, file: Entry) -> int:
        """Return the file under way, opened again if it was closed meanwhile."""
        if self._descriptor < 0:
            with self._parent(file) as (within, _):
                flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                self._descriptor = os.open(self._temporary, flags, dir_fd=self._draft(within))
        return self._descriptor

    def _draft(self, within: int) -> int:
        return within if self._drafts is None else self._drafts

    def _dress(self, descriptor: int, entry: Entry) -> None:
        owner = self._whose(entry)
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, entry.mode & self._bits)  # after the owner: a change of owner takes setuid away
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))

    def _dress_name(self, within: int, name: bytes, entry: Entry) -> None:
        owner = self._whose(entry)
        if owner is not None:
            os.chown(name, *owner, dir_fd=within, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=within, follow_symlinks=False)

    def _whose(self, entry: Entry) -> Owner | None:
        """Return whose it is to be; None where it stays ours: only root gives files away."""
        owner = self._owner or (entry.uid, entry.gid)
        return owner if os.geteuid() == 0 else None

    def _steps(self, entry: Entry) -> tuple[bytes, ...]:
        steps = steps_of(entry.path)
        if len(steps) > DEEPEST:
            raise too_deep()
        for depth in range(1, len(steps) + 1):
            here = b"/".join(steps[:depth])
            if here in self._closed and (depth < len(steps) or entry.kind is not Kind.FOLDER):
                raise _other_dataset(here)
        return (*self._name, *steps)

    @contextmanager
    def _parent(self, entry: Entry) -> Iterator[tuple[int, bytes]]:
        steps = self._steps(entry)
        if not steps:
            raise _taken("the destination", as_folder=False)
        *way, name = steps
        with reached(self._top, way) as folder:
            yield folder, name


def _taken(shown: str, *, as_folder: bool) -> FailedPreconditionError:
    what = "something that is no folder" if as_folder else "a folder"
    return FailedPreconditionError(
        "PATH_TAKEN",
        f"{shown}: {what} is there already",
        hint="move it away, or copy to another path" + ("" if as_folder else ", with the file's name"),
        detail={"path": shown},
    )


def _other_dataset(path: bytes) -> FailedPreconditionError:
    shown = path.decode("utf-8", "backslashreplace")
    return FailedPreconditionError(
        "PATH_OF_VOLUME",
        f"{shown}: something else is mounted there, such as a volume",
        hint="copy what belongs there by itself, to that path",
        detail={"path": shown},
    )
