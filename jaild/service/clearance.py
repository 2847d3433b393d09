"""Before a jail with standbys is started at boot: its standbys are asked whether one has taken it over.

Every one must answer, or the operator must vouch for it: a host that was away cannot know by itself, and a standby that
is silent may be the owner by now. A jail that ran on while only its daemon was away does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from jaild.domain import authority
from jaild.domain.authority import Intent, Refusal
from jaild.domain.errors import JaildError
from jaild.domain.journal import Phase
from jaild.domain.records import JailRecord, Ownership
from jaild.domain.replication import Known
from jaild.domain.standby import Superseded, Unheard, to_be_heard, verdict, vouching
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.service.events import Events
from jaild.service.fencing import Fencing
from jaild.service.index import Entry, Index
from jaild.service.journals import Journals

PATIENCE = 60.0  # seconds without an answer after which people are told
_FIRST_PAUSE = 0.5  # seconds, doubled up to the longest
_LONGEST_PAUSE = 5.0


class Clearance:
    """Asks standbys."""

    def __init__(
        self, index: Index, peers: Peers, journals: Journals, fencing: Fencing, events: Events, clock: Clock
    ) -> None:
        self._index = index
        self._peers = peers
        self._journals = journals
        self._fencing = fencing
        self._events = events
        self._clock = clock
        self._optional: dict[str, frozenset[str]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._log = structlog.get_logger("jaild.clearance")

    def hold_back(self) -> None:
        """Let no jail start, from now on, that is not running and whose standbys have not been heard."""
        for entry in self._index.jails.values():
            record = entry.record
            running = entry.run is not None and entry.run.running
            if record is not None and (self._is_owned(entry) or record.state is Ownership.FROZEN) and not running:
                spec = entry.generation.spec if entry.generation is not None else None
                needed = to_be_heard(record, spec, self._index.host_name)
                self._optional[entry.name] = self._targets(entry.name) - needed
                entry.unheard = needed | self._optional[entry.name]

    def _targets(self, jail: str) -> frozenset[str]:
        """Return the hosts that a migration of a jail was on its way to when the daemon ended: one may have adopted it.

        They are asked once: a source that crashed starts its jail whether its target can be reached or not.
        """
        unfinished = {Phase.SENDING, Phase.FROZEN}
        return frozenset(
            journal.peer
            for journal in self._journals.outgoing()
            if journal.jail == jail and (journal.phase in unfinished or not journal.notified or journal.adopted)
        )

    def go_on(self, start: Callable[[Entry], Awaitable[None]]) -> None:
        """Ask, in the background, about every jail that is held back; `start` those that may."""
        for entry in self._index.jails.values():
            if entry.unheard and entry.name not in self._asking:
                task = asyncio.create_task(self._start_when_heard(entry, start), name=f"ask about {entry.name}")
                self._asking[entry.name] = task

    async def _start_when_heard(self, entry: Entry, start: Callable[[Entry], Awaitable[None]]) -> None:
        try:
            if await self.heard(entry):
                await start(entry)
        finally:
            del self._asking[entry.name]

    async def over(self, jail: str) -> None:
        """Wait until a jail that is held back has been started, or is known to be another host's."""
        task = self._asking.get(jail)
        if task is not None:
            await asyncio.wait({task})

    async def settled(self) -> None:
        """Wait until all have been heard."""
        while self._asking:
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def close(self) -> None:
        """Ask no more; the next start does it again."""
        for task in list(self._asking.values()):
            task.cancel()
        await self.settled()

    async def heard(self, entry: Entry) -> bool:
        """Ask until the jail may start (True), or is known to be another host's (False)."""
        began, pause, told = self._clock.monotonic(), _FIRST_PAUSE, False
        while asked := entry.unheard:
            if not self._is_owned(entry) or (record := entry.record) is None:
                return False
            found = verdict(record.epoch, await self.answers(entry.name, record.uid, asked))
            if isinstance(found, Superseded):
                self._log.warning("superseded", jail=entry.name, by=found.known.owner_name, told_by=found.host)
                await self._fence(entry, found.known)
                continue
            silent = found.hosts if isinstance(found, Unheard) else ()
            # What an operator said meanwhile, and what else came up, stands: only who was heard now is taken away.
            entry.unheard -= (asked - set(silent)) | self._optional.get(entry.name, frozenset())
            if not entry.unheard:
                entry.message = ""
                break
            entry.message = f"waits for {', '.join(sorted(entry.unheard))}: has it been taken over?"
            if not told and self._clock.monotonic() - began >= PATIENCE:
                told = True
                await self._events.emit("jail.waiting", f"jails/{entry.name}", self._refusal(entry, record).remedy)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return self._is_owned(entry)

    def _refusal(self, entry: Entry, record: JailRecord) -> Refusal:
        return authority.unheard(self._index.claim(entry, record))

    def _is_owned(self, entry: Entry) -> bool:
        return self._index.may(entry, Intent.RUN_ON)

    async def _fence(self, entry: Entry, known: Known) -> None:
        try:
            await self._fencing.fence(entry.name, known)
        except JaildError as error:  # it does not start all the same
            self._log.warning("cannot fence yet", jail=entry.name, error=str(error))
            await self._clock.sleep(_LONGEST_PAUSE)

    async def answers(self, name: str, uid: str, hosts: Iterable[str]) -> dict[str, Known | None]:
        """Return what each of these hosts has of a jail; None for one that does not answer."""
        asked = sorted(hosts)
        return dict(zip(asked, await asyncio.gather(*(self._ask(host, name, uid) for host in asked)), strict=True))

    async def _ask(self, host: str, name: str, uid: str) -> Known | None:
        try:
            return await self._peers.get(host).standby.ownership(name, uid)
        except JaildError as error:
            self._log.info("no answer", jail=name, host=host, reason=error.reason)
            return None

    def confirm(self, name: str, sentence: str) -> None:
        """Take the operator's word. `FailedPreconditionError` (STANDBYS_UNHEARD) unless it is the right sentence."""
        entry = self._index.jail(name)
        if entry.unheard and sentence != vouching(name, entry.unheard):
            raise self._refusal(entry, self._index.permitted(name, Intent.READ)[1]).error()
        entry.unheard, entry.message = frozenset(), ""
