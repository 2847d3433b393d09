"""A jail coming from another host: the target's side, which decides whether it accepts.

    begin ─► RECEIVING ─► prepare ─► PREPARED ─► activate ─► ACTIVATED
                 │ ◄── begin, later ───┤  (the source lost the link, or has started the jail again)
                 └──── abort ──────────┘  (asked for, or the source says so when asked after a restart)

A jail that is PREPARED never starts by itself: only `activate`, or the source's own word (`resolve`), makes it this
host's. Every call is idempotent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import structlog

from jaild.engine.dispatcher import Dispatcher
from jaild.engine.events import Events
from jaild.engine.gather import gather_or_cancel
from jaild.engine.inventory import Inventory
from jaild.engine.locks import ReadWriteLock
from jaild.engine.supervisor import Supervisor, answer_of
from jaild.jails.datasets import JailDatasets
from jaild.migration.abort_cleanup import AbortCleanup
from jaild.migration.activation import Activator
from jaild.migration.rehearsal_target import RehearseIn
from jaild.model.errors import DataLossError, FailedPreconditionError, NotFoundError
from jaild.model.findings import errors
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership
from jaild.model.migration.journal import HANDED_OVER, Journal, Phase
from jaild.model.migration.protocol import (
    Acceptance,
    Activation,
    HostHello,
    Offer,
    Received,
    ReceiveHeader,
    Rehearsed,
    Resolution,
)
from jaild.model.migration.received import require_same, standbys_of
from jaild.model.migration.streams import PROTOCOL
from jaild.model.snapshots import of_migration
from jaild.ports.clock import Clock
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs
from jaild.transfer.acceptance import OfferCheck
from jaild.transfer.capacity import Capacity
from jaild.transfer.journal import Journals
from jaild.transfer.received import ReceivedCopies
from jaild.transfer.receiver import Receiver

_NEVER = 1000  # aborts that are remembered of migrations that have not begun
# States of a copy that a migration continues, or (PREPARED) goes on with.
_CONTINUED = frozenset({Ownership.MOVED, Ownership.STANDBY, Ownership.PREPARED})


class MigrateIn:
    """Receives jails. One call at a time for each migration, but for streams: those of its datasets come together."""

    def __init__(
        self,
        inventory: Inventory,
        zfs: Zfs,
        runtime: Runtime,
        offer_check: OfferCheck,
        capacity: Capacity,
        journals: Journals,
        datasets: JailDatasets,
        receiver: Receiver,
        copies: ReceivedCopies,
        rehearsals: RehearseIn,
        activator: Activator,
        abort_cleanup: AbortCleanup,
        dispatcher: Dispatcher,
        supervisor: Supervisor,
        events: Events,
        clock: Clock,
    ) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._runtime = runtime
        self._offer_check = offer_check
        self._capacity = capacity
        self._journals = journals
        self._datasets = datasets
        self._receiver = receiver
        self._copies = copies
        self._rehearsals = rehearsals
        self._activator = activator
        self._abort_cleanup = abort_cleanup
        self._dispatcher = dispatcher
        self._supervisor = supervisor
        self._events = events
        self._clock = clock
        self._locks: dict[str, ReadWriteLock] = {}
        self._never: dict[tuple[str, str], None] = {}  # source, migration: aborted before it began here
        self._streams: dict[str, set[asyncio.Timeout]] = {}  # those under way; one that is ended is timed out
        self._activated: dict[str, Activation] = {}  # answers, for those who did not hear them
        self._log = structlog.get_logger("jaild.migrate_in")

    def _lock(self, migration: str) -> ReadWriteLock:
        return self._locks.setdefault(migration, ReadWriteLock())

    async def hello(self, host_id: str, host_name: str, protocol: int) -> HostHello:
        """Introduce this host."""
        del host_id, host_name  # they were noted on the way here: `jaild.replication.parties`
        facts, capabilities = await self._runtime.facts(), await self._zfs.capabilities()
        root = await self._zfs.dataset(self._inventory.where.root)
        hello = HostHello(
            host_id=self._inventory.host_id,
            host_name=self._inventory.host_name,
            protocol=min(protocol, PROTOCOL),
            zfs_implementation=capabilities.implementation,
            resumable_receive=capabilities.resumable_receive,
            pool_features=tuple(sorted(await self._zfs.pool_features(self._inventory.where.pool))),
            family=facts.family.value,
            machine=facts.machine,
            osreldate=facts.osreldate,
            available_bytes=root.available,
        )
        return await self._capacity.told(hello)

    async def preflight(self, offer: Offer) -> Acceptance:
        """Say whether the jail would be taken. Changes nothing."""
        return await self._offer_check.examine(offer)

    async def begin(self, offer: Offer) -> Acceptance:
        """Journal the migration; an older copy of the jail that moved away from here is continued.

        Asked again with a higher attempt, it ends what is under way of an earlier one and goes on receiving.
        `FailedPreconditionError` (MIGRATION_ATTEMPT) if a later one has begun, (MIGRATION_PHASE) if it is over.
        """
        known = self._journals.find(offer.migration, outgoing=False)
        if known is not None and offer.attempt > known.offer.attempt:
            self._interrupt(offer.migration)
        async with self._lock(offer.migration).exclusive():
            if (offer.source_name, offer.migration) in self._never:  # its abort has overtaken it on the way
                raise _over(offer.migration, Phase.ABORTED)
            known = self._journals.find(offer.migration, outgoing=False)
            if known is not None:
                _require_begun_anew(known, offer)
            acceptance = await self._offer_check.examine(offer)
            found = errors(acceptance.findings)
            if found:
                raise FailedPreconditionError(
                    "PLAN_REFUSED", found[0].message, remedy=found[0].remedy, findings=acceptance.findings
                )
            async with self._dispatcher.exclusive(f"jails/{offer.jail.name}"):
                await self._begun(offer, known, acceptance)
            return acceptance

    async def _begun(self, offer: Offer, known: Journal | None, acceptance: Acceptance) -> None:
        entry = self._inventory.jails.get(offer.jail.name)
        record = entry.record if entry is not None else None
        journal = Journal(
            id=offer.migration,
            jail=offer.jail.name,
            outgoing=False,
            peer=offer.source_name,
            phase=Phase.RECEIVING,
            offer=offer,
            epoch=offer.jail.epoch + 1,
            before=_copy(record) if known is None else known.before,
            had={d.path: d.snapshot_guids for d in acceptance.datasets} if known is None else known.had,
            created=self._clock.now() if known is None else known.created,
        )
        await self._journals.put(journal)
        await self._receiver.take_over(offer.jail, acceptance.datasets, of_migration(offer.migration))
        if entry is not None and record is not None and record.state in _CONTINUED:
            coming = advance(
                record,
                Ownership.INCOMING,
                migration=offer.migration,
                peer=offer.source_name,
                standbys=standbys_of(offer.jail, self._inventory.host_name),
            )
            await self._datasets.write(entry, coming)

    def _interrupt(self, migration: str) -> None:
        """End the streams that are under way: their sender does not know of them any more."""
        for stream in self._streams.get(migration, ()):
            stream.reschedule(asyncio.get_running_loop().time())

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
        async with self._lock(header.migration).shared():
            journal = self._journal(header.migration)
            if journal.phase is not Phase.RECEIVING:
                raise _over(journal.id, journal.phase)
            if header.attempt != journal.offer.attempt:
                raise _too_late(journal)
            try:
                async with asyncio.timeout(None) as stream, self._under_way(header.migration, stream):
                    if header.layer:
                        return await self._receiver.layer(journal, header, chunks)
                    return await self._receiver.dataset(journal, header, chunks)
            except TimeoutError:
                raise DataLossError(
                    "STREAM_SUPERSEDED", "its sender has begun anew meanwhile", remedy="none: the later attempt goes on"
                ) from None

    @asynccontextmanager
    async def _under_way(self, migration: str, stream: asyncio.Timeout) -> AsyncIterator[None]:
        streams = self._streams.setdefault(migration, set())
        streams.add(stream)
        try:
            yield
        finally:
            streams.remove(stream)

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int]) -> str:
        """Compare every guid, and what would start with what was offered, and persist PREPARED.

        From here on only the source's word decides. `DataLossError` (GUID_MISMATCH), `FailedPreconditionError`
        (GENERATION_DIFFERS, GENERATION_MISSING, GENERATION_UNREADABLE).
        """
        async with self._lock(migration).exclusive():
            journal = self._journal(migration)
            if journal.phase is Phase.ACTIVATED:
                return journal.phase.value
            if journal.phase not in {Phase.RECEIVING, Phase.PREPARED} or journal.offer.rehearsal:
                raise _over(journal.id, journal.phase)
            if epoch != journal.epoch:
                raise FailedPreconditionError(
                    "EPOCH_MISMATCH", f"epoch {epoch} was expected to be {journal.epoch}", remedy="begin it again"
                )
            journal = msgspec.structs.replace(journal, guids=guids)
            wanted = {each.path: guids.get(each.path, 0) for each in journal.offer.jail.datasets}
            if journal.phase is Phase.PREPARED:
                await self._receiver.require(journal.jail, wanted)
                return journal.phase.value
            try:  # side by side: the jail is down
                await gather_or_cancel(
                    [self._receiver.require(journal.jail, wanted), self._require_as_offered(journal)]
                )
                async with self._dispatcher.exclusive(f"jails/{journal.jail}"):
                    await gather_or_cancel([self._prepared(journal), self._copies.close(journal.jail)])
            finally:
                await self._copies.close(journal.jail)
            return Phase.PREPARED.value

    async def _require_as_offered(self, journal: Journal) -> None:
        """Read what would start, out of what has come: the offer was only said."""
        offer = journal.offer.jail
        came = await self._copies.open(journal.jail, offer.generation)
        require_same(journal.jail, msgspec.json.decode(offer.generation_json, type=Generation), came)

    async def _prepared(self, journal: Journal) -> None:
        entry, record = self._inventory.permitted(journal.jail, Intent.READ)
        prepared = advance(
            record,
            Ownership.PREPARED,
            generation=journal.offer.jail.generation,
            desired=Desired(journal.offer.jail.desired),
            migration=journal.id,
            peer=journal.peer,
        )
        await self._datasets.write(entry, prepared)
        await self._journals.put(msgspec.structs.replace(journal, phase=Phase.PREPARED))

    async def activate(self, migration: str, epoch: int) -> Activation:
        """Become the owner, start the jail, pass its health checks. Asked again it answers the same.

        A caller that hangs up does not end it: it asks again, and gets the answer of the one that is under way.
        """
        name = f"activation of {migration}"
        task = self._supervisor.once(name, lambda: self._activate(migration, epoch))
        return await answer_of(task)

    def owns(self, journal: Journal) -> bool:
        """Whether the jail is this host's by that migration, but its activation has not come to its end."""
        return self._activator.owns(journal)

    async def _activate(self, migration: str, epoch: int) -> Activation:
        async with self._lock(migration).exclusive():
            journal = self._journal(migration)
            if journal.phase is Phase.ACTIVATED:
                known = Activation(phase="activated", healthy=journal.healthy, message=journal.message)
                return self._activated.get(migration, known)
            if journal.phase is not Phase.PREPARED or epoch != journal.epoch:
                raise _over(journal.id, journal.phase)
            async with self._dispatcher.exclusive(f"jails/{journal.jail}"):
                activation = await self._activator.activate(journal)
                done = msgspec.structs.replace(
                    journal, phase=Phase.ACTIVATED, healthy=activation.healthy, message=activation.message
                )
                await self._activator.tidy(self._inventory.jail(journal.jail), journal)
                await self._journals.put(done)  # last: what a crash interrupts is gone on with by the next start
            self._activated[migration] = activation
            return activation

    async def abort(self, migration: str, *, source: str) -> str:
        """Throw away what came from `source`; an older copy goes back to where it was.

        `FailedPreconditionError` (MIGRATION_ACTIVATED) once the jail is this host's.
        """
        self._interrupt(migration)
        begun = self._journals.find(migration, outgoing=False)
        if begun is not None and begun.offer.rehearsal:
            await self._rehearsals.end(migration)
        async with self._lock(migration).exclusive():
            journal = self._journals.find(migration, outgoing=False)
            if journal is None:
                self._never[source, migration] = None
                if len(self._never) > _NEVER:
                    del self._never[next(iter(self._never))]
                return "unknown"
            if journal.phase is Phase.ACTIVATED or self.owns(journal):
                raise _over(migration, Phase.ACTIVATED)
            if journal.phase is not Phase.ABORTED:
                async with self._dispatcher.exclusive(f"jails/{journal.jail}"):
                    await self._discarded(journal)
                await self._journals.put(msgspec.structs.replace(journal, phase=Phase.ABORTED))
                await self._events.emit("migration.aborted", f"jails/{journal.jail}", migration=migration)
            return Phase.ABORTED.value

    async def _discarded(self, journal: Journal) -> None:
        try:
            await self._abort_cleanup.discard(journal)
        except FailedPreconditionError as error:  # the source asks again until it is done: told once
            if journal.message != error.message:
                await self._events.emit("jail.untidy", f"jails/{journal.jail}", f"{error}", migration=journal.id)
                await self._journals.put(msgspec.structs.replace(journal, message=error.message))
            raise

    async def rehearse(self, migration: str, *, keep_copy: bool) -> Rehearsed:
        """Boot a clone of what came of a rehearsal; see `RehearseIn.rehearse`."""
        return await self._rehearsals.rehearse(migration, keep_copy=keep_copy)

    async def resolve(self, migration: str) -> Resolution:
        """Answer a target that asks how the hand-over ended: the jail's record here is the truth."""
        for entry in self._inventory.jails.values():
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


