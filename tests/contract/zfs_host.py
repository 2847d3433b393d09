"""What the cases of the ZFS contract stand on."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from jaild.model.errors import JaildError
from jaild.ports.zfs import Zfs

MIB = 1 << 20
RECORDSIZE = 128 << 10  # bytes: of every ZFS, if nothing else is said


class Place(Protocol):
    """What a case does with a path of the ZFS: a `Path` where the test sees it, a stand-in where it is elsewhere."""

    @property
    def parent(self) -> Place: ...
    def __truediv__(self, name: str, /) -> Place: ...
    def read_bytes(self) -> bytes: ...
    def write_bytes(self, data: bytes, /) -> int: ...
    def exists(self) -> bool: ...
    def unlink(self) -> None: ...
    def mkdir(self) -> None: ...
    def touch(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class ZfsHost:
    """`top` is an empty mounted dataset for one test; `seen` tells where the test sees a path of the ZFS."""

    zfs: Zfs
    top: str
    seen: Callable[[Path], Place]
    limit: Callable[[str, int], object]  # let (dataset below top, bytes) more be received

    async def file(self, dataset: str, name: str) -> Place:
        point = (await self.zfs.dataset(dataset)).mountpoint
        assert point is not None
        return self.seen(point) / name

    async def write(self, dataset: str, name: str, data: bytes) -> None:
        (await self.file(dataset, name)).write_bytes(data)

    async def read(self, dataset: str, name: str) -> bytes:
        await self.zfs.mount(dataset)
        return (await self.file(dataset, name)).read_bytes()

    async def stream(self, snapshot: str, base: str | None = None) -> bytes:
        async with self.zfs.send(snapshot, base=base) as stream:
            return b"".join([piece async for piece in stream])

    async def guid(self, snapshot: str) -> int:
        found = await self.zfs.snapshots(snapshot.partition("@")[0])
        return next(each.guid for each in found if each.name == snapshot)


def noise(size: int, *, seed: int = 1) -> bytes:
    """Return bytes that no ZFS compresses away, the same each time: streams of them have at least their size."""
    return random.Random(seed).randbytes(size)  # noqa: S311 -- no secret


async def pieces(data: bytes, size: int = MIB) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


# dmu_replay_record (OpenZFS include/sys/zfs_ioctl.h): of a block that is written the offset in its file stands in the
# fourth word, and the record ends with a checksum of the stream before it, which is not compared if it is of zeros.
_RECORD, _OFFSET, _CHECKSUM = 312, 24, 32


async def unending(stream: bytes, block: bytes) -> AsyncIterator[bytes]:
    """Send a stream as far as `block`, the last of a file, then that again and again, always at the file's end.

    It is right as far as one reads it, so that only what the receiver lacks can end it.
    """
    end = stream.rindex(block) + len(block)
    record = bytearray(stream[end - len(block) - _RECORD : end])
    record[_RECORD - _CHECKSUM : _RECORD] = bytes(_CHECKSUM)
    yield stream[:end]
    while True:
        await asyncio.sleep(0)
        (offset,) = struct.unpack_from("=Q", record, _OFFSET)
        struct.pack_into("=Q", record, _OFFSET, offset + len(block))
        yield bytes(record)


async def refused(call: object, kind: type[JaildError], reason: str) -> JaildError:
    with pytest.raises(kind) as caught:
        await call  # type: ignore[misc]
    assert caught.value.reason == reason
    assert caught.value.hint
    return caught.value
