"""The way back out of a migration, from anywhere before its commit point."""

from __future__ import annotations

import msgspec
import structlog

from jaild.engine.dispatcher import Dispatcher
from jaild.engine.events import Events
from jaild.engine.inventory import JailEntry
from jaild.engine.supervisor import BackOff, Supervisor
from jaild.jails.datasets import JailDatasets
from jaild.jails.runs import Runs
from jaild.migration.move import Move
from jaild.migration.notices import Notices
from jaild.model.errors import JaildError
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import Ownership
from jaild.model.migration.journal import Phase
from jaild.ports.clock import Clock
from jaild.transfer.journal import Journals
from jaild.transfer.snapshots import MigrationSnapshots

_PAUSE = BackOff(first=1.0, longest=30.0)


class Retreat:
    """Returns to the state before: this host owns the jail, and starts it whether the target can be told or not."""

    def __init__(
        self,
        datasets: JailDatasets,
        runs: Runs,
        snapshots: MigrationSnapshots,
        journals: Journals,
        notices: Notices,
        dispatcher: Dispatcher,
        supervisor: Supervisor,
        events: Events,
        clock: Clock,
    ) -> None:
        self._datasets = datasets
        self._runs = runs
        self._snapshots = snapshots
        self._journals = journals
        self._notices = notices
        self._dispatcher = dispatcher
        self._supervisor = supervisor
        self._events = events
        self._clock = clock
        self._log = structlog.get_logger("jaild.retreat")

    async def abort(self, move: Move, error: BaseException) -> None:
        """Undo all that was made here, and have the target undo what came there."""
        reason = error.reason if isinstance(error, JaildError) else type(error).__name__
        self._log.warning("migration aborted", jail=move.jail, migration=move.id, reason=reason)
        await self.thaw(move)
        move.journal = msgspec.structs.replace(move.journal, phase=Phase.ABORTED, message=str(error))
        await self._notices.tell(move.journal)
        await self._events.emit("migration.aborted", f"jails/{move.jail}", str(error), migration=move.id)
        try:
            await self._snapshots.release_layers(move.id, move.journal.offer.jail.layers)
            await self._snapshots.aborted(move.journal)
        except JaildError as left:  # why it was aborted matters more
            await self._events.emit("jail.untidy", f"jails/{move.jail}", f"snapshots of {move.id} are left: {left}")

    async def start_again(self, move: Move) -> None:
        """End a freeze whose last part did not get through: the jail serves here, and the migration goes on sending."""
        down = 0.0 if move.frozen_at is None else self._clock.monotonic() - move.frozen_at
        await self.thaw(move)
        if move.entry.record is not None:
            move.record = move.entry.record
        move.frozen_at, move.connected, move.rounds = None, False, []
        move.journal = msgspec.structs.replace(move.journal, phase=Phase.SENDING, thaws=move.journal.thaws + 1)
        await self._journals.put(move.journal)
        move.handle.facts(thaws=move.journal.thaws)
        message = f"it was down for {down:.1f} s, and {move.target} did not get the rest: it serves here again"
        await self._events.emit("migration.thawed", f"jails/{move.jail}", message, migration=move.id)

    async def thaw(self, move: Move) -> None:
        """Make the jail active here again if it was frozen, and start it if it ran: as soon as its datasets answer."""
        if move.entry.record is None or move.entry.record.state is not Ownership.FROZEN:
            return
        active = advance(move.entry.record, Ownership.ACTIVE, migration="", peer="")
        name = f"jail {move.jail} is made active here again"
        await self._supervisor.insist(name, lambda: self._datasets.write(move.entry, active), target=_target(move))
        if move.was_running:
            try:
                await self._runs.ensure(move.entry, move.generation)
            except Exception as error:  # noqa: BLE001 -- whatever keeps it down: it is started as soon as it can be
                move.entry.message = f"it did not start again after a failed migration: {error}"
                await self._events.emit("jail.failed", _target(move), f"{move.entry.message}; tried again")
                name = f"start of {move.jail} after a failed migration"
                self._supervisor.retry(name, lambda: self._start(move.entry), pause=_PAUSE, target=_target(move))
            if move.frozen_at is not None:
                move.handle.note(downtime=self._clock.monotonic() - move.frozen_at)

    async def _start(self, entry: JailEntry) -> None:
        """Start it in its turn, unless somebody has done so, stopped it, or moved it away meanwhile."""
        async with self._dispatcher.exclusive(f"jails/{entry.name}"):
            await self._runs.boot(entry)


def _target(move: Move) -> str:
    return f"jails/{move.jail}"
