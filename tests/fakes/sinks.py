"""A receiver of events that can refuse, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from jaild.model.errors import UnavailableError
from jaild.model.sinks.records import Notice
from jaild.model.sinks.settings import SinkSettings
from jaild.model.syslog import Line
from jaild.ports.sinks import Sink


class Receiver:
    """Implements `jaild.ports.sinks.Sinks`, and every sink that it makes: all of them write to one list."""

    def __init__(self) -> None:
        self.taken: list[Notice] = []
        self.refuses: Callable[[Notice], bool] = lambda _: False
        self.unusable = False
        self.lines: list[Line] = []
        self.batches = 0
        self.away = False
        self.tried = 0
        self._news = asyncio.Event()

    def make(self, settings: SinkSettings) -> Sink:  # noqa: ARG002 -- the port's
        """Return itself, if it can be used."""
        if self.unusable:
            self._told()
            raise UnavailableError("SINK_UNUSABLE", "the secret is not there", hint="put it there")
        return self

    async def deliver(self, notice: Notice) -> None:
        """Take it, or refuse."""
        self.tried += 1
        self._told()
        if self.refuses(notice):
            raise UnavailableError("SINK_REFUSED", "no thanks", hint="ask again")
        self.taken.append(notice)

    def line_bytes(self, address: str) -> int:  # noqa: ARG002 -- the port's
        """As by TCP."""
        return 7680

    async def send_lines(self, address: str, lines: Sequence[Line]) -> None:
        """Take them, or refuse them."""
        self.tried += 1
        self._told()
        if self.away:
            raise UnavailableError("SINK_UNREACHABLE", f"{address}: nobody is there", hint="ask again")
        self.lines += lines
        self.batches += 1

    def _told(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until something is so, which may be each time that it was tried."""
        async with asyncio.timeout(20):
            while not enough():
                await self._news.wait()

    async def took(self, count: int) -> list[str]:
        """Wait until it has taken so many, and return their messages."""
        await self.until(lambda: len(self.taken) >= count)
        return [notice.message for notice in self.taken]
