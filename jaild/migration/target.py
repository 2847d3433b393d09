"""A jail coming from another host: the target's side, which decides whether it accepts.

    begin ─► RECEIVING ─► prepare ─► PREPARED ─► activate ─► ACTIVATED
                 │ ◄── begin, later ───┤             └─ the pivot: the jail's record says that it is this host's
                 └──── abort ──────────┘  (asked for, or the source says so when asked after a restart)

The source's phases are what this is driven by, so it is no saga of its own: each call is one of them, says which phases
it may find the migration in, and does the same if it comes again. What they make is undone by `abort`, as a whole. A
jail that is PREPARED never starts by itself: only `activate`, or the source's own word (`recover`), makes it this
host's; whether that has happened the jail's record says (`Activation.owns`), not the journal.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.concurrency import ReadWriteLock, gather_or_cancel
from jaild.engine.supervisor import BackOff, answer_of
from jaild.jails.build import JailParts
from jaild.migration.activation import Activation
from jaild.migration.testing import MigrationTest
from jaild.model.errors import DataLossError, FailedPreconditionError, NotFoundError, UnavailableError
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.model.migration.budget import Parts
from jaild.model.migration.journal import HANDED_OVER, Journal, Phase
from jaild.model.migration.protocol import (
    Acceptance,
    Activated,
    End,
    HostHello,
    Offer,
    Received,
    ReceiveHeader,
    Resolution,
    SoFar,
    Tested,
)
from jaild.model.migration.received import offered_generation, require_same, standbys_of
from jaild.model.problems import errors
from jaild.model.snapshots import of_migration
from jaild.rpc import correlation
from jaild.transfer.build import TransferParts

Tell = Callable[[str], Awaitable[None]]
_PAUSE = BackOff(first=0.5, longest=30.0)
_NEVER = 1000  # aborts that are remembered of migrations that have not begun
# States of a copy that a migration continues, or (PREPARED) goes on with.
_CONTINUED = frozenset({Ownership.MOVED, Ownership.STANDBY, Ownership.PREPARED})


@dataclass
class _Arrival:
    """What this daemon knows of a migration that comes, and need not survive it."""

    lock: ReadWriteLock = field(default_factory=ReadWriteLock)  # streams share it
    streams: set[asyncio.Timeout] = field(default_factory=set)  # those under way; one that is ended is timed out
    activated: Activated | None = None  # the answer, for who did not hear it

    @contextmanager
    def under_way(self, stream: asyncio.Timeout) -> Iterator[None]:
        """Let a stream be ended while this lasts."""
        self.streams.add(stream)
        try:
            yield
        finally:
            self.streams.remove(stream)


class TargetMigration:
    """Receives jails. One call at a time for each migration, but for streams: those of its datasets come together."""

    def __init__(
        self, engine: Engine, jails: JailParts, transfer: TransferParts, test: MigrationTest, activation: Activation
    ) -> None:
        self._inventory = engine.inventory
        self._peers = engine.ports.peers
        self._journals = transfer.journals
        self._clock = engine.ports.clock
        self._offer_check = transfer.offer_check
        self._hosts = transfer.hosts
        self._datasets = jails.datasets
        self._receiver = transfer.receiver
        self._keys = engine.keys
        self._test = test
        self._activation = activation
        self._dispatcher = engine.dispatcher
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._arrivals: defaultdict[str, _Arrival] = defaultdict(_Arrival)  # by migration
        self._never: dict[tuple[str, str], None] = {}  # source, migration: aborted before it began here
        self._log = structlog.get_logger("jaild.target_migration")

    @asynccontextmanager
    async def _alone(self, migration: str, *phases: Phase) -> AsyncIterator[Journal]:
        """Have a migration that is in one of these phases, with nothing else being done to it."""
        async with self._arrivals[migration].lock.exclusive():
            yield self._journal(migration, *phases)

    def _journal(self, migration: str, *phases: Phase) -> Journal:
        journal = self._journals.find(migration, outgoing=False)
        if journal is None:
            raise NotFoundError(
                "MIGRATION_NOT_FOUND",
                f"this host knows of no migration {migration} that comes here",
                hint="begin it again from the source",
                resource=f"migrations/{migration}",
            )
        if journal.phase not in phases:
            raise _over(journal.id, journal.phase)
        return journal

    def _require_up(self) -> None:
        """Keep a jail at its source while this host is shut down: its source waits, as for a host that is away."""
        if self._inventory.shut_down:
            raise UnavailableError(
                "HOST_SHUT_DOWN",
                f"the jails of {self._inventory.host_name} were stopped for its shutdown",
                hint="none: it is asked again until it has booted; if it stays up: jailctl host start-jails there",
            )

    async def hello(self, host_id: str, host_name: str, protocol: int) -> HostHello:
        """Introduce this host."""
        del host_id, host_name  # they were noted on the way here: `jaild.replication.parties`
        return await self._hosts.hello(protocol)

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
        async with self._arrivals[offer.migration].lock.exclusive():
            if (offer.source_name, offer.migration) in self._never:  # its abort has overtaken it on the way
                raise _over(offer.migration, Phase.ABORTED)
            known = self._journals.find(offer.migration, outgoing=False)
            if known is not None:
                _require_begun_anew(known, offer)
                self._require_up()
            acceptance = await self._offer_check.examine(offer)
            found = errors(acceptance.problems)
            if found:
                raise FailedPreconditionError(
                    "PLAN_REFUSED", found[0].message, hint=found[0].hint, problems=acceptance.problems
                )
            async with self._dispatcher.exclusive(f"jails/{offer.jail.name}"):
                await self._begun(offer, known, acceptance)
            return acceptance

    async def _begun(self, offer: Offer, known: Journal | None, acceptance: Acceptance) -> None:
        entry = self._inventory.jails.get(offer.jail.name)
        record = entry.record if entry is not None else None
        as_one = await self._receiver.close_as_one(offer.jail.name) if known is None else known.closed_as_one
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
            closed_as_one=as_one,
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
                created=offer.jail.created or record.created,
            )
            await self._datasets.write(entry, coming)

    def _interrupt(self, migration: str) -> None:
        """End the streams that are under way: their sender does not know of them any more."""
        for stream in self._arrivals[migration].streams:
            stream.reschedule(asyncio.get_running_loop().time())

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Take one ZFS stream and compare its guid."""
        arrival = self._arrivals[header.migration]
        async with arrival.lock.shared():
            journal = self._journal(header.migration, Phase.RECEIVING)
            self._require_up()
            if header.attempt != journal.offer.attempt:
                raise _too_late(journal)
            take = self._receiver.layer if header.layer else self._receiver.dataset
            try:
                async with asyncio.timeout(None) as stream:
                    with arrival.under_way(stream):
                        received = await take(journal, header, chunks)
                        if header.dataset and not header.urgent:
                            await self._keys.load(*self._encrypted(journal, header.dataset))
                        return received
            except TimeoutError:
                raise DataLossError(
                    "STREAM_SUPERSEDED", "its sender has begun anew meanwhile", hint="none: the later attempt goes on"
                ) from None

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int]) -> None:
        """Compare every guid, and what would start with what was offered, and persist PREPARED.

        From here on only the source's word decides. `DataLossError` (GUID_MISMATCH), `FailedPreconditionError`
        (DATASET_MODIFIED, GENERATION_DIFFERS, GENERATION_MISSING, GENERATION_UNREADABLE).
        """
        async with self._alone(migration, Phase.RECEIVING, Phase.PREPARED, Phase.ACTIVATED) as journal:
            if journal.phase is Phase.ACTIVATED:
                return
            if journal.offer.test:
                raise _over(journal.id, journal.phase)
            self._require_up()
            if epoch != journal.epoch:
                raise FailedPreconditionError(
                    "EPOCH_MISMATCH", f"epoch {epoch} was expected to be {journal.epoch}", hint="begin it again"
                )
            wanted = {each.path: guids.get(each.path, 0) for each in journal.offer.jail.datasets}
            if journal.phase is Phase.PREPARED:
                await self._receiver.require(journal.jail, wanted)
                return
            try:  # side by side: the jail is down
                await gather_or_cancel(
                    [
                        self._receiver.require(journal.jail, wanted),
                        self._receiver.require_unwritten(journal.jail, wanted),
                        self._require_as_offered(journal),
                        self._keys.load(*self._encrypted(journal)),  # from here on nothing may keep it from starting
                    ]
                )
                async with self._dispatcher.exclusive(f"jails/{journal.jail}"):
                    await gather_or_cancel([self._prepared(journal, guids), self._receiver.close_copy(journal.jail)])
            except BaseException:
                await self._receiver.close_copy(journal.jail)
                raise

    async def _require_as_offered(self, journal: Journal) -> None:
        """Read what would start, out of what has come: the offer was only said."""
        came = await self._receiver.open_copy(journal.jail, journal.offer.jail.generation)
        require_same(journal.jail, offered_generation(journal.offer.jail), came)

    def _encrypted(self, journal: Journal, path: str = "") -> tuple[str, JailSpec]:
        """Return one of a jail's datasets with its spec: what is encrypted is opened as it comes, or refused."""
        return self._inventory.where.part(journal.jail, path), offered_generation(journal.offer.jail).spec

    async def _prepared(self, journal: Journal, guids: dict[str, int]) -> None:
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
        await self._journals.put(msgspec.structs.replace(journal, phase=Phase.PREPARED, guids=guids))

    async def activate(self, migration: str, epoch: int, so_far: SoFar | None = None) -> Activated:
        """Become the owner, start the jail, pass its health checks. Asked again it answers the same, but for `up`.

        A caller that hangs up does not end it: it asks again, and gets the answer of the one that is under way.
        """
        name = f"activation of {migration}"
        task = self._supervisor.once(name, lambda: self._activate(migration, epoch, so_far or SoFar()))
        answer = await answer_of(task)
        journal = self._journals.find(migration, outgoing=False)
        entry = self._inventory.jails.get(journal.jail) if journal is not None else None
        if entry is None or entry.run is None or not entry.run.running:
            return answer
        return msgspec.structs.replace(answer, up=max(self._clock.now() - entry.run.started, 0.0))

    def owns(self, journal: Journal) -> bool:
        """Whether the jail is this host's by that migration, but its activation has not come to its end."""
        return self._activation.owns(journal)

    async def _activate(self, migration: str, epoch: int, so_far: SoFar) -> Activated:
        async with self._alone(migration, Phase.PREPARED, Phase.ACTIVATED) as journal:
            arrival = self._arrivals[migration]
            if arrival.activated is not None:
                return arrival.activated
            if journal.phase is Phase.ACTIVATED:
                return Activated(healthy=journal.healthy, parts=journal.parts or Parts(), message=journal.message)
            if epoch != journal.epoch:
                raise _over(journal.id, journal.phase)
            async with self._dispatcher.exclusive(f"jails/{journal.jail}"):
                activated = await self._activation.activate(journal)
                done = msgspec.structs.replace(
                    journal,
                    phase=Phase.ACTIVATED,
                    healthy=activated.healthy,
                    parts=activated.parts,
                    message=activated.message,
                    downtime=None if so_far.down is None else so_far.down + activated.parts.downtime,
                    predicted=so_far.predicted,
                    predicted_at_least=so_far.predicted_at_least,
                    rounds=so_far.rounds,
                    bytes=so_far.bytes,
                )
                try:
                    await self._tidied(done)
                except Exception as error:  # noqa: BLE001 -- the jail serves: what is left to do is tried again
                    await self._tidy_later(done, error)
            arrival.activated = activated
            return activated

    async def _tidied(self, done: Journal) -> None:
        entry = self._inventory.jails.get(done.jail)
        if entry is not None and self.owns(msgspec.structs.replace(done, phase=Phase.PREPARED)):
            await self._activation.tidy(entry, done)
        await self._journals.put(done)  # last: what a crash interrupts is gone on with by the next start

    async def _tidy_later(self, done: Journal, error: Exception) -> None:
        async def tidy() -> None:
            async with self._dispatcher.exclusive(f"jails/{done.jail}"):
                await self._tidied(done)

        self._log.warning("cleanup pending", jail=done.jail, exc_info=error)
        await self._events.emit(
            "jail.cleanup-pending", f"jails/{done.jail}", f"{error}; tried again", migration=done.id
        )
        name = f"tidying of {done.jail} after migration {done.id}"
        self._supervisor.retry(name, tidy, pause=_PAUSE, after=_PAUSE.first, target=f"jails/{done.jail}")

    async def abort(self, migration: str, *, source: str) -> None:
        """Throw away what came from `source`; an older copy goes back to where it was.

        `FailedPreconditionError` (MIGRATION_ACTIVATED) once the jail is this host's.
        """
        self._interrupt(migration)
        begun = self._journals.find(migration, outgoing=False)
        if begun is not None and begun.offer.test:
            await self._test.end(migration)
        async with self._arrivals[migration].lock.exclusive():
            journal = self._journals.find(migration, outgoing=False)
            if journal is None:
                self._never[source, migration] = None
                if len(self._never) > _NEVER:
                    del self._never[next(iter(self._never))]
                return
            if journal.phase is Phase.ACTIVATED or self.owns(journal):
                raise _over(migration, Phase.ACTIVATED)
            if journal.phase is Phase.ABORTED:
                return
            async with self._dispatcher.exclusive(f"jails/{journal.jail}"):
                await self._discarded(journal)
            await self._journals.put(msgspec.structs.replace(journal, phase=Phase.ABORTED))
            ended = "migration.tested" if journal.offer.test else "migration.aborted"
            await self._events.emit(ended, f"jails/{journal.jail}", migration=migration)

    async def _discarded(self, journal: Journal) -> None:
        try:
            await self._activation.discard(journal)
        except FailedPreconditionError as error:  # the source asks again until it is done: told once
            if journal.message != error.message:
                await self._events.emit(
                    "jail.cleanup-pending", f"jails/{journal.jail}", f"{error}", migration=journal.id
                )
                await self._journals.put(msgspec.structs.replace(journal, message=error.message))
            raise

    async def boot_clone(self, migration: str, *, keep_copy: bool) -> Tested:
        """Boot a clone of what came of a test migration; see `MigrationTest.boot_clone`."""
        return await self._test.boot_clone(migration, keep_copy=keep_copy)

    async def resolve(self, migration: str) -> Resolution:
        """Answer a target that asks how the hand-over ended: the jail's record here is the truth."""
        for entry in self._inventory.jails.values():
            if entry.record is not None and entry.record.migration == migration:
                if entry.record.state is Ownership.MOVED:
                    return Resolution(outcome=End.COMMITTED, epoch=entry.record.epoch)
                return Resolution(outcome=End.PENDING)
        journal = self._journals.find(migration, outgoing=True)
        if journal is None:
            return Resolution(outcome=End.UNKNOWN)
        if journal.phase in HANDED_OVER:
            return Resolution(outcome=End.COMMITTED, epoch=journal.epoch)
        return Resolution(outcome=End.ABORTED if journal.phase is Phase.ABORTED else End.PENDING)

    # -- what an earlier daemon has left

    def is_receiving(self, jail: str) -> bool:
        """Whether a migration goes on bringing this jail."""
        return any(journal.phase is Phase.RECEIVING for journal in self._journals.coming(jail))

    def recover(self, tell: Tell) -> None:
        """Ask the sources of what has come, in the background, how it ended, until they answer."""
        for journal in self._journals.incoming():
            if journal.phase in {Phase.RECEIVING, Phase.PREPARED}:
                name = f"migration {journal.id} from {journal.peer}"
                target = f"jails/{journal.jail}"
                self._supervisor.retry(name, partial(self._end, journal, tell), pause=_PAUSE, target=target)

    async def _end(self, journal: Journal, tell: Tell) -> None:
        """Ask the source how it ended, and do what follows; raise while that is not known."""
        correlation.bind(migration=journal.id, jail=journal.jail)
        if self.owns(journal):  # it was interrupted while it was activated
            await self.activate(journal.id, journal.epoch)
            await tell(f"jail {journal.jail} from {journal.peer}: its activation was gone on with")
            return
        resolution = await self._peers.get(journal.peer).resolve(journal.id)
        if resolution.outcome is End.COMMITTED:
            await self.activate(journal.id, resolution.epoch)
            await tell(f"jail {journal.jail} is this host's: {journal.peer} had handed it over")
            return
        # A source that remembers nothing may have lost its pool too: what is prepared may be the only copy.
        forgotten = resolution.outcome is End.UNKNOWN and journal.phase is Phase.RECEIVING
        if resolution.outcome is End.ABORTED or forgotten:
            await self.abort(journal.id, source=journal.peer)
            await tell(f"threw away what had come of {journal.jail}: {journal.peer} kept it")
            return
        raise FailedPreconditionError(
            "MIGRATION_UNDECIDED",
            f"{journal.peer} says that migration {journal.id} of jail {journal.jail} is {resolution.outcome}",
            hint=f"it is asked again by itself; if {journal.peer} has lost the jail: jailctl adopt",
            resource=f"jails/{journal.jail}",
        )


def _over(migration: str, phase: Phase) -> FailedPreconditionError:
    return FailedPreconditionError(
        "MIGRATION_ACTIVATED" if phase is Phase.ACTIVATED else "MIGRATION_PHASE",
        f"migration {migration} is {phase} here",
        hint="ask its state; begin a new one if it is over",
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
        hint="none: what belongs to an earlier attempt is not carried out",
        resource=f"migrations/{journal.id}",
    )
