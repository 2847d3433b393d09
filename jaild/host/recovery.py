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

from collections.abc import Awaitable, Callable

import msgspec

from jaild.engine.dispatcher import Dispatcher
from jaild.engine.events import Events
from jaild.engine.inventory import Found, Inventory, JailEntry
from jaild.engine.operations import Handle, Operations
from jaild.engine.supervisor import BackOff, Supervisor
from jaild.jails.datasets import JailDatasets
from jaild.jails.runs import Runs
from jaild.migration.cutover import Cutover
from jaild.migration.notices import Notices
from jaild.migration.rehearsal_target import RehearseIn
from jaild.migration.source import MigrateOut
from jaild.migration.target import MigrateIn
from jaild.model import layout, names
from jaild.model.errors import FailedPreconditionError, JaildError, UnavailableError
from jaild.model.evacuation import record as evacuation
from jaild.model.jails.authority import Intent, Standing
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.model.migration.journal import Journal, Phase
from jaild.model.operation import Operation
from jaild.ports.files import Files
from jaild.ports.peer import Peers
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs
from jaild.replication.failover import Failover
from jaild.replication.fencing import Fencing
from jaild.replication.replicas import ReplicaStore
from jaild.replication.start_guard import StartGuard
from jaild.transfer.journal import Journals
from jaild.transfer.snapshots import MigrationSnapshots

BOOT = "boot"  # the task that starts the jails when the daemon starts
_PAUSE = BackOff(first=0.5, longest=30.0)


