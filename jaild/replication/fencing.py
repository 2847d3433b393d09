"""A jail that another host took over while this one was away: stopped for good, what was written here kept.

ACTIVE ── one `zfs set`: FENCED, the new owner, its epoch ──► run stopped, datasets unmounted and read-only ──► told
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.supervisor import BackOff
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.model.errors import FailedPreconditionError, JaildError, UnavailableError
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import ForcedFailover, JailRecord, Ownership
from jaild.model.operation import Stop
from jaild.model.replication.deleted import DeletedJail
from jaild.model.replication.policy import lasting
from jaild.model.replication.protocol import Known, Supersession
from jaild.model.views import Caller
from jaild.transfer.build import TransferParts

CALLER = Caller(actor="fencing")
_FOLLOWING = frozenset({Ownership.STANDBY, Ownership.MOVED, Ownership.FENCED})  # records that only name the owner
_PAUSE = BackOff(first=1.0, longest=30.0)


class Fencing:
    """Stops what is superseded here, and tells those that this host has superseded."""

    def __init__(self, engine: Engine, jails: JailParts, transfer: TransferParts, migration: MigrationParts) -> None:
        self._inventory = engine.inventory
        self._peers = engine.ports.peers
        self._sole = transfer.sole
        self._datasets = jails.datasets
        self._cutover = migration.cutover
        self._deleted = engine.deleted
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events

    # -- being told

    async def supersede(self, told: Supersession) -> int:
        """Take a peer's word that it took a jail over; return the highest epoch that this host knows."""
        entry = self._inventory.jails.get(told.jail)
        record = entry.record if entry is not None else None
        if entry is None or record is None or record.uid != told.uid:
            return told.epoch
        if record.epoch >= told.epoch:
            return record.epoch
        known = Known(
            state=Ownership.ACTIVE.value,
            owner=told.owner,
            owner_name=told.owner_name,
            epoch=told.epoch,
            since=told.since,
            at=told.at,
        )
        if record.state in _FOLLOWING:
            async with self._dispatcher.exclusive(f"jails/{told.jail}"):  # not while it is claimed here
                return await self._follow(entry, told)
        if record.state is Ownership.FROZEN:  # on its way to a third host: it is not handed over any more
            self._sole.doubt(entry, told.owner_name)
        if not self._inventory.may(entry, Intent.GIVE_UP):
            raise FailedPreconditionError(
                "STANDBY_BUSY",
                f"{self._inventory.host_name} has jail {told.jail} as {record.state}",
                hint="it is told again by itself",
            )
        await self.fence(told.jail, known)
        return told.epoch

    async def _follow(self, entry: JailEntry, told: Supersession) -> int:
        record = entry.record
        if record is None or record.state not in _FOLLOWING or record.epoch >= told.epoch:
            return told.epoch if record is None else record.epoch
        followed = msgspec.structs.replace(record, owner=told.owner, peer=told.owner_name, epoch=told.epoch)
        await self._datasets.write(entry, followed)
        await self._events.emit("standby.owner_changed", f"jails/{told.jail}", f"{told.owner_name} owns it now")
        return told.epoch

    async def fence(self, name: str, known: Known) -> None:
        """Give a jail up for its new owner; in the jail's queue, so that nothing else is done with it meanwhile."""

        async def work(handle: Handle) -> str:
            entry, record = self._inventory.permitted(name, Intent.READ)
            if self._inventory.may(entry, Intent.GIVE_UP) and record.epoch < known.epoch:
                await self._give_up(handle, entry, record, known)
            return f"jails/{name}"

        operation = await self._dispatcher.submit(f"jails/{name}", "fence", CALLER, work)
        await self._operations.wait(operation.id)

    async def _give_up(self, handle: Handle, entry: JailEntry, record: JailRecord, known: Known) -> None:
        await handle.phase("commit", f"{known.owner_name} owns it now", Stop.NEVER)
        fenced = advance(
            record,
            Ownership.FENCED,
            owner=known.owner,
            peer=known.owner_name,
            epoch=known.epoch,
            standbys=(),
            failover=ForcedFailover(host=known.owner_name, at=known.at, since=known.since),
        )
        await self._datasets.write(entry, fenced)
        entry.unconfirmed, entry.message = frozenset(), ""
        await self._cutover.put_away(entry)
        await self._events.emit(
            "jail.fenced", f"jails/{entry.name}", lasting(fenced, self._inventory.host_id), owner=known.owner_name
        )

    # -- telling

    def tell_all(self) -> None:
        """Go on telling, in the background, whom this host's failovers concern."""
        for entry in self._inventory.jails.values():
            self.tell(entry)
        self.tell_of_deleted()

    def tell_of_deleted(self) -> None:
        """Go on telling of failovers whose jail has been deleted since: an old copy would start otherwise."""
        for row in self._deleted.untold():
            self._tell_of(row)

    def _tell_of(self, row: DeletedJail) -> None:
        name = f"supersede {row.jail}, deleted here ({row.uid})"
        self._supervisor.retry(name, lambda: self._tell_deleted(row.uid), pause=_PAUSE, target=f"jails/{row.jail}")

    async def _tell_deleted(self, uid: str) -> None:
        row = self._deleted.find(uid)
        if row is None:
            return
        told = Supersession(
            jail=row.jail,
            uid=uid,
            epoch=row.epoch,
            owner=row.owner,
            owner_name=row.owner_name,
            since=row.since,
            at=row.at,
        )
        await self._each(row.untold, lambda host: self._hear(host, told), lambda hosts: self._deleted.told(uid, hosts))

    async def _hear(self, host: str, told: Supersession) -> None:
        await self._peers.get(host).standby.supersede(told)

    def tell(self, entry: JailEntry) -> None:
        """Tell the former owner and the other standbys of a failover, until all know it."""
        if self._untold(entry):
            name = f"supersede {entry.name}"
            self._supervisor.retry(name, lambda: self._tell(entry), pause=_PAUSE, target=f"jails/{entry.name}")

    def _untold(self, entry: JailEntry) -> tuple[str, ...]:
        record = entry.record
        if record is None or record.failover is None or not self._inventory.may(entry, Intent.TELL):
            return ()
        return record.failover.untold

    async def _tell(self, entry: JailEntry) -> None:
        """Tell all that do not know it yet."""
        untold = self._untold(entry)
        await self._each(untold, lambda host: self._say(entry, host), lambda hosts: self._note(entry, hosts))

    async def _each(
        self,
        hosts: Iterable[str],
        say: Callable[[str], Awaitable[None]],
        note: Callable[[list[str]], Awaitable[None]],
    ) -> None:
        """Say it to each host, note who knows it; raise what kept one from being told."""
        told, failure = [], None
        for host in hosts:
            try:
                await say(host)
            except Exception as error:  # noqa: BLE001 -- one that is away, or answers nonsense, keeps no other from it
                if not (isinstance(error, JaildError) and error.reason == "PEER_UNKNOWN"):
                    failure = error
                    continue
            told.append(host)
        if told:
            await note(told)
        if failure is not None:
            raise failure

    async def _say(self, entry: JailEntry, host: str) -> None:
        record = entry.record
        if record is None or record.failover is None:
            return
        supersession = Supersession(
            jail=entry.name,
            uid=record.uid,
            epoch=record.epoch,
            owner=self._inventory.host_id,
            owner_name=self._inventory.host_name,
            since=record.failover.since,
            at=record.failover.at,
        )
        peer = self._peers.get(host).standby
        if await peer.supersede(supersession) > record.epoch:  # this host is the one that is superseded
            await self.fence(entry.name, await peer.ownership(entry.name, record.uid))

    async def _note(self, entry: JailEntry, hosts: list[str]) -> None:
        async def work(_: Handle) -> str:
            record = entry.record
            if record is not None and record.failover is not None and self._inventory.may(entry, Intent.TELL):
                untold = tuple(host for host in record.failover.untold if host not in hosts)
                failover = msgspec.structs.replace(record.failover, untold=untold)
                await self._datasets.write(entry, msgspec.structs.replace(record, failover=failover))
            return f"jails/{entry.name}"

        operation = await self._dispatcher.submit(f"jails/{entry.name}", "told", CALLER, work)
        failure = (await self._operations.wait(operation.id)).failure
        if failure is not None:  # they are told once more: that changes nothing
            raise UnavailableError(failure.reason, failure.message, hint=failure.hint, resource=operation.target)


def known_in(error: FailedPreconditionError) -> Known:
    """Return who owns a jail, as the refusal OWNER_SUPERSEDED says it."""
    detail = error.detail
    return Known(
        state=Ownership.ACTIVE.value,
        owner=detail["owner"],
        owner_name=detail["owner_name"],
        epoch=int(detail["epoch"]),
        since=float(detail["since"]),
        at=float(detail["at"]),
    )
