"""A jail coming from another host: the target's side, which decides whether it accepts.

    begin ─► RECEIVING ─► prepare ─► PREPARED ─► activate ─► ACTIVATED
                 └──── abort ──────────┘ (asked for, or the source says so when asked after a restart)

A jail that is PREPARED never starts by itself: only `activate`, or the source's own word (`resolve`), makes it this
host's. Every call is idempotent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import structlog

from jaild.domain.errors import (
    DataLossError,
    FailedPreconditionError,
    JaildError,
    NotFoundError,
)
from jaild.domain.findings import errors
from jaild.domain.journal import HANDED_OVER, Journal, Phase
from jaild.domain.lifecycle import advance
from jaild.domain.migration import PROTOCOL
from jaild.domain.peering import (
    Acceptance,
    Activation,
    DatasetState,
    HostHello,
    Offer,
    PeerState,
    Received,
    ReceiveHeader,
    Resolution,
)
from jaild.domain.records import Desired, JailRecord, Ownership
from jaild.ports.clock import Clock
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs
from jaild.service.acceptance import Acceptor
from jaild.service.capacity import Capacity
from jaild.service.events import Events
from jaild.service.gate import Gate
from jaild.service.index import Entry, Index
from jaild.service.jail_datasets import JailDatasets
from jaild.service.journals import Journals
from jaild.service.migration_snapshots import MigrationSnapshots
from jaild.service.receiving import Receiver
from jaild.service.runs import Runs

_KEPT = frozenset({Ownership.MOVED, Ownership.STANDBY})  # states of a copy that a migration continues


class MigrateIn:
    """Receives jails. One call at a time for each migration."""

    def __init__(
        self,
        index: Index,
        zfs: Zfs,
        runtime: Runtime,
        acceptor: Acceptor,
        capacity: Capacity,
        journals: Journals,
        datasets: JailDatasets,
        receiver: Receiver,
        runs: Runs,
        gate: Gate,
        snapshots: MigrationSnapshots,
        events: Events,
        clock: Clock,
    ) -> None:
        self._index = index
        self._zfs = zfs
        self._runtime = runtime
        self._acceptor = acceptor
        self._capacity = capacity
        self._journals = journals
        self._datasets = datasets
        self._receiver = receiver
        self._runs = runs
        self._gate = gate
        self._snapshots = snapshots
        self._events = events
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._activating: dict[str, asyncio.Task[Activation]] = {}
        self._log = structlog.get_logger("jaild.migrate_in")

    def _lock(self, migration: str) -> asyncio.Lock:
        return self._locks.setdefault(migration, asyncio.Lock())

    async def hello(self, host_id: str, host_name: str, protocol: int) -> HostHello:
        """Introduce this host."""
        self._index.host_names[host_id] = host_name
        facts, capabilities = await self._runtime.facts(), await self._zfs.capabilities()
        root = await self._zfs.dataset(self._index.where.root)
        hello = HostHello(
            host_id=self._index.host_id,
            host_name=self._index.host_name,
            protocol=min(protocol, PROTOCOL),
            zfs_implementation=capabilities.implementation,
            resumable_receive=capabilities.resumable_receive,
            pool_features=tuple(sorted(await self._zfs.pool_features(self._index.where.pool))),
            family=facts.family.value,
            machine=facts.machine,
            osreldate=facts.osreldate,
            available_bytes=root.available,
        )
        return await self._capacity.told(hello)

    async def preflight(self, offer: Offer) -> Acceptance:
        """Say whether the jail would be taken. Changes nothing."""
        return await self._acceptor.examine(offer)

    async def begin(self, offer: Offer) -> Acceptance:
        """Journal the migration; an older copy of the jail that moved away from here is continued."""
        async with self._lock(offer.migration):
            known = self._journals.find(offer.migration, outgoing=False)
            if known is not None and known.phase is not Phase.RECEIVING:
                raise _over(known)
            acceptance = await self._acceptor.examine(offer)
            found = errors(acceptance.findings)
            if found:
                raise FailedPreconditionError(
                    "PLAN_REFUSED", found[0].message, remedy=found[0].remedy, findings=acceptance.findings
                )
            entry = self._index.jails.get(offer.jail.name)
            now = self._clock.now()
            journal = Journal(
                id=offer.migration,
                jail=offer.jail.name,
                outgoing=False,
                peer=offer.source_name,
                phase=Phase.RECEIVING,
                offer=offer,
                epoch=offer.jail.epoch + 1,
                continued=known.continued if known is not None else entry is not None,
                created=now,
            )
            await self._journals.put(journal)
            if entry is not None and entry.record is not None and entry.record.state in _KEPT:
                coming = advance(entry.record, Ownership.INCOMING, migration=offer.migration, peer=offer.source_name)
                await self._datasets.write(entry, coming)
            return acceptance

    def _journal(self, migration: str) -> Journal:
        journal = self._journals.find(migration, outgoing=False)
        if journal is None:
            raise NotFoundError(
                "MIGRATION_NOT_FOUND",
                f"this host knows of no migration {migration} that comes here",
                remedy="begin it again from the source",
                resource=f"migrations/{migration}",
            )
        return journal

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Take one ZFS stream and compare its guid."""
        async with self._lock(header.migration):
            journal = self._journal(header.migration)
            if journal.phase is not Phase.RECEIVING:
                raise _over(journal)
            if header.layer:
                return await self._receiver.layer(journal, header, chunks)
            return await self._receiver.dataset(journal, header, chunks)

    async def state(self, migration: str) -> PeerState:
        """Return what there is of a migration."""
        journal = self._journals.find(migration, outgoing=False)
        if journal is None:
            return PeerState(phase="unknown")
        states = [
            DatasetState(
                path=offered.path,
                snapshot_guids=tuple(await self._receiver.guids(self._index.where.part(journal.jail, offered.path))),
            )
            for offered in journal.offer.jail.datasets
        ]
        return PeerState(phase=journal.phase.value, datasets=tuple(states))

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int]) -> str:
        """Compare every guid and persist PREPARED: from here on only the source's word decides."""
        async with self._lock(migration):
            journal = self._journal(migration)
            if journal.phase in {Phase.PREPARED, Phase.ACTIVATED}:
                return journal.phase.value
            if journal.phase is not Phase.RECEIVING:
                raise _over(journal)
            if epoch != journal.epoch:
                raise FailedPreconditionError(
                    "EPOCH_MISMATCH", f"epoch {epoch} was expected to be {journal.epoch}", remedy="begin it again"
                )
            for offered in journal.offer.jail.datasets:
                there = await self._receiver.guids(self._index.where.part(journal.jail, offered.path))
                if not there or there[-1] != guids.get(offered.path):
                    raise DataLossError(
                        "GUID_MISMATCH",
                        f"{journal.jail}/{offered.path or '.'} does not end with the snapshot that was announced",
                        remedy="the source aborts; migrate again",
                    )
            entry, record = self._index.whole(journal.jail)
            prepared = advance(
                record,
                Ownership.PREPARED,
                generation=journal.offer.jail.generation,
                desired=Desired(journal.offer.jail.desired),
                migration=migration,
                peer=journal.peer,
            )
            await self._datasets.write(entry, prepared)
            await self._journals.put(msgspec.structs.replace(journal, phase=Phase.PREPARED))
            return Phase.PREPARED.value

    async def activate(self, migration: str, epoch: int) -> Activation:
        """Become the owner, start the jail, pass its gate. Asked again it answers the same.

        A caller that hangs up does not end it: it asks again, and gets the answer of the one that is under way.
        """
        task = self._activating.get(migration)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._activate(migration, epoch), name=f"activate {migration}")
            self._activating[migration] = task
        return await asyncio.shield(task)

    def owns(self, journal: Journal) -> bool:
        """Whether the jail is this host's by that migration, but its activation has not come to its end."""
        entry = self._index.jails.get(journal.jail)
        record = entry.record if entry is not None else None
        mine = record is not None and record.state is Ownership.ACTIVE and record.epoch >= journal.epoch
        return mine and journal.phase is Phase.PREPARED

    async def close(self) -> None:
        """End activations that are under way; the next start goes on with them."""
        for task in self._activating.values():
            task.cancel()
        await asyncio.gather(*self._activating.values(), return_exceptions=True)

    async def _activate(self, migration: str, epoch: int) -> Activation:
        async with self._lock(migration):
            journal = self._journal(migration)
            if journal.phase is Phase.ACTIVATED:
                return Activation(phase="activated", healthy=journal.healthy, message=journal.message)
            if journal.phase is not Phase.PREPARED or epoch != journal.epoch:
                raise _over(journal)
            began = self._clock.monotonic()
            entry, record = self._index.whole(journal.jail)
            if not self.owns(journal):
                await self._own(entry, record, journal)
            await self.open_datasets(entry)
            await self._index.read_generations(entry)
            activation = await self.start(entry, began)
            done = msgspec.structs.replace(
                journal, phase=Phase.ACTIVATED, healthy=activation.healthy, message=activation.message
            )
            await self._journals.put(done)
            await self._tidy(entry, journal)
            return activation

    async def _own(self, entry: Entry, record: JailRecord, journal: Journal) -> None:
        mine = advance(
            record,
            Ownership.ACTIVE,
            owner=self._index.host_id,
            epoch=journal.epoch,
            migration="",
            peer="",
            replica=None,
            takeover=None,
        )
        await self._datasets.write(entry, mine)
        entry.layers = ()

    async def open_datasets(self, entry: Entry) -> None:
        """Make an owned jail's datasets writable and mounted, parents first."""
        for dataset in await self._zfs.datasets(self._index.where.jail(entry.name)):
            if dataset.readonly:
                await self._zfs.set(dataset.name, {"readonly": "off"})
            if not dataset.mounted:
                await self._zfs.mount(dataset.name)
            if dataset.name == self._index.where.jail(entry.name) and dataset.mountpoint is not None:
                entry.folder = dataset.mountpoint

    async def start(self, entry: Entry, began: float) -> Activation:
        """Start an owned jail, if it should run, and pass its gate; `began` is when its owner's doing began."""
        generation = entry.generation
        if generation is None or entry.record is None or entry.record.desired is Desired.STOPPED:
            return Activation(phase="activated", healthy=True, seconds=self._clock.monotonic() - began)
        seconds = 0.0
        try:
            if entry.run is None or not entry.run.running:
                seconds = await self._runs.ensure(entry, generation) - began
            await self._gate.require_healthy(entry.name, generation.number, generation.spec)
        except JaildError as error:
            entry.message = f"it did not become healthy after its migration: {error}"
            await self._events.emit("jail.failed", f"jails/{entry.name}", entry.message)
            return Activation(phase="activated", healthy=False, seconds=seconds, message=str(error))
        await self._events.emit("jail.started", f"jails/{entry.name}", "after its migration")
        return Activation(phase="activated", healthy=True, seconds=seconds)

    async def _tidy(self, entry: Entry, journal: Journal) -> None:
        # canmount stays noauto: the daemon mounts what it owns, and zfs-fuse unmounts what it is set to `on` for.
        try:
            await self._snapshots.thin(entry.name)
            await self._datasets.measure(entry)
        except JaildError as error:
            await self._events.emit("jail.untidy", f"jails/{entry.name}", str(error), migration=journal.id)

    async def abort(self, migration: str) -> str:
        """Throw away what came; an older copy goes back to where it was.

        `FailedPreconditionError` (MIGRATION_ACTIVATED) once the jail is this host's.
        """
        async with self._lock(migration):
            journal = self._journals.find(migration, outgoing=False)
            if journal is None:
                return "unknown"
            if journal.phase is Phase.ACTIVATED or self.owns(journal):
                raise _over(journal, activated=True)
            if journal.phase is not Phase.ABORTED:
                await self._discard(journal)
                await self._journals.put(msgspec.structs.replace(journal, phase=Phase.ABORTED))
                await self._events.emit("migration.aborted", f"jails/{journal.jail}", migration=migration)
            return Phase.ABORTED.value

    async def _discard(self, journal: Journal) -> None:
        entry = self._index.jails.get(journal.jail)
        if entry is not None and entry.record is not None and entry.record.migration != journal.id:
            return  # the jail here has nothing to do with it
        if journal.continued and entry is not None and entry.record is not None:
            if (replica := entry.record.replica) is not None:
                source = journal.offer.source_name
                await self._datasets.write(
                    entry, advance(entry.record, Ownership.STANDBY, migration="", peer=source, replica=replica)
                )
                return
            former = self._moved_by(journal)
            told = {"migration": former.id, "peer": former.peer} if former is not None else {}
            await self._datasets.write(entry, advance(entry.record, Ownership.MOVED, **told))
            return
        ghost = entry or Entry(name=journal.jail, folder=self._index.folder_of_jails / journal.jail)
        await self._datasets.destroy_if_there(ghost)
        self._index.jails.pop(journal.jail, None)

    def _moved_by(self, journal: Journal) -> Journal | None:
        """Return the migration by which the jail had left this host, before it was to come back."""
        left = [j for j in self._journals.outgoing() if j.jail == journal.jail and j.phase in HANDED_OVER]
        return max(left, key=lambda j: j.epoch, default=None)

    def peer_of(self, migration: str) -> str:
        """Return the name of the other host of a migration; '' if this host knows of none."""
        journal = self._journals.find(migration, outgoing=False) or self._journals.find(migration, outgoing=True)
        return journal.peer if journal is not None else ""

    async def resolve(self, migration: str) -> Resolution:
        """Answer a target that asks how the hand-over ended: the jail's record here is the truth."""
        for entry in self._index.jails.values():
            if entry.record is not None and entry.record.migration == migration:
                if entry.record.state is Ownership.MOVED:
                    return Resolution(outcome="committed", epoch=entry.record.epoch)
                return Resolution(outcome="pending")
        journal = self._journals.find(migration, outgoing=True)
        if journal is None:
            return Resolution(outcome="unknown")
        if journal.phase in HANDED_OVER:
            return Resolution(outcome="committed", epoch=journal.epoch)
        if journal.phase is Phase.ABORTED:
            return Resolution(outcome="aborted")
        return Resolution(outcome="pending")


def _over(journal: Journal, *, activated: bool = False) -> FailedPreconditionError:
    reason = "MIGRATION_ACTIVATED" if activated or journal.phase is Phase.ACTIVATED else "MIGRATION_PHASE"
    return FailedPreconditionError(
        reason,
        f"migration {journal.id} is {journal.phase} here",
        remedy="ask its state; begin a new one if it is over",
        resource=f"migrations/{journal.id}",
        detail={"phase": journal.phase.value},
    )
