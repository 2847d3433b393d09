"""Carries the records of a salvage out in an empty folder. No link is followed on the way there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jaild.model.salvage import Data, File, Folder, Hardlink, Pipe, Record, Symlink, Withdrawn, invalid
from jaild.trees.openat import reached


class TreeWriter:
    """Writes one tree. `close` gives folders their times and modes, which writing into them would change."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: list[Folder] = []
        self._file: File | None = None
        self._descriptor = -1
        self.entries = 0

    def take(self, records: Sequence[Record]) -> None:
        """Carry out some records. Raises `OSError` as it comes."""
        for record in records:
            if isinstance(record, Data):
                self._data(record)
                continue
            if isinstance(record, Withdrawn):
                self._withdraw(record)
                continue
            self._finish_file()
            self.entries += 1
            self._make(record)

    def close(self) -> None:
        """Finish the last file, then the folders, inner ones first."""
        self._finish_file()
        for folder in reversed(self._folders):
            with self._parent(folder.path + b"/x" if folder.path else b"x") as (inner, _):
                os.fchown(inner, folder.uid, folder.gid)
                os.fchmod(inner, folder.mode)
                os.utime(inner, ns=(folder.mtime, folder.mtime))

    def abandon(self) -> None:
        """Close what is open; harmless after `close`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _make(self, record: Folder | File | Hardlink | Symlink | Pipe) -> None:
        if isinstance(record, Folder):
            self._folders.append(record)
            if not record.path:
                return
        with self._parent(record.path) as (within, name):
            match record:
                case Folder():
                    os.mkdir(name, 0o700, dir_fd=within)
                case File():
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                    self._descriptor = os.open(name, flags, 0o600, dir_fd=within)
                    self._file = record
                case Hardlink(_, to):
                    with self._parent(to) as (other, first):
                        os.link(first, name, src_dir_fd=other, dst_dir_fd=within, follow_symlinks=False)
                case Symlink(_, target, uid, gid, mtime):
                    os.symlink(target, name, dir_fd=within)
                    os.chown(name, uid, gid, dir_fd=within, follow_symlinks=False)
                    os.utime(name, ns=(mtime, mtime), dir_fd=within, follow_symlinks=False)
                case Pipe(_, mode, uid, gid, mtime):
                    os.mkfifo(name, 0o600, dir_fd=within)
                    os.chown(name, uid, gid, dir_fd=within, follow_symlinks=False)
                    os.chmod(name, mode, dir_fd=within)
                    os.utime(name, ns=(mtime, mtime), dir_fd=within, follow_symlinks=False)

    def _data(self, data: Data) -> None:
        if self._file is None or data.offset < 0 or data.offset + len(data.content) > self._file.size:
            raise invalid("bytes that belong to no file")
        content = memoryview(data.content)
        while content:
            written = os.pwrite(self._descriptor, content, data.offset + len(data.content) - len(content))
            content = content[written:]

    def _finish_file(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        os.ftruncate(self._descriptor, file.size)
        os.fchown(self._descriptor, file.uid, file.gid)
        os.fchmod(self._descriptor, file.mode)  # after the owner: a change of owner takes setuid away
        os.utime(self._descriptor, ns=(file.mtime, file.mtime))
        self.abandon()

    def _withdraw(self, record: Withdrawn) -> None:
        if self._file is None or self._file.path != record.path:
            raise invalid("a file is withdrawn that was not sent")
        self._file = None
        self.abandon()
        self.entries -= 1
        with self._parent(record.path) as (within, name):
            os.unlink(name, dir_fd=within)

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Open the folder that a path is in, step by step; give it and the last name."""
        *steps, name = path.split(b"/")
        if not name or b"\0" in path or any(step in {b"", b".", b".."} for step in (*steps, name)):
            raise invalid(f"{path!r} is no path")
        with reached(self._root, steps) as folder:
            yield folder, name
