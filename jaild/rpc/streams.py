"""Streams, and what becomes of a use case at the other end of one when its caller hangs up.

One that brings bytes has first a header, then chunks, handed on to a use case as they come, which runs in a task of its
own. When the caller hangs up it is not torn down where it stands: the chunks end with an error (STREAM_TRUNCATED), and
it cleans up in its own time. What a use case yields for a stream of answers is closed (`closing`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import structlog

from jaild.model.errors import DataLossError, InvalidArgumentError, JaildError
from jaild.rpc.auth import Context
from jaild.rpc.chunks import Chunk

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_AHEAD = 4  # messages read ahead of the use case
_workers: set[asyncio.Task[Any]] = set()  # asyncio itself keeps only weak references


async def first(requests: AsyncIterator[Any], field: str = "header") -> Any:
    """Return the header, which the first message must be. Raises `InvalidArgumentError` (HEADER_EXPECTED)."""
    request = await anext(requests, None)
    if request is None or request.WhichOneof("part") != field:
        raise InvalidArgumentError(
            "HEADER_EXPECTED", f"the first message has no {field}", hint=f"send {field} first, and once"
        )
    return getattr(request, field)


async def rest(requests: AsyncIterator[Any], field: str = "chunk") -> AsyncIterator[bytes]:
    """Return what the other messages carry. Raises `InvalidArgumentError` (CHUNK_EXPECTED) for any without it."""
    async for request in requests:
        if request.WhichOneof("part") != field:
            raise InvalidArgumentError(
                "CHUNK_EXPECTED", f"a later message has no {field}", hint=f"send only {field} after the first message"
            )
        yield request.content if isinstance(request, Chunk) else getattr(request, field)


GIVEN_UP = 120.0  # seconds that a use case is given to end after its sender has hung up


async def hand_on(
    requests: AsyncIterator[Any],
    context: Context,
    use_case: Callable[[AsyncIterator[Any]], Awaitable[_T]],
    field: str = "chunk",
) -> _T:
    """Give the chunks to `use_case` and return what it returns, as soon as it does, whether it took all or none."""
    channel = _Channel()
    worker = asyncio.ensure_future(use_case(channel.chunks()))
    _workers.add(worker)
    worker.add_done_callback(_workers.discard)
    reader = asyncio.create_task(_read(requests, context, channel, field))
    try:
        return await asyncio.shield(worker)
    except asyncio.CancelledError:
        channel.end(_truncated())
        ending = asyncio.ensure_future(_ended(worker))  # whatever else befalls this task: what hangs keeps its locks
        _workers.add(ending)
        ending.add_done_callback(_workers.discard)
        await asyncio.shield(ending)
        raise
    finally:
        if not channel.confirming:
            reader.cancel()
        await asyncio.wait({reader})


async def _ended(worker: asyncio.Future[Any]) -> None:
    """Let a use case end whose sender has hung up, and end it if it does not by itself."""
    await asyncio.wait({worker}, timeout=GIVEN_UP)
    if not worker.done():  # it reads no more chunks, so it cannot learn of their end: a receive that hangs
        worker.cancel()
        await asyncio.wait({worker})
    if not worker.cancelled() and (error := worker.exception()) is not None:  # nobody is left to be told
        _log.warning("upload given up", error=repr(error))


async def _read(requests: AsyncIterator[Any], context: Context, channel: _Channel, field: str) -> None:
    try:
        async for chunk in rest(requests, field):
            await channel.put(chunk)
    except JaildError as error:
        channel.end(error)
    except Exception as error:  # noqa: BLE001  # whatever gRPC raises: the use case must learn of the end
        _log.warning("upload broken off", error=repr(error))
        channel.end(_truncated())
    else:
        channel.end(None if await _whole(context, channel) else _truncated())


async def _whole(context: Context, channel: _Channel) -> bool:
    """Return whether the stream that ended was ended by its sender.

    gRPC ends it in the same way when the caller hung up, and says so only later. But then nothing can be sent back,
    which is tried here with the response's (empty) initial metadata. Measured: right in all of 500 tries.
    """
    channel.confirming = True  # cut short, gRPC would send them twice
    try:
        await context.send_initial_metadata(())
    except grpc.aio.BaseError:
        return False
    return not context.cancelled()


class _Channel:
    """A bounded queue of chunks with an end, which may be an error."""

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        self._ended = False
        self._error: JaildError | None = None
        self.confirming = False

    async def put(self, chunk: bytes) -> None:
        """Add a chunk, as soon as there is room."""
        while len(self._queue) >= _AHEAD:
            self._room.clear()
            await self._room.wait()
        self._queue.append(chunk)
        self._news.set()

    def end(self, error: JaildError | None) -> None:
        """Say that no more comes. The first word holds; an error overtakes the chunks before it."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._news.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the chunks until the end; raise the error there, if it is one."""
        while True:
            if self._error is not None:
                raise self._error
            if self._queue:
                chunk = self._queue.popleft()
                self._room.set()
                yield chunk
            elif self._ended:
                return
            else:
                self._news.clear()
                await self._news.wait()


def _truncated() -> DataLossError:
    return DataLossError(
        "STREAM_TRUNCATED",
        "the caller hung up before the end of its stream",
        hint="send it again, from the beginning",
    )


def expected_size(size_bytes: int) -> int:
    """Return how many bytes a header says will come; 0 for unknown. INVALID_SIZE if it is negative."""
    if size_bytes < 0:
        raise InvalidArgumentError(
            "INVALID_SIZE", f"size_bytes is {size_bytes}", hint="give the archive's size, or 0 if it is unknown"
        )
    return size_bytes


@asynccontextmanager
async def closing(items: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """Close an iterator, if it can be closed, when the block ends rather than when the garbage collector comes by."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
