"""Backups of jails to targets: by the schedule of their specs, when asked, and jails made of them again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from jaild.backups.sending import BackupSending
from jaild.engine import generations
from jaild.engine.build import Engine
from jaild.engine.clones import make_room
from jaild.engine.concurrency import to_its_end
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.build import JailParts
from jaild.jails.past import Past
from jaild.model import access, duration, layout
from jaild.model.backups.records import Backup as BackupRecord
from jaild.model.backups.records import Lineage, backup_of
from jaild.model.backups.retention import is_due
from jaild.model.errors import JaildError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Create, Origin
from jaild.model.jails.copying import Reach, copied, of_original
from jaild.model.jails.spec import Backup
from jaild.model.layers.records import Generation
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.replication.policy import moment
from jaild.model.views import BackupStatus, Caller
from jaild.ports.backups import Vault

KIND = "backup"
_EVERY = 5.0  # seconds between looks at what is due
_AGAIN = 60.0  # seconds after which one that failed is tried again


@dataclass
class _State:
    """What is known of one jail's backups at one target."""

    taken: float | None = None  # the newest, seconds since the epoch; 0: there is none; None: not asked yet
    tried: float | None = None  # when it failed last (monotonic)
    failing_since: float = 0.0  # seconds since the epoch; 0: it does not
    message: str = ""


