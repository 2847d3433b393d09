"""Replicas that this host keeps of other hosts' jails: taken in rounds from their owners, never started by themselves.

    offer ─► layers, datasets (streams) ─► complete: the record names the round     ◄── for ever
                                            └─ behind its interval: an event, until it has caught up

A round that was cut off changes nothing that counts: the record still names the last whole one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import Inventory, JailEntry
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.build import JailParts
from jaild.model import layout, quantity
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership, Replica
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import Offer, Received, ReceiveHeader
from jaild.model.problems import Problem, Severity, errors
from jaild.model.replication.policy import dropped
from jaild.model.replication.protocol import Known, ReplicaOffer, ReplicaState, RollBack, WholeRound
from jaild.model.snapshots import STANDBY, Snapshot
from jaild.transfer.acceptance import fenced_copy
from jaild.transfer.build import TransferParts

_MINE = frozenset({Ownership.STANDBY, Ownership.CLAIMED})  # states of a replica
_LEFT = frozenset({Phase.ACTIVATED, Phase.FINALIZED})  # of a migration away from here that is over


class ReplicaStore:
    """Keeps replicas. One call at a time for each jail."""

    def __init__(self, engine: Engine, jails: JailParts, transfer: TransferParts) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._offer_check = transfer.offer_check
        self._receiver = transfer.receiver
        self._datasets = jails.datasets
        self._journals = transfer.journals
        self._deleted = engine.deleted
        self._recovery = engine.recovery
        self._log = structlog.get_logger("jaild.standby")
        self._events = engine.events
        self._clock = engine.ports.clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._offers: dict[str, ReplicaOffer] = {}
        self._late: set[str] = set()
        self._taken_at: dict[str, tuple[float, float]] = {}  # wall clock of a round, and the same moment monotonic
        self._in_use: dict[str, frozenset[str]] = {}  # jail -> old rounds' snapshots that others keep, as was told
        self._kept: set[str] = set()  # datasets of volumes that only the replica has, as was told

    def lock(self, jail: str) -> asyncio.Lock:
        """Return what whoever changes a replica holds."""
        return self._locks.setdefault(jail, asyncio.Lock())

    def owner_of(self, jail: str) -> str:
        """Return the name of the host whose replica of a jail is kept or taken here; '' for none."""
        entry = self._inventory.jails.get(jail)
        if entry is None or entry.record is None:
            offer = self._offers.get(jail)
            return offer.source_name if offer is not None else ""
        return entry.record.peer if entry.record.state in _MINE else ""

    async def offer(self, offer: ReplicaOffer) -> ReplicaState:
        """Say whether a replica is kept, and what there is of it. `FailedPreconditionError` (OWNER_SUPERSEDED)."""
        async with self.lock(offer.jail.name):
            entry = self._inventory.jails.get(offer.jail.name)
            record = entry.record if entry is not None else None
            if (
                record is not None
                and record.uid == offer.jail.uid
                and (
                    record.epoch > offer.jail.epoch
                    or (record.epoch == offer.jail.epoch and record.owner != offer.source_id)
                )
            ):
                raise _superseded(offer.jail.name, known_of(self._inventory, record))
            gone = self._deleted.known(offer.jail.uid)
            if gone is not None and gone.epoch > offer.jail.epoch:
                raise _superseded(offer.jail.name, gone, deleted=True)
            problems: tuple[Problem, ...] = _refusals(self._inventory, entry, offer)
            if problems:
                return ReplicaState(problems=problems)
            if entry is not None and record is not None and not self._may_become(record):
                busy = FailedPreconditionError(
                    "STANDBY_BUSY",
                    f"{self._inventory.host_name} has jail {offer.jail.name} as {record.state}",
                    hint="it is asked again by itself",
                )
                raise busy
            asked = Offer(
                migration=offer.jail.name, source_id=offer.source_id, source_name=offer.source_name, jail=offer.jail
            )
            acceptance = await self._offer_check.examine_replica(asked)
            if errors(acceptance.problems):
                return ReplicaState(problems=acceptance.problems)
            if entry is not None and offer.jail.removed_guids and await self._drop_replaced(entry, offer):
                acceptance = await self._offer_check.examine_replica(asked)
            self._offers[offer.jail.name] = offer
            await self._receiver.take_over(offer.jail, acceptance.datasets, STANDBY)
            if entry is not None and record is not None:
                await self._follow(entry, record, offer)
            replica = entry.record.replica if entry is not None and entry.record is not None else None
            return ReplicaState(
                missing_layers=acceptance.missing_layers,
                datasets=acceptance.datasets,
                round=replica.round if replica is not None else "",
                taken=replica.taken if replica is not None else 0.0,
            )

    def _may_become(self, record: JailRecord) -> bool:
        if record.state is not Ownership.MOVED:
            return record.state is Ownership.STANDBY
        left = self._journals.find(record.migration, outgoing=True)
        return left is None or left.phase in _LEFT

    async def _follow(self, entry: JailEntry, record: JailRecord, offer: ReplicaOffer) -> None:
        """Write down whose replica it is now, if that has changed: before anything of it comes."""
        replica = msgspec.structs.replace(record.replica or Replica(), interval=offer.interval, others=offer.others)
        wanted = advance(
            record,
            Ownership.STANDBY,
            owner=offer.source_id,
            peer=offer.source_name,
            epoch=offer.jail.epoch,
            migration="",
            standbys=(),
            replica=replica,
            created=offer.jail.created or record.created,
        )
        self._show(entry, offer)
        if wanted != record:
            await self._datasets.write(entry, wanted)

    def _show(self, entry: JailEntry, offer: ReplicaOffer) -> None:
        entry.generation = msgspec.json.decode(offer.jail.generation_json, type=Generation)
        entry.layers = tuple(layer.path for layer in offer.jail.layers)

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Take one stream of a replica, or of a layer that it needs."""
        jail = header.migration
        async with self.lock(jail):
            offer = self._offered(jail)
            journal = Journal(
                id=jail,
                jail=jail,
                outgoing=False,
                peer=offer.source_name,
                phase=Phase.RECEIVING,
                offer=Offer(migration=jail, source_id=offer.source_id, source_name=offer.source_name, jail=offer.jail),
                epoch=offer.jail.epoch,
            )
            if header.layer:
                return await self._receiver.layer(journal, header, chunks)
            if not header.dataset and jail not in self._inventory.jails:
                first = {f"{layout.FIRST_ROUND_PROPERTY}{jail}": str(header.guid)}
                await self._zfs.set(self._inventory.where.jails, first)
            return await self._receiver.dataset(journal, header, chunks, enter=self._enter, purpose=STANDBY)

    def _offered(self, jail: str) -> ReplicaOffer:
        offer = self._offers.get(jail)
        entry = self._inventory.jails.get(jail)
        mine = entry is None or (entry.record is not None and entry.record.state is Ownership.STANDBY)
        if offer is None or not mine:
            raise FailedPreconditionError(
                "STANDBY_NOT_OFFERED", f"no replica of {jail} is being taken", hint="offer it (again)"
            )
        return offer

    async def _enter(self, journal: Journal) -> None:
        """Put the record on the jail's dataset as soon as there is one, and the jail into the index."""
        offer = self._offered(journal.jail)
        record = JailRecord(
            uid=offer.jail.uid,
            owner=offer.source_id,
            epoch=offer.jail.epoch,
            state=Ownership.STANDBY,
            generation=offer.jail.generation,
            desired=Desired(offer.jail.desired),
            created=offer.jail.created or self._clock.now(),
            peer=offer.source_name,
            replica=Replica(interval=offer.interval, others=offer.others),
        )
        found = await self._zfs.dataset(self._inventory.where.jail(journal.jail))
        folder = found.mountpoint or self._inventory.folder_of_jails / journal.jail
        entry = JailEntry(name=journal.jail, dataset=found.name, folder=folder)
        await self._datasets.write(entry, record)
        self._show(entry, offer)
        self._inventory.jails[journal.jail] = entry
        await self._zfs.inherit(self._inventory.where.jails, f"{layout.FIRST_ROUND_PROPERTY}{journal.jail}")

    async def roll_back(self, wanted: RollBack) -> int:
        """Destroy what a replica has after a snapshot that its owner has, too. `NotFoundError` (SNAPSHOT_NOT_FOUND).

        `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep some of it: nothing is destroyed then.
        """
        async with self.lock(wanted.jail):
            self._mine(wanted.jail, wanted.uid, wanted.epoch)
            dataset = self._inventory.where.part(wanted.jail, wanted.dataset)
            snapshots = await self._zfs.snapshots(dataset)
            guids = [snapshot.guid for snapshot in snapshots]
            if wanted.guid not in guids:
                raise NotFoundError(
                    "SNAPSHOT_NOT_FOUND", f"{dataset} has no snapshot {wanted.guid}", hint="offer the jail again"
                )
            newer = snapshots[guids.index(wanted.guid) + 1 :]
            await OwnedSnapshots(self._zfs, dataset).return_to(snapshots[guids.index(wanted.guid)], newer)
            names = ", ".join(snapshot.tag for snapshot in newer)
            message = f"{wanted.dataset or '.'}: destroyed "
            message += f"{quantity.count(len(newer), 'snapshot')} that its owner does not have: {names}"
            await self._events.emit("standby.rolled_back", f"jails/{wanted.jail}", message)
            return len(newer)

    def _mine(self, jail: str, uid: str, epoch: int) -> tuple[JailEntry, JailRecord]:
        entry = self._inventory.jails.get(jail)
        record = entry.record if entry is not None else None
        if entry is None or record is None or record.uid != uid or record.state is not Ownership.STANDBY:
            raise FailedPreconditionError(
                "JAIL_NOT_STANDBY", f"{jail} is no replica on {self._inventory.host_name}", hint="ask who owns it"
            )
        if record.epoch > epoch:
            raise _superseded(jail, known_of(self._inventory, record))
        return entry, record

    async def complete(self, whole: WholeRound) -> None:
        """Let a round count, and drop older ones. `DataLossError` (GUID_MISMATCH) if a dataset does not have it."""
        async with self.lock(whole.jail):
            entry, record = self._mine(whole.jail, whole.uid, whole.epoch)
            offer = self._offered(whole.jail)
            await self._receiver.require(whole.jail, whole.guids)
            owned = OwnedSnapshots(self._zfs, entry.dataset)
            await owned.keep(STANDBY, whole.guids.values())
            replica = Replica(round=whole.round, taken=whole.taken, interval=offer.interval, others=offer.others)
            counted = advance(
                record,
                Ownership.STANDBY,
                generation=offer.jail.generation,
                desired=Desired(offer.jail.desired),
                replica=replica,
                removed_guids=offer.jail.removed_guids,
            )
            await self._datasets.write(entry, counted)
            rounds = await owned.of(STANDBY)
            await self._prune(owned, rounds, whole)
            await self._drop_removed(entry, rounds, whole, frozenset(offer.jail.removed_guids))
            await self._datasets.measure(entry)

    async def _drop_removed(
        self, entry: JailEntry, rounds: Sequence[Snapshot], whole: WholeRound, removed: frozenset[int]
    ) -> None:
        """Destroy the volumes that came with rounds, are no part of this one, and were `removed` by their owner.

        One that is gone there for another reason stays, and is told of once: this may be its last copy. So does what
        others made here, or keep a snapshot of.
        """
        came = {snapshot.dataset for snapshot in rounds}
        wanted_away = {snapshot.dataset for snapshot in rounds if snapshot.guid in removed}
        named = {
            "",
            layout.DATA,
            *whole.guids,
            *(entry.generation.spec.volumes if entry.generation is not None else ()),
        }
        for dataset in sorted(came - {self._inventory.where.part(entry.name, path) for path in named}):
            if dataset in wanted_away:
                await self._drop_volume(entry.name, dataset)
            else:
                await self._tell_of_kept(entry.name, dataset)

    async def _drop_replaced(self, entry: JailEntry, offer: ReplicaOffer) -> bool:
        """Destroy removed volumes in whose place the owner has new ones, which come with this round; say if any."""
        coming = {self._inventory.where.part(entry.name, dataset.path) for dataset in offer.jail.datasets}
        removed = frozenset(offer.jail.removed_guids)
        rounds = await OwnedSnapshots(self._zfs, entry.dataset).of(STANDBY)
        replaced = sorted({s.dataset for s in rounds if s.guid in removed} & coming)
        for dataset in replaced:
            await self._drop_volume(entry.name, dataset)
        return bool(replaced)

    async def _drop_volume(self, jail: str, dataset: str) -> None:
        volume = dataset.rpartition("/")[2]
        try:
            await self._datasets.destroy_all(dataset)
        except JaildError as error:  # looked at again at the next round
            self._log.warning("cannot drop a volume", jail=jail, volume=volume, error=str(error))
            return
        message = f"{volume}: its owner has removed it"
        await self._events.emit("standby.volume_removed", f"jails/{jail}", message)

    async def _tell_of_kept(self, jail: str, dataset: str) -> None:
        if dataset in self._kept:
            return
        self._kept.add(dataset)
        volume = dataset.rpartition("/")[2]
        message = f"{volume}: its owner has it no more and did not remove it by jaild; kept, as of its last round"
        message += f"; if nobody needs it: zfs destroy -r {dataset}"
        await self._events.emit("standby.volume_kept", f"jails/{jail}", message, volume=volume)

    async def _prune(self, owned: OwnedSnapshots, own: Sequence[Snapshot], whole: WholeRound) -> None:
        old = []
        for path, guid in whole.guids.items():
            rounds = [snapshot for snapshot in own if snapshot.dataset == self._inventory.where.part(whole.jail, path)]
            tags = frozenset(dropped([(snapshot.tag, snapshot.guid) for snapshot in rounds], [{guid}]))
            old += [snapshot for snapshot in rounds if snapshot.tag in tags]
        in_use = frozenset(await owned.drop(old))
        if in_use - self._in_use.get(whole.jail, frozenset()):
            message = f"others keep {', '.join(sorted(in_use))}: they are dropped when their holds and clones are gone"
            await self._events.emit("standby.snapshots_in_use", f"jails/{whole.jail}", message)
        self._in_use[whole.jail] = in_use

    async def withdraw(self, jail: str, uid: str, epoch: int) -> None:
        """Destroy a replica that its owner does not want any more; no error if there is none.

        Nothing more of it is taken until it is offered again. `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others
        keep a snapshot of it: it stays a replica.
        """
        async with self.lock(jail):
            offered = self._offers.get(jail)
            if offered is not None and offered.jail.uid == uid and offered.jail.epoch <= epoch:
                del self._offers[jail]
            entry = self._inventory.jails.get(jail)
            if entry is None:
                with suppress(NotFoundError):  # there is none
                    await self.clear_left(self._inventory.where.jail(jail))
                return
            if entry.record is None or entry.record.uid != uid or entry.record.state not in _MINE:
                return
            entry, record = self._mine(jail, uid, epoch)
            await self._datasets.require_destroyable(jail)
            await self._datasets.write(entry, advance(record, Ownership.DELETING))
            await self._datasets.destroy(entry)
            del self._inventory.jails[jail]
            await self._events.emit(
                "standby.withdrawn", f"jails/{jail}", f"{record.peer} keeps no replica here any more"
            )

    async def ownership(self, jail: str, uid: str) -> Known:
        """Return what this host has of a jail, or remembers of one that was deleted here."""
        record = self._record(jail, uid)
        here = known_of(self._inventory, record) if record is not None else Known()
        gone = self._deleted.known(uid)
        return gone if gone is not None and gone.epoch > here.epoch else here

    def _record(self, jail: str, uid: str) -> JailRecord | None:
        """Return the record of a jail, also if it has got another name here: who asks cannot know that."""
        named = self._inventory.jails.get(jail)
        entries = [*([named] if named is not None else []), *self._inventory.jails.values()]
        return next((e.record for e in entries if e.record is not None and e.record.uid == uid), None)

    async def clear_left(self, dataset: str) -> bool:
        """Destroy a dataset without a record if it is what a crash left of a first round; tell and say if it was.

        What came of one is marked, but for the snapshot that was noted before it came.
        """
        owned, snapshots = OwnedSnapshots(self._zfs, dataset), await self._zfs.snapshots(dataset, recursive=True)
        above = await self._zfs.dataset(self._inventory.where.jails)
        note = f"{layout.FIRST_ROUND_PROPERTY}{dataset.rpartition('/')[2]}"
        noted = above.properties.get(note)
        others = [s for s in snapshots if s.purpose != STANDBY and str(s.guid) != noted]
        if not snapshots or others or await owned.claims():
            return False
        await self._datasets.destroy_all(dataset)
        if noted is not None:
            await self._zfs.inherit(above.name, note)
        await self._recovery.tell(f"destroyed {dataset}, left of a replica's first round")
        return True

    def age_of(self, jail: str, replica: Replica) -> float:
        """Return how many seconds ago its last whole round was taken, whatever the wall clock did since it was seen."""
        taken, at = self._taken_at.get(jail, (math.nan, 0.0))
        if taken != replica.taken:
            at = self._clock.monotonic() - max(self._clock.now() - replica.taken, 0.0)
            self._taken_at[jail] = replica.taken, at
        return self._clock.monotonic() - at

    async def look_at_ages(self) -> None:
        """Tell of replicas that fall behind their interval, and of those that have caught up."""
        for entry in list(self._inventory.jails.values()):
            record = entry.record
            if record is None or record.state is not Ownership.STANDBY or record.replica is None:
                self._late.discard(entry.name)
                continue
            behind = self.age_of(entry.name, record.replica) > record.replica.interval
            if behind and entry.name not in self._late:
                self._late.add(entry.name)
                message = f"nothing whole has come from {record.peer} for more than {record.replica.interval:g} s"
                await self._events.emit("standby.behind", f"jails/{entry.name}", message, owner=record.peer)
            elif not behind and entry.name in self._late:
                self._late.discard(entry.name)
                await self._events.emit("standby.caught_up", f"jails/{entry.name}", f"from {record.peer}")


