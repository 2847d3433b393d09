"""What a source still has to say to its targets: that a migration was aborted. Said until they know it."""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from jaild.domain.errors import JaildError
from jaild.domain.journal import Journal
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.service.events import Events
from jaild.service.journals import Journals

_FIRST_PAUSE = 0.5  # seconds, doubled up to the longest
_LONGEST_PAUSE = 30.0


class Notices:
    """Tells targets to throw their copies away."""

    def __init__(self, peers: Peers, journals: Journals, events: Events, clock: Clock) -> None:
        self._peers = peers
        self._journals = journals
        self._events = events
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("jaild.notices")

    async def tell(self, journal: Journal) -> None:
        """Journal that a migration was aborted and say so; if that cannot be done now, go on in the background."""
        untold = msgspec.structs.replace(journal, notified=False)
        await self._journals.put(untold)
        if await self._told(untold):
            return
        task = asyncio.create_task(self._tell_until_known(untold), name=f"abort of {journal.id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _tell_until_known(self, journal: Journal) -> None:
        pause = _FIRST_PAUSE
        while True:
            await self._clock.sleep(pause)
            if await self._told(journal):
                return
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _told(self, journal: Journal) -> bool:
        try:
            await self._peers.get(journal.peer).abort(journal.id)
        except JaildError as error:
            self._log.warning("cannot tell", peer=journal.peer, migration=journal.id, reason=error.reason)
            if error.reason != "MIGRATION_ACTIVATED":
                return False
            message = f"{journal.peer} runs it although it was never handed over: was it adopted there by force?"
            await self._events.emit("migration.two_owners", f"jails/{journal.jail}", message, migration=journal.id)
        await self._journals.put(msgspec.structs.replace(journal, notified=True))
        return True

    async def settled(self) -> None:
        """Wait until everything has been said."""
        while self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def close(self) -> None:
        """Say no more; the next start takes it up again."""
        for task in self._under_way:
            task.cancel()
        await self.settled()