class Backups:
    """Sends, lists and restores them."""

    def __init__(self, engine: Engine, jails: JailParts, sending: BackupSending) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._jails = jails.jails
        self._datasets = jails.datasets
        self._sending = sending
        self._states: dict[tuple[str, str], _State] = {}  # by the jail's uid, and the target
        self._log = structlog.get_logger("jaild.backups")

    # -- by the schedule

    def run(self) -> None:
        """Look at what is due for ever, for each target by itself: one that is slow keeps no other waiting."""
        for target in self._sending.targets():
            self._supervisor.run(f"backups to {target}", partial(self.tick, target), every=_EVERY)

    async def tick(self, target: str) -> None:
        """Send what is due at a target, one after the other."""
        for entry in list(self._inventory.jails.values()):
            wanted = self._wanted(entry).get(target)
            if wanted is not None and await self._is_due(entry, target, wanted):
                await self._tried(entry, target, wanted)

    def _wanted(self, entry: JailEntry) -> Mapping[str, Backup]:
        if entry.generation is None or not entry.generation.spec.backups:
            return {}
        return entry.generation.spec.backups if self._inventory.may(entry, Intent.REPLICATE) else {}

    def _state(self, entry: JailEntry, target: str) -> _State:
        return self._states.setdefault((entry.record.uid if entry.record is not None else "", target), _State())

    async def _is_due(self, entry: JailEntry, target: str, wanted: Backup) -> bool:
        state = self._state(entry, target)
        if state.tried is not None and self._clock.monotonic() - state.tried < _AGAIN:
            return False
        if state.taken is None:
            try:
                state.taken = await self._sending.newest(entry, target)
            except JaildError as error:
                await self._failed(entry, target, error)
                return False
        return is_due(self._clock.now(), duration.parse(wanted.every), state.taken or None)

    async def _tried(self, entry: JailEntry, target: str, wanted: Backup) -> None:
        try:
            await self._supervisor.once(_task(entry.name, target), partial(self._send, entry, target, wanted))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # else it gave way to the jail's end here
        except JaildError as error:
            if self._inventory.jails.get(entry.name) is entry:
                await self._failed(entry, target, error)

    async def _send(self, entry: JailEntry, target: str, wanted: Backup | None) -> BackupRecord:
        sent = await self._sending.send(entry.name, target, wanted.keep if wanted is not None else None)
        state = self._state(entry, target)
        state.taken, state.tried = sent.taken, None
        if state.failing_since:
            state.failing_since, state.message = 0.0, ""
            await self._events.emit("backup.recovered", f"jails/{entry.name}", f"backed up to {target} again")
        return sent

    async def _failed(self, entry: JailEntry, target: str, error: JaildError) -> None:
        state = self._state(entry, target)
        state.tried, state.message = self._clock.monotonic(), str(error)
        self._log.warning("no backup", jail=entry.name, reason=error.reason, error=error.message)
        if not state.failing_since:
            state.failing_since = self._clock.now()
            await self._events.emit("backup.failed", f"jails/{entry.name}", f"no backup to {target}: {error}")

    async def give_way(self, target: str) -> None:
        """End what is sent of a jail that is about to be deleted or renamed, or to lose a volume."""
        for each in self._sending.targets():
            await self._supervisor.end(_task(target.removeprefix("jails/"), each))

    def views(self, entry: JailEntry) -> tuple[BackupStatus, ...]:
        """Return how a jail's backups are, by target."""
        return tuple(
            BackupStatus(
                target=target,
                taken=self._state(entry, target).taken or 0.0,
                interval=duration.parse(wanted.every),
                failing_since=self._state(entry, target).failing_since,
                message=self._message(entry, target),
            )
            for target, wanted in sorted(self._wanted(entry).items())
        )

    def _message(self, entry: JailEntry, target: str) -> str:
        known = target in self._sending.targets()
        return self._state(entry, target).message if known else "this host has no such target: `backups` in jaild.yaml"

    # -- when asked

    def targets(self) -> Mapping[str, str]:
        """Return the targets' names, and where they are."""
        return self._sending.targets()

    async def list(self, target: str, jail: str = "") -> list[BackupRecord]:
        """Return the backups at a target, of all jails of a name or of all, oldest first."""
        lineages = await self._sending.vault(target).lineages(jail)
        return sorted((b for lineage in lineages for b in lineage.backups), key=lambda backup: backup.taken)

    async def back_up(self, name: str, target: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Send a backup now. `NotFoundError` (BACKUP_TARGET_NOT_FOUND), `PermissionDeniedError` (APP_REQUIRED)."""
        duplicate = await self._operations.duplicate(caller, KIND, f"backups/{target}")
        if duplicate is not None:
            return duplicate
        owned = self._inventory.owned(name, Intent.REPLICATE)
        access.require_own(caller, name, owned.generation)
        self._sending.vault(target)
        steps = (f"snapshot jail {name}", f"send what is new of it to {target}: {self._sending.targets()[target]}")
        plan = Plan(kind=KIND, target=f"backups/{target}", steps=steps)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            owned = self._inventory.owned(name, Intent.REPLICATE)
            access.require_own(caller, name, owned.generation)
            entry = owned.entry
            await handle.phase("send", f"jail {name} to {target}")
            with handle.cancellable():
                sent = await self._send(entry, target, self._wanted(entry).get(target))
            handle.facts(backup=sent.id)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"backups/{target}", KIND, caller, work, plan=plan)

    async def restore(
        self, target: str, jail: str, name: str, at: str | float, *, validate_only: bool, caller: Caller
    ) -> Operation:
        """Make jail `name`, stopped, of a backup of one called `jail`.

        `NotFoundError` (BACKUP_NOT_FOUND), `DataLossError` (BACKUP_DAMAGED), and what `Jails.create` raises.
        """
        duplicate = await self._operations.duplicate(caller, "import", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        vault = self._sending.vault(target)
        lineage, backup = backup_of(await vault.lineages(jail), jail, at)
        past = await self._past(vault, lineage, backup)
        is_here = any(e.record is not None and e.record.uid == backup.uid for e in self._inventory.jails.values())
        spec, notes = copied(past.generation.spec, Reach(), jail, keeps_name=name == jail)
        origin = Origin(
            base=past.generation.base,
            release=past.generation.release,
            etc=past.etc,
            local_etc=past.local_etc,
            step=f"bring data and volumes of {jail} of {backup.host} as of {moment(backup.taken)} from {target}",
            keeps_identity=not is_here,  # else there would be two machines of one identity
            accepted=past.generation.accepted,
            problems=(
                *notes,
                *of_original(spec, Reach(), f"{jail} of {backup.host}", "configure others before you start it"),
            ),
        )
        creation = Create(spec, stopped=True, kind="import", base=past.generation.base, origin=origin)
        seed = partial(self._seed, vault, lineage, backup, keeps_identity=not is_here)
        return await self._jails.make(name, creation, seed=seed, validate_only=validate_only, caller=caller)

    async def _past(self, vault: Vault, lineage: Lineage, backup: BackupRecord) -> Past:
        """Return what was in force, out of the jail's own dataset, which is received beside the jails for that."""
        async with self._received(vault, lineage, backup) as dataset:
            folder = (await self._zfs.dataset(dataset)).mountpoint
            if folder is None:
                raise NotFoundError("DATASET_NOT_MOUNTED", f"{dataset} has no mountpoint", hint="see zfs get all")
            within = layout.generation_folder(folder, backup.record.generation)
            return Past(
                generation=await generations.read(self._files, backup.jail, within),
                etc=await self._files.read_tree(within / layout.ETC),
                local_etc=await self._files.read_tree(within / layout.LOCAL_ETC),
            )

    @asynccontextmanager
    async def _received(self, vault: Vault, lineage: Lineage, backup: BackupRecord) -> AsyncIterator[str]:
        where = self._inventory.where
        await make_room(where, self._zfs, self._files)
        dataset = f"{where.clones}/{uuid.uuid4().hex[:12]}"
        try:
            await self._receive(vault, lineage, backup, "", dataset, {"readonly": "on"})
            await self._zfs.mount(dataset)
            yield dataset
        finally:
            await to_its_end(self._gone(dataset))

    async def _gone(self, dataset: str) -> None:
        try:
            await self._zfs.destroy(dataset, recursive=True)
        except NotFoundError:
            return  # nothing came

    async def _receive(
        self, vault: Vault, lineage: Lineage, backup: BackupRecord, path: str, name: str, properties: Mapping[str, str]
    ) -> None:
        streams = vault.streams(lineage, backup, path)
        for number, each in enumerate(streams):
            async with each as chunks:
                await self._zfs.receive(name, chunks, properties=properties if number == 0 else {})

    async def _seed(
        self,
        vault: Vault,
        lineage: Lineage,
        backup: BackupRecord,
        entry: JailEntry,
        generation: Generation,
        *,
        keeps_identity: bool,
    ) -> None:
        there = {part.path for part in backup.parts}
        for path in (layout.DATA, *sorted(generation.spec.volumes)):
            if path in there:
                make = partial(self._part, vault, lineage, backup, path)
                await self._datasets.bring(entry, generation.spec, path, make)
        if not keeps_identity:
            await self._datasets.forget_identity(entry)

    async def _part(
        self, vault: Vault, lineage: Lineage, backup: BackupRecord, path: str, name: str, properties: Mapping[str, str]
    ) -> None:
        await self._receive(vault, lineage, backup, path, name, properties)
        for snapshot in await self._zfs.snapshots(name):  # of another jail by now: nothing goes on from them
            await self._zfs.destroy(snapshot.name)


def _task(jail: str, target: str) -> str:
    return f"backup of {jail} to {target}"
