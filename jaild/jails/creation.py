"""Jails coming and going. A jail whose first generation was never committed is what a crash left, and is destroyed."""

from __future__ import annotations

import asyncio
import uuid

import msgspec

from jaild.engine.events import Events
from jaild.engine.inventory import Entry, Index
from jaild.engine.operations import Handle
from jaild.jails.datasets import JailDatasets
from jaild.jails.etc_databases import EtcDatabases
from jaild.jails.health import Gate
from jaild.jails.planner import Planner, Prepared
from jaild.jails.runs import Runs
from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, JaildError
from jaild.model.findings import Finding
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Draft
from jaild.model.jails.ownership import advance
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership
from jaild.model.phases import Stop
from jaild.model.replication.deleted import untold
from jaild.model.views import Caller
from jaild.ports.clock import Clock


class Creation:
    """Creates and deletes jails. Runs in the jail's driver only."""

    def __init__(
        self,
        index: Index,
        planner: Planner,
        datasets: JailDatasets,
        databases: EtcDatabases,
        runs: Runs,
        gate: Gate,
        events: Events,
        clock: Clock,
    ) -> None:
        self._index = index
        self._planner = planner
        self._datasets = datasets
        self._databases = databases
        self._runs = runs
        self._gate = gate
        self._events = events
        self._clock = clock

    async def plan(self, name: str, spec: JailSpec, caller: Caller) -> Prepared:
        """Plan a new jail of the caller's. `AlreadyExistsError` (JAIL_EXISTS)."""
        if name in self._index.jails:
            raise AlreadyExistsError(
                "JAIL_EXISTS",
                f"there is a jail {name} on this host already",
                remedy="choose another name, or change the one that is there",
                resource=f"jails/{name}",
            )
        return await self._planner.prepare(name, None, Draft("create", spec), 1, caller)

    async def create(self, handle: Handle, name: str, spec: JailSpec, caller: Caller, *, stopped: bool) -> None:
        """Create it; on failure nothing of it is left."""
        with handle.cancellable():
            await handle.phase("plan")
            prepared = await self.plan(name, spec, caller)
            handle.note(plan=prepared.plan)
            prepared.plan.require_clean()
            if prepared.trees is None:
                raise TypeError(name)
            await handle.phase("stage", "creating datasets")
            record = JailRecord(
                uid=uuid.uuid4().hex,
                owner=self._index.host_id,
                epoch=1,
                state=Ownership.ACTIVE,
                generation=0,
                desired=Desired.STOPPED if stopped else Desired.RUNNING,
                created=self._clock.now(),
            )
            generation = Generation(
                number=1,
                spec=spec,
                base=spec.base,
                release=spec.app or "",
                created=self._clock.now(),
                reason="create",
                actor=handle.operation.actor,
            )
            # In the index from here on, so that a second request for this name or address sees it: nothing is awaited
            # between the look and the entry.
            self._planner.require_still_free(name, spec)
            entry = Entry(name=name, folder=self._index.folder_of_jails / name, record=record, generation=generation)
            entry.references[1] = (generation.base, generation.release)  # from now on they cannot be deleted
            self._index.jails[name] = entry
            try:
                await self._build(handle, entry, record, generation, prepared, stopped=stopped)
            except BaseException:
                await asyncio.shield(self._undo(entry))
                raise
        await self._tidy(entry)
        await self._events.emit("jail.created", f"jails/{name}", f"{spec.base} {spec.app or ''}".rstrip())

    async def _build(
        self,
        handle: Handle,
        entry: Entry,
        record: JailRecord,
        generation: Generation,
        prepared: Prepared,
        *,
        stopped: bool,
    ) -> None:
        if prepared.trees is None:
            raise TypeError(entry.name)
        entry.folder = (await self._datasets.make(entry.name, record, generation.spec)).folder
        await self._datasets.stage(entry, generation, prepared.trees)
        await self._databases.make(handle.id, entry, generation, prepared.trees.tools)
        await self._datasets.fit(entry, generation.spec, self._runs.manifest(generation.release))
        await self._runs.create(entry, generation)  # also for a stopped one: to see that its tree can be mounted
        if stopped:
            await self._runs.remove(entry, 1)
        else:
            await handle.phase("start")
            await self._runs.start(entry, 1)
            await handle.phase("gate", "waiting for the health checks")
            await self._gate.require_healthy(entry.name, 1, generation.spec)
        await handle.phase("commit", stop=Stop.NEVER)
        await self._datasets.commit(entry, msgspec.structs.replace(record, generation=1), generation)
        handle.facts(generation=1)

    async def _tidy(self, entry: Entry) -> None:
        try:
            await self._datasets.settle(entry, 1)
            await self._datasets.measure(entry)
        except JaildError as error:  # the jail is made: what fails now is repaired at the next start
            await self._events.emit("jail.untidy", f"jails/{entry.name}", f"after its creation: {error}")

    async def _undo(self, entry: Entry) -> None:
        try:
            await self._runs.stop(entry, 1)
            await self._runs.remove(entry, 1)
            await self._datasets.destroy_if_there(entry)
        except JaildError as error:  # why it is undone matters more; what is left stays in sight and can be deleted
            entry.message = f"its creation failed, and so did its removal: {error}"
            await self._events.emit("jail.untidy", f"jails/{entry.name}", entry.message)
        else:
            if self._index.jails.get(entry.name) is entry:
                del self._index.jails[entry.name]

    def require_deletable(self, name: str, *, force: bool) -> tuple[Entry, JailRecord]:
        """Return a jail that may be deleted. `FailedPreconditionError` (JAIL_RUNNING, or why it is not to be)."""
        entry, record = self._index.permitted(name, Intent.DELETE)
        if entry.run is not None and entry.run.running and not force:
            raise FailedPreconditionError(
                "JAIL_RUNNING",
                f"jail {name} is running",
                remedy="stop it first, or delete it with force",
                resource=f"jails/{name}",
            )
        return entry, record

    async def deletion(self, name: str) -> tuple[Finding, ...]:
        """Return what a plan has to tell of a jail's deletion: who keeps it, and what goes with it."""
        entry, record = self._index.permitted(name, Intent.READ)
        takeover = record.takeover
        told = () if takeover is None or not self._index.may(entry, Intent.TELL) else untold(name, takeover.untold)
        return (*await self._datasets.deletion(name), *told)

    async def delete(self, handle: Handle, name: str, *, force: bool) -> None:
        """Delete a jail with all its data: its record says so first, so that a crash does not bring half of it back."""
        self.require_deletable(name, force=force)
        await self._datasets.require_destroyable(name)  # before it is stopped
        entry, record = self.require_deletable(name, force=force)
        await handle.phase("commit", stop=Stop.NEVER)
        if record.state is not Ownership.DELETING:  # a deletion that failed half-way is gone on with
            await self._datasets.write(entry, advance(record, Ownership.DELETING))
        if entry.generation is not None:
            await self._runs.stop(entry, entry.generation.number)
            await self._runs.remove(entry, entry.generation.number)
        await self._datasets.destroy(entry)
        del self._index.jails[name]
        await self._events.emit("jail.deleted", f"jails/{name}")
