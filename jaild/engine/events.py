"""Events: what happened, in order, for those who watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec
import structlog

from jaild.model import bounds
from jaild.model.errors import ResourceExhaustedError
from jaild.model.operation import all_clipped
from jaild.model.views import AuditEntry, Event
from jaild.ports.clock import Clock
from jaild.ports.store import Store

PAGE = 500  # events asked of the store at once


class Events:
    """Appends events and lets any number of watchers follow."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._news = asyncio.Event()
        self._lost = 0  # events that could not be stored
        self.on_event: list[Callable[[str, str], None]] = []  # told of each event's kind and target, stored or not
        self._log = structlog.get_logger("jaild.events")

    async def emit(self, kind: str, target: str, message: str = "", **detail: str) -> None:
        """Append an event; it is on disk when this returns.

        A detail that says nothing is left out. If there is no room on the disk it is in the log only, and counted: what
        happened goes on, an abort above all.
        """
        for hear in self.on_event:
            hear(kind, target)
        told = {name: text for name, text in detail.items() if text}
        detail = all_clipped({"message": message, **told}, bounds.EVENT_TEXT)
        message = detail.pop("message")
        gone, self._lost = self._lost, 0
        try:
            if gone:
                await self._append("host.events_lost", "host", f"{gone} events are in the log only: no room", {})
                gone = 0
            event = await self._append(kind, target, message, detail)
        except ResourceExhaustedError as error:
            self._lost += gone + 1
            self._log.error(kind, target=target, message=message, not_stored=error.message, **detail)
            return
        self._log.info(kind, target=target, message=message, sequence=event.sequence, **detail)
        news, self._news = self._news, asyncio.Event()
        news.set()

    def trouble(self) -> str:
        """Return what is wrong with the host's memory; '' for nothing."""
        return self._store.trouble()

    async def _append(self, kind: str, target: str, message: str, detail: Mapping[str, str]) -> Event:
        return await self._store.append_event(self._clock.now(), kind, target, message, detail)

    async def watch(self, after: int, target: str, follow: bool) -> AsyncIterator[Event]:  # noqa: FBT001 -- as the API has it
        """Yield events after a sequence number (-1: only new ones); with `follow` go on until the caller closes.

        A number that was not given out yet is from a store that is gone: all there is follows, the first with a gap.
        """
        last = await self._store.last_event()
        begun_anew = after > last
        position = last if after < 0 else 0 if begun_anew else after
        while True:
            news = self._news  # taken before reading: what is appended meanwhile sets it
            last = await self._store.last_event()
            events = await self._store.events(position, target, PAGE)
            for event in events:
                yield msgspec.structs.replace(event, gap=True) if begun_anew else event
                begun_anew = False
                position = event.sequence
            if len(events) == PAGE:
                continue
            if not follow:
                return
            position = max(position, last)  # others' events need not be looked through again at the next news
            await news.wait()


class Audit:
    """Who asked for what."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def record(self, actor: str, method: str, target: str, request_id: str, outcome: str, operation: str) -> None:
        """Write down one request, refused or not."""
        texts = {"actor": actor, "method": method, "target": target, "request_id": request_id, "outcome": outcome}
        kept = all_clipped({**texts, "operation": operation}, bounds.AUDIT_FIELD)
        entry = AuditEntry(sequence=0, time=0.0, **kept)
        await self._store.append_audit(self._clock.now(), entry)

    async def entries(self, limit: int, before: int) -> list[AuditEntry]:
        """Return at most `limit` entries below sequence number `before` (0: the newest), newest first."""
        return await self._store.audit(limit, before)

    async def about(self, target: str, limit: int) -> list[AuditEntry]:
        """Return at most `limit` entries about a resource and what is below it, newest first."""
        return await self._store.audit_about(target, limit)
