"""What a source still has to say.

To its targets that a migration was aborted, until they know it; to the jail's standbys whom it was handed to, since
they believe that of nobody but its owner.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from jaild.engine.events import Events
from jaild.engine.supervisor import BackOff, Supervisor
from jaild.model.errors import JaildError
from jaild.model.migration.journal import Journal
from jaild.model.migration.received import standbys_of
from jaild.model.replication.protocol import Supersession
from jaild.ports.peer import Peers
from jaild.transfer.journal import Journals

_PAUSE = BackOff(first=0.5, longest=30.0)
_HANDED_ON = BackOff(first=1.0, longest=60.0)
_TRIES = 12  # at telling a standby whom the jail was handed to: some ten minutes


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

    def hand_on(self, journal: Journal) -> None:
        """Tell the standbys of a jail, in the background, that it is the target's now.

        One that does not hear of it asks this host when its new owner speaks to it.
        """
        told = Supersession(
            jail=journal.jail,
            uid=journal.offer.jail.uid,
            epoch=journal.epoch,
            owner=journal.peer_id,
            owner_name=journal.peer,
        )
        for host in standbys_of(journal.offer.jail, journal.peer):
            self._supervisor.retry(
                f"tell {host} of {journal.id}",
                self._handing_on(told, host),
                pause=_HANDED_ON,
                target=f"jails/{journal.jail}",
            )

    def _handing_on(self, told: Supersession, host: str) -> Callable[[], Awaitable[None]]:
        tries = itertools.count(1)

        async def say() -> None:
            try:
                await self._peers.get(host).standby.supersede(told)
            except JaildError as error:
                if next(tries) < _TRIES:
                    raise
                self._log.warning("a standby was not told", jail=told.jail, host=host, reason=error.reason)

        return say

    async def _say(self, journal: Journal) -> None:
        await self._journals.put(journal)
        try:
            await self._peers.get(journal.peer).abort(journal.id)
        except JaildError as error:
            if error.reason == "PEER_UNKNOWN":  # taken out of the configuration: there is nobody to tell any more
                await self._journals.put(msgspec.structs.replace(journal, notified=True))
                return
            if error.reason != "MIGRATION_ACTIVATED":
                raise
            message = f"{journal.peer} runs it although it was never handed over: was it adopted there by force?"
            await self._events.emit("migration.two_owners", f"jails/{journal.jail}", message, migration=journal.id)
            journal = msgspec.structs.replace(journal, adopted=True)
        await self._journals.put(msgspec.structs.replace(journal, notified=True))
