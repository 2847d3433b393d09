"""Takes a stream that comes in over the API to a file, with its digest and size watched on the way."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from jaild.adapters.files.room import Place, Room
from jaild.model.errors import DataLossError, InternalError, ResourceExhaustedError

_PREFIX = "spool-"


def sha256_file(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal. Blocks: call it in a thread."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> list[Path]:
    """Remove what a crash left in the folder and return it. Call it before the first spool is opened there."""
    if not folder.is_dir():
        return []
    left = sorted(path for path in folder.iterdir() if path.name.startswith(_PREFIX))
    for path in left:
        path.unlink()
    return left


class Spool:
    """One incoming stream: `async with Spool(folder) as spool`, `write` its pieces, then `finish`.

    The file stays after the context only if `finish` gave it out and nothing was raised since: then it is the caller's
    to remove, and `place`, its share of the room, to give back then. `size` is what the sender announced, in bytes.
    """

    def __init__(self, folder: Path, room: Room, *, size: int | None = None) -> None:
        self._folder = folder
        self._announced = size
        self._room = room
        self.place: Place | None = None
        self._path = folder / f"{_PREFIX}{secrets.token_hex(8)}"
        self._digest = hashlib.sha256()
        self._written = 0
        self._file: IO[bytes] | None = None
        self._finished = False

    @property
    def written(self) -> int:
        """Bytes taken so far."""
        return self._written

    async def __aenter__(self) -> Self:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.place = await asyncio.to_thread(self._room.begin, self._announced or 0)
        try:
            self._file = self._path.open("xb", buffering=0)
            self._path.chmod(0o600)
        except OSError:
            self.place.give_back()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if kind is not None or not self._finished:
            self._path.unlink(missing_ok=True)
            if self.place is not None:
                self.place.give_back()

    async def write(self, chunk: bytes) -> None:
        """Take the next piece.

        Raises `InvalidArgumentError` (ARCHIVE_TOO_LARGE), `DataLossError` (STREAM_TRUNCATED: more came than announced),
        `ResourceExhaustedError` (UPLOADS_FULL, NO_SPACE).
        """
        after = self._written + len(chunk)
        if self._announced is not None and after > self._announced:
            raise _wrong_size(after, self._announced)
        await asyncio.to_thread(self._take, chunk)

    async def finish(self, expected_sha256: str = "") -> Path:
        """Flush to disk, compare size and digest (unless empty) and return the file.

        Raises `DataLossError` (STREAM_TRUNCATED, DIGEST_MISMATCH), `ResourceExhaustedError` (NO_SPACE).
        """
        if self._announced is not None and self._written != self._announced:
            raise _wrong_size(self._written, self._announced)
        if expected_sha256 and expected_sha256.lower() != self.sha256:
            raise DataLossError(
                "DIGEST_MISMATCH",
                f"the stream's sha256 is {self.sha256}, announced was {expected_sha256.lower()}",
                hint="compare the file with its origin and send it again",
                detail={"expected": expected_sha256.lower(), "found": self.sha256},
            )
        await asyncio.to_thread(self._flush)
        self._finished = True
        return self._path

    @property
    def sha256(self) -> str:
        """The digest of what was taken so far, in hexadecimal."""
        return self._digest.hexdigest()

    def _open(self) -> IO[bytes]:
        if self._file is None:
            raise InternalError("SPOOL_CLOSED", "a spool was used outside its context", hint="report this")
        return self._file

    def _take(self, chunk: bytes) -> None:
        file, view = self._open(), memoryview(chunk)
        if self.place is not None:
            self.place.write(len(chunk))
        try:
            while view:
                view = view[file.write(view) :]
        except OSError as error:
            raise _failed(error, self._folder) from error
        self._digest.update(chunk)
        self._written += len(chunk)

    def _flush(self) -> None:
        try:
            os.fsync(self._open().fileno())
        except OSError as error:
            raise _failed(error, self._folder) from error


def _wrong_size(size: int, announced: int) -> DataLossError:
    return DataLossError(
        "STREAM_TRUNCATED",
        f"{size} bytes came, {announced} were announced",
        hint="send it again; when it happens again, look at the sender and the network between",
        detail={"announced": str(announced), "found": str(size)},
    )


def _failed(error: OSError, folder: Path) -> ResourceExhaustedError | InternalError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ResourceExhaustedError(
            "NO_SPACE", f"no room left in {folder} for what comes in", hint="free space there, then send it again"
        )
    return InternalError("SPOOL_FAILED", f"writing to {folder} failed: {error}", hint="look at that file system")
