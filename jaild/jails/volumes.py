"""Jails' volumes: seen, and removed when no spec in force names them any more.

    the jail's record says that it is being removed ─► its datasets are destroyed ─► the record says so no more
                                                       └── crash, error: the next start goes on, or who asks again

So a volume is there whole, or on its way out: what is left of one is never mounted or sent again. The
record keeps the GUIDs of the snapshots that replicas have of it: they lose it, too, and nothing else that is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.datasets import JailDatasets
from jaild.model import layout, names, quantity
from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import JailRecord
from jaild.model.operation import Operation, Stop
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.snapshots import STANDBY, going_along
from jaild.model.views import Caller, VolumeView
from jaild.ports.zfs import Dataset

REMOVE = "remove-volume"  # the kind of its operation
_REMEMBERED = 48  # GUIDs of removed volumes: a kilobyte of the record, of the four that a property may have
_Views = list[VolumeView]  # `list` is a method's name below
_Numbers = list[int]


class Volumes:
    """The volumes of this host's jails."""

    def __init__(self, engine: Engine, datasets: JailDatasets) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._datasets = datasets
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._recovery = engine.recovery

    async def list(self, name: str = "") -> _Views:
        """Return those of a jail, or of all, by jail and name. `NotFoundError` (JAIL_NOT_FOUND)."""
        where = self._inventory.where
        entries = [self._inventory.jail(name)] if name else sorted(self._inventory.jails.values(), key=lambda e: e.name)
        there = {d.name: d for d in await self._zfs.datasets(where.jail(name) if name else where.jails)}
        return [view for entry in entries for view in await self._views(entry, there)]

    async def _views(self, entry: JailEntry, there: Mapping[str, Dataset]) -> _Views:
        root, found = f"{self._inventory.where.jail(entry.name)}/", []
        paths = sorted(dataset.removeprefix(root) for dataset in there if dataset.startswith(root))
        for path in paths:
            if path == layout.DATA or "/" in path:
                continue
            dataset, spec = there[f"{root}{path}"], entry.generation.spec if entry.generation is not None else None
            volume = spec.volumes.get(path) if spec is not None else None
            found.append(
                VolumeView(
                    jail=entry.name,
                    name=path,
                    path=volume.path if volume is not None else "",
                    used=dataset.used,
                    referenced=dataset.referenced,
                    quota=dataset.refquota,
                    generations=tuple(await self._naming(entry, path)),
                    removing=entry.record is not None and path in entry.record.removing,
                )
            )
        return found

    async def _naming(self, entry: JailEntry, volume: str) -> _Numbers:
        """Return the numbers of the kept generations that name a volume."""
        known = {g.number: g for g in (entry.generation, entry.staged, entry.fallback) if g is not None}
        if self._inventory.may(entry, Intent.RUN_ON):  # a copy is not mounted
            known |= await self._inventory.generations(entry)
        return sorted(number for number, generation in known.items() if volume in generation.spec.volumes)

    async def remove(self, name: str, volume: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Destroy one with all its data.

        `NotFoundError` (VOLUME_NOT_FOUND), `FailedPreconditionError` (VOLUME_IN_USE, SNAPSHOTS_IN_USE, and what a
        change is refused with).
        """
        names.volume(volume)
        duplicate = await self._operations.duplicate(caller, REMOVE, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        entry, record, dataset = await self._removable(name, volume)
        plan = await self._plan(entry, record, volume, dataset)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            entry, record, _ = await self._removable(name, volume)
            await handle.phase("commit", stop=Stop.NEVER)
            await self._destroy(entry, record, volume)
            await self._events.emit("volume.removed", f"jails/{name}", volume, actor=caller.actor)
            return ""

        return await self._dispatcher.submit(f"jails/{name}", REMOVE, caller, work, plan=plan)

    async def _removable(self, name: str, volume: str) -> tuple[JailEntry, JailRecord, Dataset]:
        entry, record = self._inventory.permitted(name, Intent.CHANGE)
        resource = f"jails/{name}/volumes/{volume}"
        part = self._inventory.where.part(name, volume)
        try:
            dataset = await self._zfs.dataset(part)
        except NotFoundError as error:
            raise NotFoundError(
                "VOLUME_NOT_FOUND",
                f"jail {name} has no volume {volume}",
                hint=f"see which it has: jailctl volume ls {name}",
                resource=resource,
            ) from error
        if using := _in_force(entry, volume):
            raise FailedPreconditionError(
                "VOLUME_IN_USE",
                f"volume {volume} of jail {name} is in the spec of {using}",
                hint=f"take it out of the spec first: jailctl jail configure {name} -f FILE; unstage what is staged, "
                "confirm what waits for it",
                resource=resource,
            )
        await OwnedSnapshots(self._zfs, part).require_unclaimed(f"removing volume {volume} of jail {name}", resource)
        return entry, record, dataset

    async def _plan(self, entry: JailEntry, record: JailRecord, volume: str, dataset: Dataset) -> Plan:
        name, subject = entry.name, f"jails/{entry.name}/volumes/{volume}"
        files, all_of_it = quantity.size(dataset.referenced), quantity.size(dataset.used)
        lost = f"{files} of files are lost; {all_of_it} become free, snapshots included"
        problems = [
            Problem(severity=Severity.WARNING, code="VOLUME_LOST", message=lost, subject=subject),
            *going_along(await OwnedSnapshots(self._zfs, dataset.name).foreign(), subject),
        ]
        if older := await self._naming(entry, volume):
            message = (
                f"generations that name it are kept: {', '.join(map(str, older))}; a rollback to one finds it empty"
            )
            problems.append(
                Problem(severity=Severity.WARNING, code="VOLUME_OF_GENERATIONS", message=message, subject=subject)
            )
        if record.standbys:
            hosts = ", ".join(record.standbys)
            message = f"the replicas on {hosts} lose it, too, with the next whole round"
            problems.append(
                Problem(severity=Severity.WARNING, code="VOLUME_ON_STANDBYS", message=message, subject=hosts)
            )
        steps = (f"destroy {dataset.name} and all data in it",)
        return Plan(kind=REMOVE, target=f"jails/{name}", steps=steps, problems=tuple(problems))

    async def _destroy(self, entry: JailEntry, record: JailRecord, volume: str) -> None:
        if volume not in record.removing:
            rounds = await OwnedSnapshots(self._zfs, self._inventory.where.part(entry.name, volume)).of(STANDBY)
            removed = (*record.removed_guids, *(snapshot.guid for snapshot in rounds))[-_REMEMBERED:]
            removing = (*record.removing, volume)
            record = msgspec.structs.replace(record, removing=removing, removed_guids=removed)
            await self._datasets.write(entry, record)
        with suppress(NotFoundError):  # an earlier try came that far
            await self._datasets.destroy_all(self._inventory.where.part(entry.name, volume))
        entry.parts.pop(volume, None)
        await self._let_be(entry, record, volume)
        await self._datasets.measure(entry)

    async def _let_be(self, entry: JailEntry, record: JailRecord, volume: str) -> None:
        left = tuple(name for name in record.removing if name != volume)
        await self._datasets.write(entry, msgspec.structs.replace(record, removing=left))

    async def recover(self, entry: JailEntry, record: JailRecord) -> None:
        """Go on with removals that a crash, or an error, left half-way."""
        for volume in record.removing if self._inventory.may(entry, Intent.RUN_ON) else ():
            if _in_force(entry, volume):  # nothing here writes such a record: its data is worth more than its words
                message = f"kept volume {volume} of {entry.name}, which was to be removed: its spec names it"
                await self._recovery.attempt(message, self._let_be(entry, entry.record or record, volume))
            else:
                message = f"finished removing volume {volume} of {entry.name}"
                await self._recovery.attempt(message, self._destroy(entry, entry.record or record, volume))


def _in_force(entry: JailEntry, volume: str) -> str:
    """Return which generation names a volume and is in force, or may be without anybody asking; '' for none."""
    for what, generation in (
        ("its active generation", entry.generation),
        ("its staged generation", entry.staged),
        ("the generation that comes back if the last change is not confirmed", entry.fallback),
    ):
        if generation is not None and volume in generation.spec.volumes:
            return f"{what}, {generation.number}"
    return ""
