"""Exports that come in: taken to a file, or read where they lie, and whole before anybody is given them.

A stream that is broken off may be gone on with if its sender had said its SHA-256: what came is kept for a day.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from jaild.engine.build import Engine
from jaild.engine.concurrency import to_its_end
from jaild.model import quantity
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError
from jaild.model.exports.container import Contents, Reader
from jaild.model.exports.header import Header, damaged
from jaild.ports.files import Files
from jaild.ports.filters import Filters

_KEY = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20  # bytes that are read at a time
_CUT_OFF = frozenset({"STREAM_TRUNCATED", "NO_SPACE", "UPLOADS_FULL"})  # what says nothing against what has come


@dataclass(frozen=True, kw_only=True)
class Stream:
    """How an export comes. `sha256`: of the whole file; empty: it comes in one go. `size`: 0 if it is not known."""

    sha256: str = ""
    size: int = 0  # bytes of the whole file
    offset: int = 0  # at which the stream begins


class ExportFile:
    """An export that is whole."""

    def __init__(self, path: Path, contents: Contents, files: Files, filters: Filters) -> None:
        self.path = path
        self._contents = contents
        self._files = files
        self._filters = filters

    @property
    def header(self) -> Header:
        """What it says of itself."""
        return self._contents.header

    @asynccontextmanager
    async def section(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give what was written as a section. Reading raises `DataLossError` (EXPORT_DAMAGED)."""
        compressed = self._compressed(name)
        async with aclosing(compressed), aclosing(self._filters.decompressed(compressed)) as content:  # type: ignore[type-var]
            yield content

    async def content(self, name: str, most: int) -> bytes:
        """Return a section of at most so many bytes."""
        found = bytearray()
        async with self.section(name) as pieces:
            async for piece in pieces:
                found += piece
                if len(found) > most:
                    raise damaged(f"{name} has more than {quantity.size(most)}")
        return bytes(found)

    async def _compressed(self, name: str) -> AsyncIterator[bytes]:
        for position, size in self._contents.sections[name].ranges(self.header.part):
            for start in range(0, size, _PIECE):
                wanted = min(_PIECE, size - start)
                piece = await self._files.read_at(self.path, position + start, wanted)
                if len(piece) < wanted:
                    raise damaged("it was cut off after it had been checked")
                yield piece


class Incoming:
    """Takes them."""

    def __init__(self, engine: Engine) -> None:
        self._files = engine.ports.files
        self._filters = engine.ports.filters
        self._uploads = engine.ports.uploads

    async def size(self, sha256: str) -> int:
        """Return how many bytes of a file with this digest are here, to be gone on with."""
        return await self._uploads.size(_key(sha256))

    async def take(self, chunks: AsyncIterator[bytes], stream: Stream) -> ExportFile:
        """Take one as a stream. What is wrong with it is raised as soon as that comes; `drop` it when done.

        `FailedPreconditionError` (UPLOAD_MOVED, UPLOAD_UNDER_WAY, EXPORT_TOO_NEW), `DataLossError` (EXPORT_DAMAGED,
        EXPORT_TRUNCATED, STREAM_TRUNCATED), `InvalidArgumentError` (NOT_AN_EXPORT, EXPORT_ENCRYPTED, INVALID_DIGEST).
        """
        key = _key(stream.sha256) if stream.sha256 else ""
        async with self._uploads.opened(key, stream.size) as upload:
            if upload.size != stream.offset:
                raise FailedPreconditionError(
                    "UPLOAD_MOVED",
                    f"the file is here up to {upload.size}, and the stream begins at {stream.offset}",
                    hint="ask again how much is here, and go on from there",
                    detail={"size": str(upload.size)},
                )
            reader = Reader()
            try:
                async for piece in upload.content():
                    reader.feed(piece)
                async for chunk in chunks:
                    reader.feed(chunk)
                    await upload.write(chunk)
                contents = reader.finish()
            except BaseException as error:
                if not key or (isinstance(error, JaildError) and error.reason not in _CUT_OFF):
                    await to_its_end(self._uploads.drop(upload.path))
                raise
        return self._file(upload.path, contents)

    async def read(self, path: Path) -> ExportFile:
        """Check one that lies on this host. `NotFoundError` (FILE_NOT_FOUND), and as `take`."""
        if not path.is_absolute():
            raise InvalidArgumentError(
                "PATH_NOT_FOUND",
                f"{str(path)!r} is not absolute: the daemon has another working folder",
                hint="begin it with /",
            )
        reader, position = Reader(), 0
        while piece := await self._files.read_at(path, position, _PIECE):
            reader.feed(piece)
            position += len(piece)
        return self._file(path, reader.finish())

    async def drop(self, file: ExportFile) -> None:
        """Remove one that was taken."""
        await self._uploads.drop(file.path)

    def _file(self, path: Path, contents: Contents) -> ExportFile:
        return ExportFile(path, contents, self._files, self._filters)


def _key(sha256: str) -> str:
    if not _KEY.fullmatch(sha256.lower()):
        raise InvalidArgumentError(
            "INVALID_DIGEST", f"{sha256!r} is no SHA-256", hint="give 64 hexadecimal digits, or nothing"
        )
    return sha256.lower()
