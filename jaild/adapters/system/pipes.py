"""This side of a program's pipes, or of its terminal: the event loop waits, and read(2) and write(2) alone copy bytes.

asyncio's own streams take 64 KiB at a time, and copy each byte twice on its way in and once on its way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import io
import os
from collections.abc import Callable

_CAPACITY = 1 << 20  # bytes; what an unprivileged process may ask for too, pipe(7)
_CLOSED = -1


def make_pipe(*, large: bool = False) -> tuple[int, int]:
    """Return a new pipe's descriptors: to read from, and to write to. `large`: for streams, where that can be."""
    ends = os.pipe()
    if large:
        # FreeBSD's pipes cannot be told, and Linux refuses when this user's are too large already: slower, no more.
        with contextlib.suppress(AttributeError, PermissionError):
            fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, _CAPACITY)
    return ends


class _End:
    """One end. One task uses it at a time."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._waiting: asyncio.Future[None] | None = None
        self._again: Callable[[], None] | None = None  # makes the attempt that is waited with

    async def _until(
        self, attempt: Callable[[], bool], add: Callable[..., None], remove: Callable[[int], bool]
    ) -> None:
        """Make an attempt at once, and whenever the pipe has something to say, until one returns True."""
        with contextlib.suppress(BlockingIOError):
            if attempt():
                return
        done = self._waiting = asyncio.get_running_loop().create_future()

        def again() -> None:
            if done.done():
                return
            try:
                if attempt():
                    done.set_result(None)
            except BlockingIOError:
                return
            except OSError as error:
                done.set_exception(error)

        add(self._descriptor, again)
        self._again = again
        try:
            await done
        finally:
            self._again = None
            if self._descriptor != _CLOSED:
                remove(self._descriptor)

    def close(self) -> None:
        """Close it; whoever uses it is told. Harmless when said twice."""
        if self._descriptor == _CLOSED:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_writer(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = _CLOSED
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(BrokenPipeError("closed"))


class PipeReader(_End):
    """The end that is read from. When it is closed, that is the end of what comes."""

    _last = False  # nothing comes any more

    def finish(self) -> None:
        """Take what is there for all that comes: who wrote it has ended, though others may keep the other end open."""
        self._last = True
        if self._again is not None:
            self._again()

    async def read(self, size: int) -> bytes:
        """Return what is there as soon as anything is, at most `size` bytes; nothing at the end."""
        piece = b""

        def attempt() -> bool:
            nonlocal piece
            piece = os.read(self._descriptor, size)
            return True

        await self._read(attempt)
        return piece

    async def fill(self, size: int) -> bytes:
        """Return `size` bytes, or what is left before the end."""
        piece = io.BytesIO(bytes(size))  # read into in place: what getvalue() returns are these very bytes
        filled = 0
        with piece.getbuffer() as room:

            def attempt() -> bool:
                nonlocal filled
                with room[filled:] as rest:
                    count = os.readv(self._descriptor, [rest])
                filled += count
                return not count or filled == size

            await self._read(attempt)
        piece.truncate(filled)
        return piece.getvalue()

    async def _read(self, attempt: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()

        def attempt_or_end() -> bool:
            try:
                return attempt()
            except BlockingIOError:
                if not self._last:
                    raise
            except OSError as error:
                if error.errno != errno.EIO:  # of a terminal that nobody has open: FreeBSD reads nothing
                    raise
            return True

        if self._descriptor != _CLOSED:
            with contextlib.suppress(BrokenPipeError):  # a read has no such error: it was closed
                await self._until(attempt_or_end, loop.add_reader, loop.remove_reader)
                await asyncio.sleep(0)  # a pipe that always has something must not have the loop for itself


class PipeWriter(_End):
    """The end that is written to. `BrokenPipeError` when nobody reads any more, or it is closed."""

    async def write(self, data: bytes) -> None:
        """Write all of it."""
        if self._descriptor == _CLOSED:
            raise BrokenPipeError("closed")
        loop, rest = asyncio.get_running_loop(), memoryview(data)

        def attempt() -> bool:
            nonlocal rest
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                if error.errno != errno.EIO:  # see `PipeReader`
                    raise
                raise BrokenPipeError("nobody has the terminal open") from error
            return not rest

        if data:
            await self._until(attempt, loop.add_writer, loop.remove_writer)