def _over(migration: str, phase: Phase) -> FailedPreconditionError:
    return FailedPreconditionError(
        "MIGRATION_ACTIVATED" if phase is Phase.ACTIVATED else "MIGRATION_PHASE",
        f"migration {migration} is {phase} here",
        remedy="ask its state; begin a new one if it is over",
        resource=f"migrations/{migration}",
        detail={"phase": phase.value},
    )


def _copy(record: JailRecord | None) -> JailRecord | None:
    """Return the record of a copy that a migration continues; None if what there is came with the migration itself."""
    return record if record is not None and record.state in {Ownership.MOVED, Ownership.STANDBY} else None


def _require_begun_anew(known: Journal, offer: Offer) -> None:
    if known.phase not in {Phase.RECEIVING, Phase.PREPARED}:
        raise _over(known.id, known.phase)
    late = offer.attempt < known.offer.attempt or (
        known.phase is Phase.PREPARED and offer.attempt == known.offer.attempt
    )
    if late:
        raise _too_late(known)


def _too_late(journal: Journal) -> FailedPreconditionError:
    return FailedPreconditionError(
        "MIGRATION_ATTEMPT",
        f"migration {journal.id} is at its attempt {journal.offer.attempt} here",
        remedy="none: what belongs to an earlier attempt is not carried out",
        resource=f"migrations/{journal.id}",
    )
