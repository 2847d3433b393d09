"""Other names for jails: the jail stays the same one, with its uid, identity, generations, log and history.

    record: its name goes ─► RENAME: one `zfs rename` of all its datasets ─► log, record: it is gone
       │ undone                │ asked until it is known

A jail's name is that of its dataset. It must be down, since its mounts lead there, and known under it by no other host
that may have it: replicas lie under the owner's name, and who owns a jail is asked and told by its name. A copy that it
left where it came from is in the way only of its return (`OfferCheck`). After a crash the record says what is
left to do (`recover`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from jaild.engine import saga
from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry, OwnedJail
from jaild.engine.operations import Handle
from jaild.engine.saga import Completion, Phase, Pivot, Saga
from jaild.jails.build import JailParts
from jaild.model import layout, names
from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Desired, Formerly, JailRecord, decode
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller
from jaild.transfer.sole_owner import SoleOwner

_KEPT = 8  # former names; the oldest are forgotten


@dataclass(kw_only=True)
class _Attempt(saga.Attempt):
    name: str
    new: str
    entry: JailEntry = field(init=False)
    record: JailRecord = field(init=False)  # before
    renamed: JailEntry = field(init=False)


class Renames:
    """Gives them. The work is done in the jail's queue, and the new name is kept free meanwhile."""

    def __init__(self, engine: Engine, jails: JailParts, sole: SoleOwner) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._keys = engine.keys
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._sagas = engine.sagas
        self._recovery = engine.recovery
        self._sole = sole
        self._datasets = jails.datasets
        self._logs = jails.logs
        self._forwarding = jails.forwarding
        self._saga = Saga(
            "rename",
            before=(Phase("prepare", self._prepare, undo=self._keep_name),),
            pivot=Pivot("rename", self._rename, happened=self._happened),
            after=(Completion("settle", self._settle),),
        )

    async def rename(self, name: str, new: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Give a jail another name.

        `AlreadyExistsError` (JAIL_EXISTS), `FailedPreconditionError` (JAIL_RUNNING, JAIL_HAS_STANDBYS,
        FORMER_OWNER_UNTOLD, or why the jail is not this host's).
        """
        names.jail(new)
        duplicate = await self._operations.duplicate(caller, "rename", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        self._require(name, new)
        steps = (
            f"rename its datasets to {self._inventory.where.jail(new)}",
            "rename its log",
            "its history goes along",
        )
        plan = Plan(kind="rename", target=f"jails/{name}", steps=steps)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            self._require(name, new)  # nothing is awaited until the new name's turn is this one's
            async with self._dispatcher.exclusive(f"jails/{new}"):
                self._require(name, new, own=True)
                await self._sagas.carry_out(self._saga, _Attempt(handle=handle, name=name, new=new))
            await self._events.emit("jail.renamed", f"jails/{new}", f"it was {name}", actor=caller.actor)
            return f"jails/{new}"

        return await self._dispatcher.submit(f"jails/{name}", "rename", caller, work, plan=plan)

    def _require(self, name: str, new: str, *, own: bool = False) -> OwnedJail:
        owned = self._inventory.owned(name, Intent.CHANGE)
        # Who makes a jail of the new name may wait for this one, to clone it: it is not waited for.
        if new in self._inventory.jails or (not own and self._dispatcher.is_changing(f"jails/{new}", but=frozenset())):
            raise AlreadyExistsError(
                "JAIL_EXISTS",
                f"there is a jail {new} on this host already, or one is being made",
                hint="choose another name",
                resource=f"jails/{new}",
            )
        runs = owned.entry.run is not None and owned.entry.run.running
        if (
            runs or owned.record.desired is Desired.RUNNING
        ):  # one that failed is restarted, and left its run by its name
            raise FailedPreconditionError(
                "JAIL_RUNNING",
                f"jail {name} is running, or is to run again, on mounts that its name leads to",
                hint=f"stop it first: jailctl jail stop {name}",
                resource=f"jails/{name}",
            )
        self._require_unknown_elsewhere(owned)
        return owned

    def _require_unknown_elsewhere(self, owned: OwnedJail) -> None:
        entry, record = owned.entry, owned.record
        if standbys := sorted(self._sole.standbys(entry, record)):
            raise FailedPreconditionError(
                "JAIL_HAS_STANDBYS",
                f"replicas of jail {entry.name} lie under its name on {', '.join(standbys)}",
                hint="give them up first: configure it without standby, wait until jailctl jail show tells of none",
                resource=f"jails/{entry.name}",
            )
        untold = record.failover.untold if record.failover is not None else ()
        if hosts := sorted({*untold, *self._sole.possible_owners(entry, record)}):
            raise FailedPreconditionError(
                "FORMER_OWNER_UNTOLD",
                f"{', '.join(hosts)} may have jail {entry.name} under its name, and has not been told who owns it",
                hint="ask again when these hosts can be reached: they are told by themselves; what a migration to one "
                f"of them left there goes by jailctl jail rm {entry.name} on it",
                resource=f"jails/{entry.name}",
            )

    async def _prepare(self, attempt: _Attempt) -> None:
        attempt.entry, attempt.record = self._inventory.permitted(attempt.name, Intent.CHANGE)
        formerly = (*attempt.record.formerly, Formerly(name=attempt.name))[-_KEPT:]
        await self._datasets.write(attempt.entry, msgspec.structs.replace(attempt.record, formerly=formerly))

    async def _keep_name(self, attempt: _Attempt) -> None:
        await self._datasets.write(attempt.entry, attempt.record)

    async def _rename(self, attempt: _Attempt) -> None:
        await self._zfs.rename(attempt.entry.dataset, self._inventory.where.jail(attempt.new))
        await self._enter(attempt)

    async def _happened(self, attempt: _Attempt) -> bool:
        with suppress(NotFoundError):
            found = await self._zfs.dataset(self._inventory.where.jail(attempt.new))
            record = decode(found.properties.get(layout.JAIL_PROPERTY, ""), JailRecord, found.name)
            if record.uid == attempt.record.uid:
                await self._enter(attempt)
                return True
        return False

    async def _enter(self, attempt: _Attempt) -> None:
        """Take the jail into the index under its new name."""
        old, dataset = attempt.entry, self._inventory.where.jail(attempt.new)
        found = await self._zfs.datasets(dataset)
        locked = await self._keys.locked(dataset)
        for each in found:  # not every ZFS mounts again what it has renamed
            if each.name not in locked:
                await self._zfs.mount(each.name)
        folder = found[0].mountpoint or self._inventory.folder_of_jails / attempt.new
        entry = JailEntry(name=attempt.new, dataset=dataset, folder=folder, record=old.record, used=old.used)
        entry.parts = dict(old.parts)
        await self._inventory.read_generations(entry)
        attempt.renamed = self._inventory.jails[attempt.new] = entry
        self._inventory.jails.pop(attempt.name, None)

    async def _settle(self, attempt: _Attempt) -> None:
        await self._finish(attempt.renamed, attempt.name)

    async def _finish(self, entry: JailEntry, former: str) -> None:
        await self._logs.renamed(former, entry.name)
        await self._forwarding.renamed(former, entry.name)
        if entry.record is not None:
            ended = Formerly(name=former, until=self._clock.now())
            formerly = (*entry.record.formerly[:-1], ended)
            await self._datasets.write(entry, msgspec.structs.replace(entry.record, formerly=formerly))

    async def recover(self, entry: JailEntry) -> None:
        """Go on with what a crash has interrupted, or forget that it was begun."""
        record = entry.record
        if record is None or not record.formerly or record.formerly[-1].until:
            return
        former = record.formerly[-1].name
        if former == entry.name:
            kept = msgspec.structs.replace(record, formerly=record.formerly[:-1])
            await self._recovery.attempt(f"jail {former} keeps its name", self._datasets.write(entry, kept))
        elif former not in self._inventory.jails:
            await self._recovery.attempt(f"jail {former} is {entry.name} now", self._finish(entry, former))
