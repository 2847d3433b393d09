"""Streams: what stands in front of one, reading one from a sender, feeding one to a receiver."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from jaild.adapters.zfs.errors import failure, refusal
from jaild.ports.process import Child, Completed

PIECE = 1 << 20  # bytes of a stream handed on at a time
_GRACE = 30.0  # seconds for a receiver that was told of the end to undo what it had received
# dmu_replay_record with drr_begin (OpenZFS include/sys/zfs_ioctl.h): the same since 2005.
_BEGIN = "IIQQQIIQQ256s"
_MAGIC = 0x2F5BACBAC
_COMPOUND = 2  # DMU_COMPOUNDSTREAM: what `send -R` and `-I` make
_NOTHING = 2 * 312  # bytes: sizeof(dmu_replay_record_t) for DRR_BEGIN and DRR_END
# DMU_BACKUP_FEATURE_RESUMING and _RAW
_RESUMING, _RAW = 1 << 20, 1 << 24


@dataclass(frozen=True, kw_only=True)
class Begin:
    """The first record of a stream."""

    guid: int
    base_guid: int  # 0: a full stream
    resuming: bool
    raw: bool  # of an encrypted dataset, by send -w


def begin(data: bytes, subject: str) -> Begin:
    """Read a stream's first record; raise `DataLossError` (STREAM_INVALID) if it is none, or one of a package."""
    for order in "<>":
        record = struct.Struct(order + _BEGIN)
        if len(data) < record.size:
            break
        _, _, magic, version, _, _, _, guid, base_guid, _ = record.unpack(data[: record.size])
        if magic == _MAGIC and version & 3 != _COMPOUND:
            flags = version >> 2
            return Begin(guid=guid, base_guid=base_guid, resuming=bool(flags & _RESUMING), raw=bool(flags & _RAW))
    raise refusal("STREAM_INVALID", subject, f"cannot receive into {subject}: not the start of a single ZFS stream")


async def opened(chunks: AsyncIterable[bytes], subject: str) -> tuple[Begin, AsyncIterator[bytes]]:
    """Return a stream's first record, and the whole stream."""
    source = aiter(chunks)
    front = b""
    while len(front) < struct.calcsize("<" + _BEGIN):
        piece = await anext(source, None)
        if piece is None:
            break
        front += piece

    async def whole() -> AsyncIterator[bytes]:
        yield front
        async for piece in source:
            yield piece

    return begin(front, subject), whole()


async def sent(child: Child, subject: str) -> AsyncIterator[bytes]:
    """Iterate over what a sender prints. A bad end raises here, before anybody takes the stream for whole."""
    last = b""
    async for piece in child.read(PIECE, whole=True):
        if len(piece) == PIECE:
            yield piece
        else:
            last = piece
    completed = await child.wait()
    if completed.status != 0:
        raise failure(completed, subject)
    if last:
        yield last


async def unless_empty(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Iterate over what a sender prints (`sent`), or over nothing if it is an increment that `is_empty`."""
    first = await anext(stream, b"")
    if len(first) != _NOTHING:  # else it was the last one, too: the sender has ended well
        yield first
        async for piece in stream:
            yield piece


async def is_empty(stream: AsyncIterator[bytes]) -> bool:
    """Tell whether an increment has nothing between its first and its last record (zfs-fuse 0.7.0, OpenZFS 2.3.9)."""
    size = 0
    async for piece in stream:
        size += len(piece)
        if size > _NOTHING:
            return False
    return True


async def feed(child: Child, chunks: AsyncIterator[bytes]) -> Completed:
    """Feed a receiver until the end, or until it ends by itself. What the sender raises comes out after that."""
    exited = asyncio.ensure_future(child.wait())
    pump = asyncio.ensure_future(_pump(child, chunks))
    try:
        # A sender may never come to an end, and its receiver be gone.
        await asyncio.wait({pump, exited}, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()
        else:
            await _cancelled(pump)
        await child.close_stdin()
        return await exited
    except BaseException:
        await _cancelled(pump)
        with contextlib.suppress(TimeoutError):  # leaving the child's context kills it then
            async with asyncio.timeout(_GRACE):
                await child.close_stdin()  # at the end of file it undoes what it has; killed it could not
                await asyncio.wait({exited})
        raise
    finally:
        exited.cancel()


async def _pump(child: Child, chunks: AsyncIterator[bytes]) -> None:
    async for piece in chunks:
        try:
            await child.write(piece)
        except BrokenPipeError:  # its status tells why, and is the error that counts
            return


async def _cancelled(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
