"""What is left to do on a host that a jail has left: done at once, and what cannot be done now again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from jaild.domain.errors import JaildError
from jaild.domain.records import Ownership
from jaild.ports.clock import Clock
from jaild.service.driver import Drivers
from jaild.service.events import Events
from jaild.service.index import Entry, Index

Work = Callable[[Entry], Awaitable[None]]
_FIRST_PAUSE = 5.0  # seconds, doubled up to the longest: somebody's shell in the jail's folder may stay there for long
_LONGEST_PAUSE = 600.0
_LEFT = frozenset({Ownership.MOVED, Ownership.FENCED})


class Tidying:
    """Puts away what jails leave behind."""

    def __init__(self, index: Index, drivers: Drivers, events: Events, clock: Clock) -> None:
        self._index = index
        self._drivers = drivers
        self._events = events
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    async def do(self, entry: Entry, *works: Work) -> None:
        """Do all, in the jail's turn. What fails is told and gone on with in the background, until the jail is back."""
        left = await self._left_of(works, entry)
        if not left:
            return
        task = asyncio.create_task(self._go_on(left, entry), name=f"tidying of {entry.name}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _go_on(self, works: Sequence[Work], entry: Entry) -> None:
        pause = _FIRST_PAUSE
        while works:
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            async with self._drivers.turn(f"jails/{entry.name}"):
                if not self._is_away(entry):
                    return
                works = await self._left_of(works, entry)
        await self._events.emit("jail.tidied", f"jails/{entry.name}", "what was left here is put away now")

    def _is_away(self, entry: Entry) -> bool:
        here = self._index.jails.get(entry.name) is entry
        return here and entry.record is not None and entry.record.state in _LEFT

    async def _left_of(self, works: Sequence[Work], entry: Entry) -> list[Work]:
        left = []
        for work in works:
            try:
                await work(entry)
            except (JaildError, OSError) as error:
                left.append(work)
                await self._events.emit("jail.untidy", f"jails/{entry.name}", f"it has left, but: {error}; tried again")
        return left

    async def settled(self) -> None:
        """Wait until everything has been put away."""
        while self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def close(self) -> None:
        """Try no more; the next start does what is left."""
        for task in self._under_way:
            task.cancel()
        await self.settled()
