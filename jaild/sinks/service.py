"""Event sinks: who is told what happens, beside those who watch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from jaild.engine.build import Engine
from jaild.engine.supervisor import BackOff
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError, ResourceExhaustedError
from jaild.model.quantity import count
from jaild.model.sinks.records import DeadLetter, SinkRow, SinkState, SinkView
from jaild.model.sinks.settings import SinkSettings
from jaild.sinks.delivery import Delivery

_PAUSE = BackOff(first=1.0, longest=60.0)


class EventSinks:
    """A delivery for each sink of the configuration. One that is taken out leaves its dead letters."""

    def __init__(self, engine: Engine) -> None:
        self._make = engine.ports.sinks.make
        self._delivery: Callable[[SinkSettings, SinkRow], Delivery] = partial(Delivery, engine)
        self._store = engine.ports.store
        self._clock = engine.ports.clock
        self._supervisor = engine.supervisor
        self._settings: dict[str, SinkSettings] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._letters: dict[str, int] = {}

    async def run(self, settings: Mapping[str, SinkSettings]) -> None:
        """Begin to deliver: to a new sink what happens from now on, to others from where they stopped."""
        self._letters = await self._store.dead_letter_counts()
        rows = {row.name: row for row in await self._store.sinks()}
        for name in rows.keys() - settings.keys():
            await self._store.forget_sink(name)
        for name, its in settings.items():
            await self._begin(name, its, rows.get(name))
            if any(letter.asked for letter in await self._store.dead_letters(name)):
                self._replay(name)

    async def replace(self, settings: Mapping[str, SinkSettings]) -> None:
        """Deliver by these from now on; files that they name are read again."""
        for name in [*self._deliveries]:
            for task in (_task(name), _replay_task(name)):
                await self._supervisor.end(task)
            if name not in settings:
                del self._deliveries[name], self._settings[name]
        await self.run(settings)

    def check(self, settings: Mapping[str, SinkSettings]) -> None:
        """Raise what keeps one from being made: `UnavailableError` (SINK_UNUSABLE, WEBHOOK_MISSING)."""
        for each in settings.values():
            self._make(each)

    def views(self) -> list[SinkView]:
        """Return all by name, also those of which nothing but dead letters is left."""
        names = sorted(self._deliveries.keys() | self._letters.keys())
        return [self._view(name) for name in names]

    def get(self, name: str) -> SinkView:
        """Return one. `NotFoundError` (SINK_NOT_FOUND)."""
        if name not in self._deliveries and name not in self._letters:
            raise NotFoundError(
                "SINK_NOT_FOUND",
                f"there is no event sink {name}",
                hint="list them (jailctl event-sink ls); they are event_sinks in jaild.yaml",
                resource=f"eventSinks/{name}",
            )
        return self._view(name)

    async def letters(self, name: str) -> list[DeadLetter]:
        """Return the dead letters of one, oldest first. `NotFoundError` (SINK_NOT_FOUND)."""
        self.get(name)
        return await self._store.dead_letters(name)

    async def replay(self, name: str, sequences: Collection[int], *, validate_only: bool) -> int:
        """Deliver dead letters again, all or those of these events, beside what is new; return how many.

        `NotFoundError` (SINK_NOT_FOUND, DEAD_LETTER_NOT_FOUND), `FailedPreconditionError` (SINK_REMOVED).
        """
        chosen = await self._chosen(name, sequences)
        if name not in self._deliveries:
            raise FailedPreconditionError(
                "SINK_REMOVED",
                f"the configuration has no event sink {name}",
                hint="put it in again and reload (jailctl host reload), or discard what is left of it",
                resource=f"eventSinks/{name}",
            )
        if not validate_only:
            now = self._clock.now()
            await self._store.mark_dead_letters([msgspec.structs.replace(letter, asked=now) for letter in chosen])
            self._replay(name)
        return len(chosen)

    async def discard(self, name: str, sequences: Collection[int], *, validate_only: bool) -> int:
        """Forget dead letters, all or those of these events, and what was lost; return how many. Raises as `replay`."""
        chosen = await self._chosen(name, sequences)
        if not validate_only:
            await self._store.drop_dead_letters([letter.number for letter in chosen])
            await self._count()
            if not sequences and name in self._deliveries:
                await self._deliveries[name].forgive()
        return len(chosen)

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence about each sink that has lost events, or given some up."""
        return tuple(filter(None, (_warning(view) for view in self.views())))

    async def _begin(self, name: str, settings: SinkSettings, row: SinkRow | None) -> None:
        if row is None:
            row = SinkRow(name=name, cursor=await self._store.last_event())
            with suppress(ResourceExhaustedError):  # the first delivery writes it down, or tells that it cannot
                await self._store.put_sink(row)
        delivery = self._delivery(settings, row)
        self._settings[name], self._deliveries[name] = settings, delivery

        async def step() -> None:
            before = delivery.given_up
            try:
                await delivery.step()
            finally:
                if delivery.given_up != before:
                    await self._count()

        self._supervisor.run(_task(name), step, every=0.0, back_off=_PAUSE, target=delivery.name)

    def _replay(self, name: str) -> None:
        delivery = self._deliveries[name]

        async def work() -> None:
            for letter in await self._store.dead_letters(name):
                if not letter.asked:
                    continue
                try:
                    await delivery.again(letter)
                except JaildError:
                    if not delivery.overdue(letter.asked):
                        raise
                    await self._store.mark_dead_letters([msgspec.structs.replace(letter, asked=0.0)])
                finally:
                    await self._count()

        self._supervisor.retry(_replay_task(name), work, pause=_PAUSE, target=delivery.name, lasting=True)

    async def _chosen(self, name: str, sequences: Collection[int]) -> list[DeadLetter]:
        found = await self.letters(name)
        if missing := set(sequences) - {letter.event.sequence for letter in found}:
            raise NotFoundError(
                "DEAD_LETTER_NOT_FOUND",
                f"event sink {name} has no dead letter of event {min(missing)}",
                hint=f"list them: jailctl event-sink show {name}",
                resource=f"eventSinks/{name}",
            )
        return [letter for letter in found if not sequences or letter.event.sequence in sequences]

    async def _count(self) -> None:
        self._letters = await self._store.dead_letter_counts()

    def _view(self, name: str) -> SinkView:
        letters = self._letters.get(name, 0)
        if name in self._deliveries:
            return self._deliveries[name].view(letters)
        return SinkView(row=SinkRow(name=name, cursor=0), state=SinkState.REMOVED, letters=letters)


def _task(name: str) -> str:
    return f"event sink {name}"


def _replay_task(name: str) -> str:
    return f"dead letters of event sink {name}"


def _warning(view: SinkView) -> str:
    name, told = view.row.name, []
    if view.letters:
        told.append(f"was not given {count(view.letters, 'event')}, which are kept: jailctl event-sink show {name}")
    if view.row.lost:
        told.append(f"lost {count(view.row.lost, 'event')} for good: jailctl event-sink discard {name}, once you know")
    return f"event sink {name} {'; it '.join(told)}" if told else ""