class Recovery:
    """Repairs at start, and what goes on in the background until peers answer."""

    def __init__(
        self,
        inventory: Inventory,
        zfs: Zfs,
        files: Files,
        runtime: Runtime,
        peers: Peers,
        journals: Journals,
        datasets: JailDatasets,
        runs: Runs,
        cutover: Cutover,
        sender: MigrateOut,
        receiver: MigrateIn,
        rehearsals: RehearseIn,
        snapshots: MigrationSnapshots,
        notices: Notices,
        failover: Failover,
        replica_store: ReplicaStore,
        start_guard: StartGuard,
        fencing: Fencing,
        dispatcher: Dispatcher,
        operations: Operations,
        supervisor: Supervisor,
        events: Events,
    ) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._files = files
        self._runtime = runtime
        self._peers = peers
        self._journals = journals
        self._datasets = datasets
        self._runs = runs
        self._cutover = cutover
        self._sender = sender
        self._receiver = receiver
        self._rehearsals = rehearsals
        self._snapshots = snapshots
        self._notices = notices
        self._failover = failover
        self._replica_store = replica_store
        self._start_guard = start_guard
        self._fencing = fencing
        self._dispatcher = dispatcher
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
            if any(j.jail == name and j.phase is Phase.RECEIVING for j in self._journals.incoming()):
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
        for message in await self._rehearsals.sweep():
            await self._told(message)

    async def _end_operations(self) -> set[str]:
        """End those that nobody goes on with; return what they were about."""
        interrupted = set()
        left = {journal.operation for journal in self._journals.outgoing() if self._goes_on(journal)}
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

    def _goes_on(self, journal: Journal) -> bool:
        """Whether a migration from here is gone on with where its last daemon left it: sending, or handed over."""
        operations = {
            operation.id for operation in self._operations.list() if not operation.done and operation.resumable
        }
        if journal.operation not in operations:
            return False
        entry = self._inventory.jails.get(journal.jail)
        record = entry.record if entry is not None else None
        if record is None:
            return False
        sending = journal.phase is Phase.SENDING and record.state is Ownership.ACTIVE and record.epoch < journal.epoch
        return sending or _moved(record, journal)

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
                await self._try(f"jail {name} is active here again after a migration", self._thaw(entry))
                await self._staged(entry)
            case Ownership.CLAIMED:
                await self._try(f"withdrew the claim on jail {name}: promote it again", self._failover.unclaim(entry))
            case Ownership.MOVED | Ownership.FENCED:
                await self._cutover.fence_in_time(entry)
            case Ownership.ACTIVE if self._inventory.claim(entry, record).standing is Standing.SUPERSEDED:
                known = self._inventory.known_epochs[record.uid]
                entry.message = f"an old copy (epoch {record.epoch}, {known} was handed on): it never starts here"
                await self._told(f"jail {name} is {entry.message}")
                await self._events.emit("jail.superseded", f"jails/{name}", entry.message)
            case Ownership.ACTIVE:
                if record.failover is not None:
                    await self._try_quietly(self._failover.finish(entry))
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

    async def _thaw(self, entry: JailEntry) -> None:
        if entry.record is None:
            return
        migration = entry.record.migration
        await self._datasets.write(entry, advance(entry.record, Ownership.ACTIVE, migration="", peer=""))
        journal = self._journals.find(migration, outgoing=True)
        if journal is not None:
            aborted = msgspec.structs.replace(
                journal, phase=Phase.ABORTED, notified=False, message="the daemon ended before the commit point"
            )
            await self._journals.put(aborted)

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
        """Go on with migrations that another host has a say in, in the background; tell whom failovers concern.

        A jail that is to be started first is moved when the task `boot` has done that, one whose standbys are to be
        heard first when they have been.
        """
        self._fencing.tell_all()
        for journal in self._journals.outgoing():
            if self._goes_on(journal):
                if journal.phase is Phase.SENDING and self._waits(self._inventory.jails[journal.jail]):
                    self._go(journal, self._go_on_after_boot)
                else:
                    self._go_on(journal)
            elif journal.phase in {Phase.SENDING, Phase.FROZEN, Phase.COMMITTED} or not journal.notified:
                self._go(journal, self._resume_outgoing)
        for journal in self._journals.incoming():
            if journal.phase in {Phase.RECEIVING, Phase.PREPARED}:
                self._go(journal, self._resume_incoming)

    def _go(self, journal: Journal, work: Callable[[Journal], Awaitable[None]]) -> None:
        direction = "to" if journal.outgoing else "from"
        name = f"migration {journal.id} {direction} {journal.peer}"
        self._supervisor.retry(name, lambda: work(journal), pause=_PAUSE, target=f"jails/{journal.jail}")

    def _waits(self, entry: JailEntry) -> bool:
        return _is_to_start(entry) or not self._inventory.may(entry, Intent.GIVE_AWAY)

    async def _go_on_after_boot(self, journal: Journal) -> None:
        await self._supervisor.over(BOOT)
        # Past its deadline it is given up, also while the jail waits.
        await self._start_guard.over(journal.jail, within=self._journals.time_left(journal))
        if not self._inventory.halted:  # the host goes down: its next start goes on
            self._go_on(journal)

    def _go_on(self, journal: Journal) -> None:
        async def work(handle: Handle) -> str:
            try:
                return f"migrations/{await self._sender.resume(handle, journal)}"
            except JaildError:
                if self._journals.find(journal.id, outgoing=True) == journal:  # it could not even be taken up again
                    await self._resume_outgoing(journal)
                raise

        self._dispatcher.resume(journal.operation, work)

    async def _resume_outgoing(self, journal: Journal) -> None:
        entry = self._inventory.jails.get(journal.jail)
        moved = entry is not None and entry.record is not None and _moved(entry.record, journal)
        if moved or journal.phase is Phase.COMMITTED:
            committed = msgspec.structs.replace(journal, phase=Phase.COMMITTED)
            await self._journals.put(committed)
            activation = await self._cutover.activate(committed)
            await self._journals.put(
                msgspec.structs.replace(
                    committed, phase=Phase.ACTIVATED, healthy=activation.healthy, message=activation.message
                )
            )
            self._notices.hand_on(committed)
            await self._told(f"jail {journal.jail} moved to {journal.peer}, which acknowledged now")
            return
        aborted = msgspec.structs.replace(journal, phase=Phase.ABORTED)
        await self._notices.tell(aborted)
        if journal.jail in self._inventory.jails:
            await self._try_quietly(self._snapshots.aborted(journal))
            await self._try_quietly(self._snapshots.release_layers(journal.id, journal.offer.jail.layers))

    async def _resume_incoming(self, journal: Journal) -> None:
        """Ask the source how it ended, and do what follows; raise while that is not known."""
        if self._receiver.owns(journal):  # it was interrupted while it was activated
            await self._receiver.activate(journal.id, journal.epoch)
            await self._told(f"jail {journal.jail} from {journal.peer}: its activation was gone on with")
            return
        resolution = await self._peers.get(journal.peer).resolve(journal.id)
        if resolution.outcome == "committed":
            await self._receiver.activate(journal.id, resolution.epoch)
            await self._told(f"jail {journal.jail} is this host's: {journal.peer} had handed it over")
            return
        # A source that remembers nothing may have lost its pool too: what is prepared may be the only copy.
        forgotten = resolution.outcome == "unknown" and journal.phase is Phase.RECEIVING
        if resolution.outcome == "aborted" or forgotten:
            await self._receiver.abort(journal.id, source=journal.peer)
            await self._told(f"threw away what had come of {journal.jail}: {journal.peer} kept it")
            return
        raise FailedPreconditionError(
            "MIGRATION_UNDECIDED",
            f"{journal.peer} says that migration {journal.id} of jail {journal.jail} is {resolution.outcome}",
            remedy=f"it is asked again by itself; if {journal.peer} has lost the jail: jailctl adopt",
            resource=f"jails/{journal.jail}",
        )


def _is_to_start(entry: JailEntry) -> bool:
    runs = entry.run is not None and entry.run.running
    return entry.record is not None and entry.record.desired is Desired.RUNNING and not runs


def _moved(record: JailRecord, journal: Journal) -> bool:
    return record.state is Ownership.MOVED and record.migration == journal.id
