"""A command that runs: what it is given, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from jaild.ports.process import Child, Completed, TerminalSize
from jaild.ports.runtime import END_OF_STDIN, HANG_UP, Input, Output

_AHEAD = 16  # pieces of output that are read before the caller takes them: a slow caller slows the command


class Streams:
    """The streams of one command. `errors` is what the child is to be started with."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[Output | None] = asyncio.Queue(_AHEAD)

    async def errors(self, piece: bytes) -> None:
        """Take a piece of stderr."""
        await self._pieces.put(Output(stderr=piece))

    async def outputs(
        self, child: Child, inputs: AsyncIterator[Input] | None, send: Callable[[signal.Signals], None]
    ) -> AsyncGenerator[Output, None]:
        """Give it its input, signals by `send`, and yield both its streams as they come, then its status."""
        feeder = asyncio.create_task(_feed(child, inputs, send))
        reader = asyncio.create_task(self._read(child))
        try:
            while (output := await self._pieces.get()) is not None:
                yield output
            status = (await reader).status
            if feeder.done():
                feeder.result()  # a client whose stream broke must not be told that all went well
            yield Output(exit_status=status if status >= 0 else 128 - status)  # as a shell says it
        finally:
            feeder.cancel()
            reader.cancel()
            await asyncio.wait({feeder, reader})

    async def _read(self, child: Child) -> Completed:
        """Queue stdout, wait for the end, and say that nothing more comes (stderr is queued beside this)."""
        try:
            async for piece in child.read():
                await self._pieces.put(Output(stdout=piece))
            completed = await child.wait()
        except Exception:
            await self._pieces.put(None)
            raise
        await self._pieces.put(None)
        return completed


async def hang_up(child: Child) -> None:
    """Take a command's terminal away and give it the time to end."""
    child.hang_up()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HANG_UP):
            await child.wait()


async def _feed(child: Child, inputs: AsyncIterator[Input] | None, send: Callable[[signal.Signals], None]) -> None:
    """Hand all `inputs` on, and say end of file once. If they themselves fail, kill the command and raise."""
    takes = True  # more of stdin
    try:
        async for item in inputs or _nothing():
            if isinstance(item, TerminalSize):
                child.resize(item)
            elif isinstance(item, signal.Signals):
                send(item)
            elif item == END_OF_STDIN:
                takes = False
                await child.close_stdin()
            else:
                with contextlib.suppress(BrokenPipeError):  # it reads no more, but takes signals still
                    await child.write(item)
    except Exception:
        child.kill()
        raise
    finally:
        if takes:
            await child.close_stdin()


async def _nothing() -> AsyncIterator[Input]:
    return
    yield
