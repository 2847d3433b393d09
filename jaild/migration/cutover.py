"""The stretch in which the jail is down, and the commit point in it; then Activate, until it is acknowledged.

freeze ─► final increment ─► prepare, every guid compared ─► COMMIT ─► activate ─► fence

What need not be done while the jail is down is done later: its run is taken away when the other host has started it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec
import structlog

from jaild.engine.events import Events
from jaild.engine.inventory import Inventory, JailEntry
from jaild.jails.datasets import JailDatasets
from jaild.jails.runs import Runs
from jaild.migration.move import Move
from jaild.migration.precopy import Precopy
from jaild.migration.session import Link
from jaild.migration.tidying import Tidying
from jaild.model.errors import JaildError
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import Ownership
from jaild.model.migration.budget import patience
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import Activation
from jaild.model.phases import Stop
from jaild.model.replication.policy import vouching
from jaild.ports.clock import Clock
from jaild.ports.files import Files
from jaild.ports.peer import Peers
from jaild.ports.zfs import Zfs
from jaild.transfer.journal import Journals
from jaild.transfer.snapshots import MigrationSnapshots
from jaild.transfer.sole_owner import SoleOwner

_AGAIN = 5.0  # seconds until a silent standby is asked again
_FLUSHED = 0.2  # seconds in which a flush is done where nothing has to be waited for


class Cutover:
    """Stops the jail here and gives it away."""

    def __init__(
        self,
        inventory: Inventory,
        zfs: Zfs,
        peers: Peers,
        journals: Journals,
        files: Files,
        datasets: JailDatasets,
        runs: Runs,
        snapshots: MigrationSnapshots,
        link: Link,
        precopy: Precopy,
        sole: SoleOwner,
        tidying: Tidying,
        events: Events,
        clock: Clock,
    ) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._peers = peers
        self._journals = journals
        self._files = files
        self._datasets = datasets
        self._runs = runs
        self._snapshots = snapshots
        self._link = link
        self._precopy = precopy
        self._sole = sole
        self._tidying = tidying
        self._events = events
        self._clock = clock
        self._log = structlog.get_logger("jaild.cutover")

    async def freeze(self, move: Move) -> bool:
        """Write the intent down, then stop the jail.

        False while a standby is silent that may have taken it over: the jail serves on, and it is to be tried again.
        """
        if not await self._is_to_give(move):
            return False
        await move.handle.phase("freeze", "stopping the jail", Stop.CANCEL)
        move.journal = msgspec.structs.replace(move.journal, phase=Phase.FROZEN)
        await self._journals.put(move.journal)
        frozen = advance(move.record, Ownership.FROZEN, migration=move.id, peer=move.target)
        await self._datasets.write(move.entry, frozen)
        move.was_running = move.entry.run is not None and move.entry.run.running
        move.patience = patience(move.journal.max_downtime, move.journal.predicted or 0.0)
        move.frozen_at = self._clock.monotonic()
        await self._runs.stop(move.entry, move.generation.number)
        return True

    async def _is_to_give(self, move: Move) -> bool:
        silent = await self._sole.silent(move.jail)
        if not silent:
            move.handle.note(away=False)
            return True
        hosts = ", ".join(sorted(silent))
        move.handle.note(
            away=True,
            message=f"{hosts} does not answer, and may have taken the jail over; asked again in {_AGAIN:.0f} s; the "
            f'jail serves; if you know that none has: jailctl jail confirm {move.jail} --confirm "'
            f'{vouching(move.jail, silent)}"; to give up: jailctl operation cancel {move.handle.id}',
        )
        await self._clock.sleep(_AGAIN)
        return False

    async def last_increment(self, move: Move) -> None:
        """Send what was written since the last round."""
        await move.handle.phase("final", "the last increment", Stop.CANCEL)
        await self._flush(move)
        move.last_increment = (await self._precopy.round(move, urgent=True)).seconds

    async def _flush(self, move: Move) -> None:
        """Bring what processes wrote to mapped files to the file systems: a snapshot has only what those have."""
        folders = [move.entry.folder / dataset.path for dataset in move.journal.offer.jail.datasets]
        flushing = asyncio.ensure_future(self._files.flush(folders))
        try:
            await asyncio.wait({flushing}, timeout=_FLUSHED)
            if not flushing.done() and move.entry.record is not None:
                # OpenZFS before 2.2 waits for its next transaction group, 5 s apart: any `zfs set` brings it about.
                await self._datasets.write(move.entry, move.entry.record)
            await flushing
        finally:
            flushing.cancel()
            await asyncio.wait({flushing})

    async def prepare(self, move: Move) -> None:
        """Make the target compare every guid and write PREPARED: from here on it waits for this host's word."""
        await move.handle.phase("handover", "the target compares every guid and prepares", Stop.CANCEL)
        await self._link.through(move, lambda: move.peer.prepare(move.id, move.journal.epoch, move.sent))

    async def commit(self, move: Move) -> None:
        """Give the jail away: one `zfs set` of its record. Not if somebody has taken it over since it was frozen."""
        _, record = self._inventory.permitted(move.jail, Intent.COMMIT)
        moved = advance(record, Ownership.MOVED, owner=move.journal.peer_id, epoch=move.journal.epoch)
        await self._datasets.write(move.entry, moved)
        move.journal = msgspec.structs.replace(move.journal, phase=Phase.COMMITTED)
        await self._journals.put(move.journal)
        message = f"{move.target} owns it from epoch {moved.epoch} on"
        await self._events.emit("migration.committed", f"jails/{move.jail}", message, migration=move.id)

    async def committed(self, move: Move) -> bool:
        """Ask the dataset itself: a `zfs set` that was interrupted may have been carried out."""
        record = await self._datasets.recorded(move.entry)
        move.entry.record = record
        if record.state is Ownership.MOVED:
            move.journal = msgspec.structs.replace(move.journal, phase=Phase.COMMITTED)
            try:
                await self._journals.put(move.journal)
            except Exception as error:  # noqa: BLE001 -- the record itself is the truth; the journal only follows it
                self._log.warning("the journal cannot follow", migration=move.id, error=str(error))
        return record.state is Ownership.MOVED

    async def finish(self, move: Move) -> Activation:
        """Have the target start the jail, and fence the copy that stays here."""
        # In memory only: from the commit point on nothing of this host's may keep Activate from being sent.
        move.handle.enter("activate", f"{move.target} starts the jail", Stop.NEVER)
        asked = self._clock.monotonic()
        activation = await self.activate(move.journal)
        downtime = None
        if move.was_running and move.frozen_at is not None:
            # What the target took until the jail had started; not its health checks, nor the way of its answer.
            downtime = asked - move.frozen_at + min(activation.seconds, self._clock.monotonic() - asked)
        move.handle.note(downtime=downtime)
        move.handle.facts(migration=move.id, healthy=str(activation.healthy).lower(), bytes=move.journal.bytes)
        await self._close(move, activation, downtime)
        return activation

    async def activate(self, journal: Journal) -> Activation:
        """Tell the target until it acknowledges; a lost answer is resolved by asking again, never by a timeout."""
        pause = 0.2
        while True:
            try:
                return await self._peers.get(journal.peer).activate(journal.id, journal.epoch)
            except Exception as error:  # noqa: BLE001 -- it is given away: only the target's word ends this
                self._log.warning("not acknowledged yet", migration=journal.id, error=str(error))
            await self._clock.sleep(pause)
            pause = min(pause * 2, 10.0)

    async def _close(self, move: Move, activation: Activation, downtime: float | None) -> None:
        journal = msgspec.structs.replace(
            move.journal,
            phase=Phase.ACTIVATED,
            downtime=downtime,
            overhead=None if downtime is None else max(downtime - move.last_increment, 0.0),
            healthy=activation.healthy,
            message=activation.message,
        )
        await self.put_away(move.entry)
        await self._journals.put(journal)  # last: from then on the copy may become a standby's

    async def put_away(self, entry: JailEntry) -> None:
        """End the runs of a jail that is another host's now and fence its copy, now or as soon as that can be done."""
        await self._tidying.do(entry, self._runs.end_all, self.fence)

    async def fence_in_time(self, entry: JailEntry) -> None:
        """Fence what stays behind, now or as soon as that can be done."""
        await self._tidying.do(entry, self.fence)

    async def fence(self, entry: JailEntry) -> None:
        """Make the copy that stays behind read-only and unmounted, and drop the rounds' snapshots but the last."""
        root = self._inventory.where.jail(entry.name)
        datasets = [d.name for d in await self._zfs.datasets(root)]
        failures: list[JaildError] = []

        async def attempt(work: Awaitable[None]) -> None:
            try:
                await work
            except JaildError as error:  # who uses one dataset keeps it mounted, and no other one writable
                failures.append(error)

        for dataset in reversed(datasets):
            await attempt(self._zfs.unmount(dataset))
        # Children first: one that is mounted at boot below a parent that is not leaves a folder in the way.
        for dataset in reversed(datasets):
            await attempt(self._zfs.set(dataset, {"canmount": "noauto", "readonly": "on"}))
        await self._snapshots.thin(entry.name)
        if failures:
            raise failures[0]
