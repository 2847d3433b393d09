"""What a source still has to say to its targets: that a migration was aborted. Said until they know it."""

from __future__ import annotations

import msgspec
import structlog

from jaild.domain.errors import JaildError
from jaild.domain.journal import Journal
from jaild.engine.supervisor import BackOff, Supervisor
from jaild.ports.peer import Peers
from jaild.service.events import Events
from jaild.service.journals import Journals

_PAUSE = BackOff(first=0.5, longest=30.0)


class Notices:
    """Tells targets to throw their copies away."""

    def __init__(self, peers: Peers, journals: Journals, events: Events, supervisor: Supervisor) -> None:
        self._peers = peers
        self._journals = journals
        self._events = events
        self._supervisor = supervisor
        self._log = structlog.get_logger("jaild.notices")

    async def tell(self, journal: Journal) -> None:
        """Journal that a migration was aborted and say so; if that cannot be done now, go on in the background."""
        untold = msgspec.structs.replace(journal, notified=False)
        try:
            await self._say(untold)
        except Exception as error:  # noqa: BLE001 -- whatever it was: it is said again until it is known
            self._log.warning("cannot tell yet", peer=journal.peer, migration=journal.id, error=str(error))
            self._supervisor.retry(
                f"abort of {journal.id}",
                lambda: self._say(untold),
                pause=_PAUSE,
                after=_PAUSE.first,
                target=f"jails/{journal.jail}",
            )

    async def _say(self, journal: Journal) -> None:
        await self._journals.put(journal)
        try:
            await self._peers.get(journal.peer).abort(journal.id)
        except JaildError as error:
            if error.reason != "MIGRATION_ACTIVATED":
                raise
            message = f"{journal.peer} runs it although it was never handed over: was it adopted there by force?"
            await self._events.emit("migration.two_owners", f"jails/{journal.jail}", message, migration=journal.id)
        await self._journals.put(msgspec.structs.replace(journal, notified=True))
