"""What a daemon does when it starts: whatever a crash left half-way is ended, then jails are brought up.

| found | repaired to |
|---|---|
| a sandbox (of a build, or of /etc's databases), a run of a jail that moved away | stopped and removed |
| a layer without @sealed | destroyed: its import or build never finished |
| a layer with @sealed whose import, push or build was under way | that operation is ended as done |
| a jail whose first generation was not committed | destroyed: its creation never finished |
| a generation marked staged, or empty | dropped if not active, else its mark is removed |
| a run of a generation that is not the active one, or of a jail that is to be stopped | stopped and removed |
| a clone that a rehearsal booted | its run ended, its datasets destroyed |
| a jail being deleted | deleted |
| a jail that was being taken over by force | a standby (or what it was) as before: it can be asked for again |
| a jail that was taken over by force | writable, started; its former owner is told until it knows |
| a jail that another host took over | stopped, unmounted, read-only |
| a jail with standbys that does not run | started as soon as all of them say that they have not taken it over |
| a jail frozen for a migration | active here again; the target is told to throw its copy away |
| a jail that moved, not acknowledged | Activate is sent until the target acknowledges |
| a jail that comes from another host | the source is asked how it ended, until it answers |
| a migration before its freeze | gone on with, as the same operation |
| any other operation that was under way | ended with DAEMON_STOPPED |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from jaild.engine.events import Events
from jaild.engine.inventory import Found, Inventory, JailEntry
from jaild.engine.operations import Operations
from jaild.engine.supervisor import Supervisor
from jaild.jails.datasets import JailDatasets
from jaild.jails.runs import Runs
from jaild.migration.cutover import Cutover
from jaild.migration.rehearsal import Rehearsal
from jaild.migration.source import SourceMigration, Wait
from jaild.migration.target import TargetMigration
from jaild.model import layout, names
from jaild.model.errors import JaildError, UnavailableError
from jaild.model.evacuation import record as evacuation
from jaild.model.jails.authority import Intent, Standing
from jaild.model.layers.records import Desired, Ownership
from jaild.model.operation import Operation
from jaild.ports.files import Files
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs
from jaild.replication.failover import Failover
from jaild.replication.fencing import Fencing
from jaild.replication.replicas import ReplicaStore
from jaild.replication.start_guard import StartGuard

BOOT = "boot"  # the task that starts the jails when the daemon starts


class Recovery:
    """Repairs at start, and what goes on in the background until peers answer."""

    def __init__(
        self,
        inventory: Inventory,
        zfs: Zfs,
        files: Files,
        runtime: Runtime,
        datasets: JailDatasets,
        runs: Runs,
        cutover: Cutover,
        source: SourceMigration,
        incoming: TargetMigration,
        rehearsal: Rehearsal,
        failover: Failover,
        replica_store: ReplicaStore,
        start_guard: StartGuard,
        fencing: Fencing,
        operations: Operations,
        supervisor: Supervisor,
        events: Events,
    ) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._files = files
        self._runtime = runtime
        self._datasets = datasets
        self._runs = runs
        self._cutover = cutover
        self._source = source
        self._incoming = incoming
        self._rehearsal = rehearsal
        self._failover = failover
        self._replica_store = replica_store
        self._start_guard = start_guard
        self._fencing = fencing
        self._operations = operations
        self._supervisor = supervisor
        self._events = events
        self.repairs: list[str] = []

    async def repair(self, found: Found) -> None:
        """Repair what is this host's alone. What fails is told, and stops nothing else."""
        interrupted = await self._end_operations()
        await self._end_strangers()  # first: what they mount could not be destroyed or unmounted
        for dataset in found.unsealed:
            if not await self._is_coming(dataset):
                await self._try(f"destroyed {dataset}, left of an import", self._zfs.destroy(dataset, recursive=True))
        for problem in found.damaged:
            await self._told(f"left alone: {problem}")
        for dataset in found.recordless:
            name = dataset.rpartition("/")[2]
            if self._incoming.is_receiving(name):
                if await self._zfs.resume_token(dataset) is None:
                    await self._try(f"destroyed {dataset}, left of a receive", self._destroy_incoming(dataset))
            elif await self._replica_store.clear_left(dataset):
                await self._told(f"destroyed {dataset}, left of a replica's first round")
            else:
                await self._told(f"{dataset} has no record of jaild on it: left alone, look at it by hand")
        for entry in list(self._inventory.jails.values()):
            await self._try_quietly(self._repair_jail(entry))
            if f"jails/{entry.name}" in interrupted and self._inventory.may(entry, Intent.RUN_ON):
                await self._try_quietly(self._datasets.prune(entry))  # what the next change would have done
        await self._runs_of_nobody()
        await self._try_quietly(self._sweep_rehearsals())
        self._start_guard.hold_back()

    async def _sweep_rehearsals(self) -> None:
        for message in await self._rehearsal.sweep():
            await self._told(message)

    async def _end_operations(self) -> set[str]:
        """End those that nobody goes on with; return what they were about."""
        interrupted = set()
        left = self._source.left()
        for operation in self._operations.list():
            if operation.done or operation.id in left or operation.kind == evacuation.KIND:
                continue
            if self._has_sealed(operation):
                await self._operations.finish(operation.id, result=operation.target)
                await self._told(f"{operation.target} is sealed: its {operation.kind} is done")
            else:
                error = UnavailableError(
                    "DAEMON_STOPPED",
                    "the daemon ended while this was under way",
                    remedy="what was begun has been undone or finished: look at the resource, then ask again",
                    resource=operation.target,
                )
                await self._operations.finish(operation.id, error=error)
                interrupted.add(operation.target)
        return interrupted

    def _has_sealed(self, operation: Operation) -> bool:
        """Whether an operation was past its commit point: the layer that it made is sealed, and is here.

        Nobody else sealed it: only one whose turn it was, and that had made the dataset, comes to that phase.
        """
        return operation.phase == layout.SEALING and self._inventory.has_layer(operation.target)

    async def _is_coming(self, layer: str) -> bool:
        """Whether it is an interrupted receive that a migration goes on with."""
        coming = {self._inventory.where.layer(path) for paths in self._inventory.needed.values() for path in paths}
        return layer in coming and await self._zfs.resume_token(layer) is not None

    async def _destroy_incoming(self, dataset: str) -> None:
        await self._datasets.destroy_all(dataset)

    async def _try(self, message: str, work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 -- one thing that cannot be repaired keeps no other from it
            await self._told(f"could not repair ({message}): {error if isinstance(error, JaildError) else repr(error)}")
        else:
            await self._told(message)

    async def _told(self, message: str) -> None:
        self.repairs.append(message)
        await self._events.emit("repair", "host", message)

    async def _repair_jail(self, entry: JailEntry) -> None:
        record = entry.record
        if record is None:
            await self._told(f"jail {entry.name} is damaged: {entry.message}")
            return
        name = entry.name
        match record.state:
            case Ownership.DELETING:
                await self._try(f"finished deleting jail {name}", self._delete(entry))
            case Ownership.ACTIVE if record.generation == 0:
                await self._try(f"destroyed jail {name}, whose creation never finished", self._delete(entry))
            case Ownership.FROZEN:
                await self._try(f"jail {name} is active here again after a migration", self._source.thaw(entry, record))
                await self._staged(entry)
            case Ownership.CLAIMED:
                withdrawn = f"withdrew the claim on jail {name}: promote it again"
                await self._try(withdrawn, self._failover.recover(entry, record))
            case Ownership.MOVED | Ownership.FENCED:
                await self._cutover.fence(entry)
            case Ownership.ACTIVE if self._inventory.claim(entry, record).standing is Standing.SUPERSEDED:
                known = self._inventory.known_epochs[record.uid]
                entry.message = f"an old copy (epoch {record.epoch}, {known} was handed on): it never starts here"
                await self._told(f"jail {name} is {entry.message}")
                await self._events.emit("jail.superseded", f"jails/{name}", entry.message)
            case Ownership.ACTIVE:
                await self._try_quietly(self._failover.recover(entry, record))
                await self._staged(entry)

    async def _try_quietly(self, work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 -- as above
            await self._told(f"could not repair: {error if isinstance(error, JaildError) else repr(error)}")

    async def _delete(self, entry: JailEntry) -> None:
        for run in await self._runtime.runs():
            if run.jail == entry.name:
                await self._end(run.jail, run.generation)
        await self._datasets.destroy(entry)
        self._inventory.jails.pop(entry.name, None)

    async def _staged(self, entry: JailEntry) -> None:
        folder = entry.folder / "generations"
        for name in await self._files.names(folder):
            if not (name.isascii() and name.isdigit()):
                continue
            if entry.record is not None and int(name) == entry.record.generation:
                await self._try_quietly(self._files.remove(folder / name / layout.STAGED))
            elif await self._inventory.only_staged(entry, int(name)):
                message = f"dropped generation {name} of {entry.name}, never committed"
                await self._try(message, self._drop(entry, int(name)))

    async def _drop(self, entry: JailEntry, number: int) -> None:
        await self._end(entry.name, number)
        await self._datasets.drop(entry, number)

    async def _runs_of_nobody(self) -> None:
        for run in await self._runtime.runs():
            entry = self._inventory.jails.get(run.jail)
            record = entry.record if entry is not None else None
            if entry is not None and record is None:
                continue  # damaged: nothing is done with it
            what = f"{run.jail}.{run.generation}"
            if entry is None or record is None or not self._inventory.may(entry, Intent.RUN_ON):
                message = f"stopped {what}, which is not this host's to run"
            elif run.generation != record.generation:
                message = f"stopped {what}, which is not the active generation here"
            elif record.desired is Desired.STOPPED:
                message = f"stopped {what}, which is to be stopped"
            else:
                await self._runs.adopt(entry, run.generation)
                continue
            await self._try(message, self._end(run.jail, run.generation))

    async def _end_strangers(self) -> None:
        for run in await self._runtime.runs():
            record = entry.record if (entry := self._inventory.jails.get(run.jail)) is not None else None
            moved = record is not None and record.state in {Ownership.MOVED, Ownership.FENCED}
            if moved or names.is_sandbox(run.jail):
                await self._try(f"ended {run.jail}, left of an operation", self._end(run.jail, run.generation))

    async def _end(self, jail: str, generation: int) -> None:
        await self._runtime.stop(jail, generation)
        await self._runtime.remove(jail, generation)

    def resume(self) -> None:
        """Go on, in the background, with what other hosts have a say in; tell whom failovers concern."""
        self._fencing.tell_all()
        self._source.recover(self._until_it_serves, self._told)
        self._incoming.recover(self._told)

    def _until_it_serves(self, jail: str, within: Callable[[], float | None]) -> Wait | None:
        entry = self._inventory.jails[jail]
        if _is_to_start(entry) or not self._inventory.may(entry, Intent.GIVE_AWAY):
            return partial(self._started, jail, within)
        return None

    async def _started(self, jail: str, within: Callable[[], float | None]) -> bool:
        """Wait until a jail has been started (the task `boot`) and its standbys have been heard, at most `within`.

        Returns whether it may be moved now: not if the host goes down meanwhile, whose next start goes on.
        """
        await self._supervisor.over(BOOT)
        # Past its deadline it is given up, also while the jail waits.
        await self._start_guard.over(jail, within=within())
        return not self._inventory.halted


def _is_to_start(entry: JailEntry) -> bool:
    runs = entry.run is not None and entry.run.running
    return entry.record is not None and entry.record.desired is Desired.RUNNING and not runs
