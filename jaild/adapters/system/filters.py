"""Streams through zstd(1) and age(1) (implements `jaild.ports.filters.Filters`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence

from jaild.model import bounds
from jaild.model.errors import InvalidArgumentError, command_failed
from jaild.model.exports.header import damaged
from jaild.ports.process import Child, Completed, Processes

_PIECE = 1 << 20
_MEMORY = f"--memory={bounds.EXPORT_WINDOW}"  # those that we write need 2 MiB


class ProgramFilters:
    """By programs."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def compressed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """See the port."""
        async with self._processes.start(["zstd", "-q", "-c"]) as child:
            async for piece in _through(child, chunks):
                yield piece
            done = await child.wait()
        if done.status:
            raise command_failed(done.argv, done.status, done.error_text)

    async def decompressed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """See the port."""
        async with self._processes.start(["zstd", "-q", "-d", "-c", _MEMORY]) as child:
            async for piece in _through(child, chunks):
                yield piece
            done = await child.wait()
        if done.status:
            raise damaged(f"zstd says: {_last_line(done)}")

    async def encrypted(self, chunks: AsyncIterable[bytes], recipients: Sequence[str]) -> AsyncIterator[bytes]:
        """See the port."""
        to = [word for recipient in recipients for word in ("-r", recipient)]
        async with self._processes.start(["age", "-e", *to]) as child:
            async for piece in _through(child, chunks):
                yield piece
            done = await child.wait()
        if done.status:
            raise InvalidArgumentError(
                "INVALID_RECIPIENT",
                f"age encrypts nothing for {', '.join(recipients)}: {_last_line(done)}",
                hint="give a public key of age-keygen(1) (age1...) or of ssh-keygen(1), ed25519 or rsa",
            )


async def _through(child: Child, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Feed a program and yield what it prints, until its end; what `chunks` raises is raised when it has ended."""
    pump = asyncio.ensure_future(_pump(child, chunks))
    try:
        async for piece in child.read(_PIECE, whole=True):
            yield piece
        await pump
    finally:
        pump.cancel()
        await asyncio.wait({pump})


async def _pump(child: Child, chunks: AsyncIterable[bytes]) -> None:
    try:
        async for piece in chunks:
            await child.write(piece)
    except BrokenPipeError:  # it ended early: its status tells why
        return
    except BaseException:
        child.kill()  # so that nobody takes for whole what it would make of the rest
        raise
    await child.close_stdin()


def _last_line(done: Completed) -> str:
    return (done.error_text.strip().splitlines() or [f"status {done.status}"])[-1]
