"""A link between two hosts of one machine that can be cut: bytes that wait, as on a cable that is pulled out.

Whoever sends is not told, and what waits arrives when the link is back, unless the sender has given up meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

Address = tuple[str, int]
_PIECE = 1 << 16  # bytes


@dataclass
class Relay:
    """Listens at each key of `routes` and passes on to its value, both ways, while the link is up."""

    routes: Mapping[Address, Address]
    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def up(self) -> None:
        """Let pass."""
        self._loop.call_soon_threadsafe(self._up.set)

    def down(self) -> None:
        """Let nothing pass, neither what is sent nor that a side has closed."""
        self._loop.call_soon_threadsafe(self._up.clear)

    @contextmanager
    def running(self) -> Iterator[Relay]:
        """Relay, in a thread, until the block ends."""
        listening = threading.Event()
        thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve(listening)], daemon=True)
        thread.start()
        listening.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._ended.set)
            thread.join()
            self._loop.close()

    async def _serve(self, listening: threading.Event) -> None:
        self._up.set()
        try:
            servers = [await self._listen(here, there) for here, there in self.routes.items()]
        finally:
            listening.set()
        await self._ended.wait()
        for server in servers:
            server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _listen(self, here: Address, there: Address) -> asyncio.Server:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._up.wait()
                onward, back = await asyncio.open_connection(*there)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, back))
                    both.create_task(self._pass(onward, writer))
            except* OSError:  # one side is gone
                pass
            finally:
                writer.close()

        return await asyncio.start_server(relay, *here)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(_PIECE):
                await self._up.wait()
                writer.write(piece)
                await writer.drain()
            await self._up.wait()
        finally:
            writer.close()
