"""Trees of files as streams (implements `jaild.ports.salvage.FileTrees`): read where the disk still answers."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

from jaild.adapters.files.errors import explain
from jaild.adapters.files.salvage_writer import TreeWriter
from jaild.model.salvage import (
    Data,
    File,
    Folder,
    Hardlink,
    Loss,
    Pipe,
    Record,
    Symlink,
    Unframer,
    Withdrawn,
    framed,
    merged,
    shown,
)
from jaild.ports.salvage import Written
from jaild.trees.openat import DEEPEST, look, names_in, opened, reading

_BLOCK = 128 << 10  # ZFS's usual recordsize: what is damaged is damaged by the record
_SMALL = 4 << 10  # read one by one where a block fails
_BATCH = 512 << 10  # bytes of a stream handed on at a time


class HostFileTrees:
    """On the host's file systems. Blocking work runs in threads."""

    async def read(self, root: Path, losses: list[Loss], *, skip: frozenset[str] = frozenset()) -> AsyncIterator[bytes]:
        """Stream a tree; see the port."""
        records = _Reader(losses, skip).tree(root)
        while piece := await asyncio.to_thread(_batch, records):
            yield piece

    async def write(self, root: Path, chunks: AsyncIterator[bytes]) -> Written:
        """Carry a stream out; see the port."""
        unframer, writer, digest = Unframer(), TreeWriter(root), sha256()
        try:
            async for chunk in chunks:
                digest.update(chunk)
                records = list(unframer.feed(chunk))
                await asyncio.to_thread(writer.take, records)
            unframer.end()
            await asyncio.to_thread(writer.close)
        except OSError as error:
            raise explain(error, root) from error
        finally:
            await asyncio.to_thread(writer.abandon)
        return Written(entries=writer.entries, sha256=digest.hexdigest())


def _batch(records: Iterator[Record]) -> bytes:
    piece = bytearray()
    for record in records:
        piece += framed(record)
        if len(piece) >= _BATCH:
            break
    return bytes(piece)


class _Reader:
    def __init__(self, losses: list[Loss], skip: frozenset[str]) -> None:
        self._losses = losses
        self._skip = skip
        self._names: dict[tuple[int, int], bytes | None] = {}  # inode: its first name, None if it is lost

    def tree(self, root: Path) -> Iterator[Record]:
        try:
            with opened(root) as folder:
                yield from self._folder(folder, b"", os.fstat(folder).st_dev)
        except OSError as error:
            self._lost(b"", error)

    def _folder(self, folder: int, path: bytes, device: int) -> Iterator[Record]:
        status = os.fstat(folder)
        yield Folder(path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns)
        try:
            names = sorted(names_in(folder))
        except OSError as error:
            self._lost(path, error, "its list of names cannot be read: ")
            return
        for name in names:
            if not path and name in self._skip:
                continue
            below = path + b"/" + os.fsencode(name) if path else os.fsencode(name)
            try:
                yield from self._entry(folder, name, below, device)
            except OSError as error:
                self._lost(below, error)

    def _entry(self, folder: int, name: str, path: bytes, device: int) -> Iterator[Record]:
        status = look(name, folder)
        mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid, status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode):
            if status.st_dev != device:  # a dataset of its own, which has a stream of its own
                return
            if path.count(b"/") >= DEEPEST:
                self._losses.append(Loss(path=shown(path), lost=True, reason=f"deeper than {DEEPEST} folders"))
                return
            with opened(name, within=folder) as inner:
                yield from self._folder(inner, path, device)
        elif stat.S_ISREG(status.st_mode):
            yield from self._file(folder, name, path, status)
        elif stat.S_ISLNK(status.st_mode):
            yield Symlink(path, os.fsencode(os.readlink(name, dir_fd=folder)), *owner)
        elif stat.S_ISFIFO(status.st_mode):
            yield Pipe(path, mode, *owner)
        elif not stat.S_ISSOCK(status.st_mode):  # sockets belong to the process that made them
            self._losses.append(Loss(path=shown(path), lost=True, reason="a device node: none is carried"))

    def _file(self, folder: int, name: str, path: bytes, status: os.stat_result) -> Iterator[Record]:
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in self._names:
            first = self._names[inode]
            if first is not None:
                yield Hardlink(path, first)
            else:
                self._losses.append(Loss(path=shown(path), lost=True, reason="another name of a file that is lost"))
            return
        with reading(name, within=folder) as file:
            descriptor, mode = file.fileno(), stat.S_IMODE(status.st_mode)
            yield File(path, mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_size)
            missing, why = [], ""
            for start in range(0, status.st_size, _BLOCK):
                end = min(start + _BLOCK, status.st_size)
                for piece in _read(descriptor, start, end):
                    if isinstance(piece, Data):
                        yield piece
                    else:
                        missing.append(piece[:2])
                        why = piece[2]
        lost = bool(missing) and sum(to - start for start, to in missing) == status.st_size
        self._names[inode] = None if lost else path
        if lost:
            yield Withdrawn(path)
        if missing:
            ranges = () if lost else merged(missing)
            self._losses.append(Loss(path=shown(path), lost=lost, reason=why, ranges=ranges))

    def _lost(self, path: bytes, error: OSError, what: str = "") -> None:
        reason = f"{what}{error.strerror or error}"
        self._losses.append(Loss(path=shown(path) or ".", lost=True, reason=reason))


def _read(descriptor: int, start: int, end: int) -> Iterator[Data | tuple[int, int, str]]:
    """Read a block: as one, and where that fails in small parts. Zeros are holes; what fails is (from, to, why)."""
    try:
        yield from _data(os.pread(descriptor, end - start, start), start)
    except OSError:
        for at in range(start, end, _SMALL):
            to = min(at + _SMALL, end)
            try:
                yield from _data(os.pread(descriptor, to - at, at), at)
            except OSError as error:
                yield at, to, error.strerror or str(error)


def _data(content: bytes, start: int) -> Iterator[Data]:
    if content.count(0) != len(content):
        yield Data(start, content)
