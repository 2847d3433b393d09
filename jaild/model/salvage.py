"""Files on their way from a pool that cannot be read whole: the records of the stream, and what is told of the losses.

A stream is one record after another in MessagePack, each with its length in front (4 bytes, big-endian). Paths are
bytes, relative to the dataset's own folder: a file's name need not be text. A folder comes before what is in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from jaild.model.errors import DataLossError

_LENGTH = 4  # bytes
MAX_RECORD = 2 << 20  # bytes; longer ones come from somebody who does not speak this


class Folder(msgspec.Struct, frozen=True, tag="folder"):
    """A folder; the dataset's own has an empty path."""

    path: bytes
    mode: int
    uid: int
    gid: int
    mtime: int  # nanoseconds since the epoch


class File(msgspec.Struct, frozen=True, tag="file"):
    """A regular file; `Data` follow. What none of them brings is a hole."""

    path: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int


class Data(msgspec.Struct, frozen=True, tag="data"):
    """Bytes of the file before it."""

    offset: int
    content: bytes


class Hardlink(msgspec.Struct, frozen=True, tag="hardlink"):
    """Another name of a file that came before."""

    path: bytes
    to: bytes


class Symlink(msgspec.Struct, frozen=True, tag="symlink"):
    """A symbolic link."""

    path: bytes
    target: bytes
    uid: int
    gid: int
    mtime: int


class Pipe(msgspec.Struct, frozen=True, tag="pipe"):
    """A named pipe."""

    path: bytes
    mode: int
    uid: int
    gid: int
    mtime: int


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    """The file before it could not be read at all: it does not come."""

    path: bytes


Record = Folder | File | Data | Hardlink | Symlink | Pipe | Withdrawn


class Loss(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that did not come, or not whole. `ranges` (from, to) are bytes that are zeros now."""

    path: str  # below the jail's own dataset; bytes that are no text stand as \\xNN
    lost: bool  # nothing of it came; else parts of it are missing
    reason: str
    ranges: tuple[tuple[int, int], ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a salvage brought and what it did not: `salvage.json` on the jail's dataset."""

    source: str  # name of the host
    at: float  # seconds since the epoch
    entries: int  # files, folders and links that came
    losses: tuple[Loss, ...] = msgspec.field(name="damages", default=())  # as it is stored

    @property
    def summary(self) -> str:
        """One line of it."""
        lost = sum(loss.lost for loss in self.losses)
        return f"salvaged from {self.source}: {lost} lost, {len(self.losses) - lost} damaged"


def framed(record: Record) -> bytes:
    """Return a record as it stands in a stream."""
    body = msgspec.msgpack.encode(record)
    return len(body).to_bytes(_LENGTH, "big") + body


class Unframer:
    """Finds the records in a stream that comes in pieces of any size."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._decoder = msgspec.msgpack.Decoder(Record)

    def feed(self, piece: bytes) -> Iterator[Record]:
        """Yield the records that are whole by now. `DataLossError` (SALVAGE_STREAM_INVALID) for anything else."""
        self._rest += piece
        while len(self._rest) >= _LENGTH:
            size = int.from_bytes(self._rest[:_LENGTH], "big")
            if size > MAX_RECORD:
                raise invalid(f"a record of {size} bytes")
            if len(self._rest) < _LENGTH + size:
                return
            body = bytes(self._rest[_LENGTH : _LENGTH + size])
            del self._rest[: _LENGTH + size]
            try:
                yield self._decoder.decode(body)
            except msgspec.DecodeError as error:
                raise invalid(str(error)) from error

    def end(self) -> None:
        """Raise `DataLossError` (SALVAGE_STREAM_INVALID) if the stream ended in the middle of a record."""
        if self._rest:
            raise invalid("it ends in the middle of a record")


def invalid(problem: str) -> DataLossError:
    """Return the error for a stream that is none of files."""
    return DataLossError(
        "SALVAGE_STREAM_INVALID", f"the stream of files is not whole: {problem}", hint="salvage it again"
    )


def shown(path: bytes) -> str:
    """Return a path as text."""
    return path.decode("utf-8", "backslashreplace")


def merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join ranges that touch; they come in order."""
    found: list[tuple[int, int]] = []
    for start, end in ranges:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)
