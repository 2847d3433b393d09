"""One sink: an event after the other, in order, each until it is taken or has been tried for long enough.

    next event ─► wanted? ─► deliver ─► cursor on disk ─┐
        ▲           └─no       └─fails─► tried for `give_up_after`? ─no─► back-off, the same one again
        └──────────────────────────────────── dead letter and cursor, in one transaction ◄─yes─┘

A crash between a delivery and the cursor delivers the event once more: at least once, and its id is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.model import eventfilter
from jaild.model.errors import JaildError
from jaild.model.sinks.records import DeadLetter, SinkRow, SinkState, SinkView, notice
from jaild.model.sinks.settings import SinkSettings
from jaild.model.views import Event
from jaild.ports.sinks import Sink

NOTED = 500  # events that are filtered out until that is written down: far fewer than the host keeps
GAVE_UP, LOST = "sink.gave_up", "sink.events_lost"


class Delivery:
    """Delivers from `row.cursor` on. `step` is for one task; the rest asks and shows."""

    def __init__(self, engine: Engine, settings: SinkSettings, row: SinkRow) -> None:
        self._inventory = engine.inventory
        self._events = engine.events
        self._store = engine.ports.store
        self._clock = engine.ports.clock
        self._make: Callable[[], Sink] = lambda: engine.ports.sinks.make(settings)
        self._settings = settings
        self._wanted = eventfilter.parse(settings.filter)
        self._row = row
        self._sink: Sink | None = None
        self._stream: AsyncIterator[Event] | None = None
        self._seen = row.cursor
        self._waiting: Event | None = None
        self._failures = 0
        self._error = ""
        self._writing = asyncio.Lock()  # `forgive` comes from another task: no older row is written over a newer one
        self._log = structlog.get_logger("jaild.sinks").bind(sink=row.name)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"eventSinks/{self._row.name}"

    @property
    def given_up(self) -> int:
        """How many events it was not given."""
        return self._row.given_up

    async def step(self) -> None:
        """Wait for the next event that is wanted, and deliver it; raise what kept it from being taken.

        What is given up is not waited for: those behind it have their turn at once, until one is taken, or must wait.
        """
        while True:
            event = self._waiting = self._waiting or await self._next()
            try:
                await self._deliver(event, self._row.missed)
            except JaildError as error:
                if not await self._gave_up(event, error):
                    raise
            else:
                break
        self._waiting = None
        now = self._clock.now()
        await self._keep(
            cursor=event.sequence,
            delivered=self._row.delivered + 1,
            delivered_time=now,
            missed=0,
            failing_since=0.0,
            told=False,
        )

    async def again(self, letter: DeadLetter) -> None:
        """Deliver one that was given up; raise what kept it from being taken."""
        await self._deliver(letter.event, 0)
        await self._store.drop_dead_letters([letter.number])

    def overdue(self, since: float) -> bool:
        """Whether what has been tried since then has been so for long enough."""
        return self._clock.now() - since >= self._settings.give_up_after

    def view(self, letters: int) -> SinkView:
        """Return it as it is shown."""
        return SinkView(
            row=self._row,
            state=SinkState.FAILING if self._error else SinkState.DELIVERING,
            kind=self._settings.kind,
            destination=self._settings.to.destination,
            filter=self._settings.filter,
            error=self._error,
            failures=self._failures,
            letters=letters,
            waiting_since=self._waiting.time if self._waiting is not None else 0.0,
        )

    async def forgive(self) -> None:
        """Forget what was lost: whoever is responsible knows of it."""
        await self._keep(lost=0)

    async def _deliver(self, event: Event, missed: int) -> None:
        try:
            self._sink = self._sink or self._make()
            await self._sink.deliver(notice(self._inventory.host_name, self._inventory.host_id, event, missed))
        except JaildError as error:
            self._failures += 1
            self._error = error.message
            raise
        self._error = ""

    async def _next(self) -> Event:
        """Wait for the next that is wanted. Those that went before they could be read are counted, and told."""
        while True:
            event = await self._read()
            gone = max(event.sequence - self._seen - 1, 0) if event.gap else 0
            self._seen = event.sequence
            if gone:
                await self._keep(lost=self._row.lost + gone, missed=self._row.missed + gone)
                await self._tell(LOST, f"{gone} events went before it could be given them")
            if self._wanted(event):
                return event
            if event.sequence - self._row.cursor >= NOTED:
                await self._keep(cursor=event.sequence)

    async def _read(self) -> Event:
        if self._stream is None:
            self._stream = self._events.watch(self._seen, "", follow=True)
        try:
            return await anext(self._stream)
        except BaseException:
            self._stream = None  # it has ended: the next is begun where this one was
            raise

    async def _gave_up(self, event: Event, error: JaildError) -> bool:
        """Note that an event was not taken, and whether that was the last attempt."""
        since = self._row.failing_since or self._clock.now()
        if not (self.overdue(since) and self.overdue(event.time)):
            if since != self._row.failing_since:
                await self._keep(failing_since=since)
            return False
        now = self._clock.now()
        letter = DeadLetter(number=0, sink=self._row.name, event=event, time=now, error=error.message)
        async with self._writing:
            row = msgspec.structs.replace(
                self._row,
                cursor=event.sequence,
                given_up=self._row.given_up + 1,
                missed=self._row.missed + 1,
                failing_since=since,
            )
            gone = await self._store.put_sink(row, letter)  # before it is forgotten here
            self._row, self._waiting = row, None
        self._log.warning("gave an event up", event_kind=event.kind, sequence=event.sequence, error=error.message)
        await self._tell(GAVE_UP, f"event {event.sequence}, and what follows it: {error.message}")
        if gone:
            await self._keep(lost=self._row.lost + gone)
        return True

    async def _tell(self, kind: str, message: str) -> None:
        """Tell once for each time that it fails: an event for each would itself be one more to be lost."""
        if not self._row.told:
            await self._keep(told=True)
            await self._events.emit(kind, self.name, message)

    async def _keep(self, **changed: object) -> None:
        # Known before it is on disk: what could not be written down is no reason to deliver it again.
        async with self._writing:
            self._row = msgspec.structs.replace(self._row, **changed)
            await self._store.put_sink(self._row)