def known_of(inventory: Inventory, record: JailRecord) -> Known:
    """Return a record as other hosts are told of it."""
    taken = record.replica.taken if record.replica is not None and record.state in _MINE else 0.0
    return Known(
        state=record.state.value,
        owner=record.owner,
        owner_name=inventory.host_names.get(record.owner, record.peer),
        epoch=record.epoch,
        taken=taken,
        since=record.failover.since if record.failover is not None else 0.0,
        at=record.failover.at if record.failover is not None else 0.0,
    )


def _superseded(jail: str, known: Known, *, deleted: bool = False) -> FailedPreconditionError:
    """Return the error for who believes to own a jail of which this host knows a later owner.

    `deleted`: it remembers that owner, and no more.
    """
    its = f"{known.owner_name}'s with epoch {known.epoch}"
    return FailedPreconditionError(
        "OWNER_SUPERSEDED",
        f"jail {jail} was {its}; its copy here was deleted" if deleted else f"jail {jail} is {its}",
        hint="stop it: the higher epoch is right",
        resource=f"jails/{jail}",
        detail={
            "epoch": str(known.epoch),
            "owner": known.owner,
            "owner_name": known.owner_name,
            "since": str(known.since),
            "at": str(known.at),
        },
    )


def _refusals(inventory: Inventory, entry: JailEntry | None, offer: ReplicaOffer) -> tuple[Problem, ...]:
    """Return what people have to do something about before a replica can be kept here."""
    if entry is None:
        return ()
    record = entry.record
    if record is None or record.uid != offer.jail.uid:
        taken = Problem(
            severity=Severity.ERROR,
            code="NAME_TAKEN",
            message=f"there is another jail {entry.name} on {inventory.host_name}",
            hint="rename or delete one of the two",
        )
        return (taken,)
    return (fenced_copy(inventory, entry),) if record.state is Ownership.FENCED else ()
