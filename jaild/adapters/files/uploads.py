"""Uploads that may be gone on with (implements `jaild.ports.uploads.Uploads`): a file each, called by its digest."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from jaild.adapters.files.errors import explained
from jaild.adapters.files.room import Place, Room
from jaild.model import bounds
from jaild.model.errors import FailedPreconditionError

_PREFIX = "upload-"
_NAMELESS = "upload--"  # those that were begun without a digest
_PIECE = 1 << 20
KEPT = bounds.UPLOAD_KEPT


class UploadFile:
    """Implements `jaild.ports.uploads.Upload`."""

    def __init__(self, path: Path, file: IO[bytes], place: Place, size: int) -> None:
        self.path = path
        self._file = file
        self._place = place
        self._there = size
        self._size = size

    @property
    def size(self) -> int:
        """See the port."""
        return self._size

    async def content(self) -> AsyncIterator[bytes]:
        """See the port."""
        for start in range(0, self._there, _PIECE):
            size = min(_PIECE, self._there - start)
            yield await asyncio.to_thread(os.pread, self._file.fileno(), size, start)

    async def write(self, chunk: bytes) -> None:
        """See the port."""
        await asyncio.to_thread(self._write, chunk)
        self._size += len(chunk)

    def _write(self, chunk: bytes) -> None:
        self._place.write(len(chunk))
        view = memoryview(chunk)
        with explained(self.path.parent):
            while view:
                view = view[self._file.write(view) :]


class UploadFolder:
    """Those in one folder."""

    def __init__(self, folder: Path, room: Room) -> None:
        self._folder = folder
        self._room = room
        self._open: set[Path] = set()

    async def sweep(self) -> None:
        """Drop those to which nothing was added for `KEPT` seconds, and those that nobody can go on with."""
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if not path.name.startswith(_PREFIX) or path in self._open:
                continue
            if path.name.startswith(_NAMELESS) or time.time() - path.stat().st_mtime > KEPT:
                path.unlink(missing_ok=True)

    async def size(self, key: str) -> int:
        """See the port."""
        try:
            return (await asyncio.to_thread(self._path(key).stat)).st_size
        except FileNotFoundError:
            return 0

    @asynccontextmanager
    async def opened(self, key: str, announced: int) -> AsyncIterator[UploadFile]:
        """See the port."""
        path = self._path(key or f"-{secrets.token_hex(8)}")
        if path in self._open:
            raise FailedPreconditionError(
                "UPLOAD_UNDER_WAY", "this very file is being sent already", hint="wait for that, or end it"
            )
        self._open.add(path)
        try:
            with explained(self._folder):
                size = await asyncio.to_thread(self._ready, path)
            place = await asyncio.to_thread(self._room.begin, max(0, announced - size))
            try:
                with path.open("a+b", buffering=0) as file:
                    path.chmod(0o600)
                    yield UploadFile(path, file, place, size)
            finally:
                place.give_back()
        finally:
            self._open.discard(path)

    def _ready(self, path: Path) -> int:
        """Make room for a file, and return how much of it is there."""
        self._sweep()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.stat().st_size if path.exists() else 0

    async def drop(self, path: Path) -> None:
        """See the port."""
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{_PREFIX}{key}"
