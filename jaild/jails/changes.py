"""One shape for every change: plan, stage, cut over, gate, commit; and back if the new generation is not well.

plan ── findings ──► refused, nothing touched
  │
stage ── error ──► undone, the old generation never stopped
  │
cut over: stop old, start new      ◄── the blackout is this and nothing else
  │ error
gate ── unhealthy ──► stop new, start old: rolled back
  │
commit: one `zfs set`              ◄── a crash before it: the old generation; after it: the new one
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from jaild.engine.events import Events
from jaild.engine.inventory import Entry, Index
from jaild.engine.operations import Handle
from jaild.jails.datasets import JailDatasets
from jaild.jails.etc_databases import EtcDatabases
from jaild.jails.health import Gate
from jaild.jails.planner import Planner, Prepared, Trees
from jaild.jails.runs import Runs
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.findings import errors
from jaild.model.jails import authorization
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Change, Draft
from jaild.model.layers.records import Desired, Generation, JailRecord
from jaild.model.phases import Stop
from jaild.model.views import Caller
from jaild.ports.clock import Clock


class Changes:
    """Carries out deploys, upgrades, configures and rollbacks. Runs in the jail's driver only."""

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
        self._log = structlog.get_logger("jaild.changes")

    async def plan(self, name: str, change: Change, caller: Caller) -> Prepared:
        """Plan a change against the jail as it is now. `PermissionDeniedError` if it is not the caller's to make."""
        owned = self._index.owned(name, Intent.CHANGE)
        entry = owned.entry
        older = {number: await self._index.generation(entry, number) for number in await self._index.numbers(entry)}
        authorization.require_change(caller, name, owned.generation, change)
        draft: Draft = change.apply(owned.generation, older)
        authorization.require_outcome(caller, name, owned.generation, draft)
        return await self._planner.prepare(name, entry, draft, await self._datasets.next_number(entry), caller)

    async def carry_out(self, handle: Handle, name: str, change: Change, caller: Caller) -> None:
        """Do it. Raises with the old generation active, and running if it ran before."""
        with handle.cancellable():
            await handle.phase("plan")
            prepared = await self.plan(name, change, caller)
            handle.note(plan=prepared.plan)
            prepared.plan.require_clean()
            owned = self._index.owned(name, Intent.CHANGE)
            entry, record, old = owned.entry, owned.record, owned.generation
            new, first_time = await self._generation(entry, old, prepared, handle.operation.actor), prepared.trees
            self._planner.require_still_free(name, new.spec)
            entry.references[new.number] = (new.base, new.release)  # from now on they cannot be deleted
            try:
                await self._stage(handle, entry, new, first_time)
            except BaseException:
                await asyncio.shield(self._unstage(entry, new, first_time))
                raise
        handle.facts(generation=new.number)
        committed = msgspec.structs.replace(record, generation=new.number)
        if record.desired is Desired.RUNNING:  # also one whose process ended: this may be what mends it
            await self._cut_over(handle, entry, committed, old, new, first_time)
        else:
            await self._put_in_place(handle, entry, committed, new, first_time)
        message = f"generation {old.number} -> {new.number}: {new.base} {new.release}".rstrip()
        await self._tidy(entry, old, new)  # its mark goes first: what fails after this cannot make it look uncommitted
        await self._events.emit("generation.committed", f"jails/{name}", message, change=prepared.plan.kind)

    async def _generation(self, entry: Entry, old: Generation, prepared: Prepared, actor: str) -> Generation:
        if prepared.draft.cut_to:
            return await self._index.generation(entry, prepared.draft.cut_to)
        return Generation(
            number=prepared.plan.to_generation,
            spec=prepared.draft.spec,
            base=prepared.draft.spec.base,
            release=prepared.draft.spec.app or "",
            created=self._clock.now(),
            reason=prepared.draft.kind,
            parent=old.number,
            actor=actor,
        )

    async def _stage(self, handle: Handle, entry: Entry, new: Generation, trees: Trees | None) -> None:
        await handle.phase("stage", f"generation {new.number}")
        if trees is not None:
            await self._datasets.stage(entry, new, trees)
            await self._databases.make(handle.id, entry, new, trees.tools)
        await self._datasets.fit(entry, new.spec, self._runs.manifest(new.release))
        await self._datasets.safety_snapshot(entry, new.number)
        await self._runs.remove(entry, new.number)  # what a crash may have left of an earlier try
        await self._runs.create(entry, new)

    async def _unstage(self, entry: Entry, new: Generation, trees: Trees | None) -> None:
        try:
            await self._runs.remove(entry, new.number)
            if trees is not None:
                await self._datasets.drop(entry, new.number)  # and with it what it refers to
        except JaildError as error:  # why it is undone matters more; the next start drops what is left
            message = f"of generation {new.number}, which did not come to be, something is left: {error}"
            await self._events.emit("jail.untidy", f"jails/{entry.name}", message)

    async def _put_in_place(
        self, handle: Handle, entry: Entry, committed: JailRecord, new: Generation, trees: Trees | None
    ) -> None:
        try:
            await self._runs.remove(entry, new.number)  # it was mounted to see that it can be
            await handle.phase("commit", stop=Stop.NEVER)
            await self._datasets.commit(entry, committed, new)
        except BaseException:
            if not await asyncio.shield(self._is_committed(entry, committed)):
                await asyncio.shield(self._unstage(entry, new, trees))
            raise

    async def _is_committed(self, entry: Entry, committed: JailRecord) -> bool:
        return await self._datasets.recorded(entry) == committed

    async def _cut_over(
        self,
        handle: Handle,
        entry: Entry,
        committed: JailRecord,
        old: Generation,
        new: Generation,
        trees: Trees | None,
    ) -> None:
        await handle.phase("cutover", f"stopping generation {old.number}", Stop.NEVER)
        began = self._clock.monotonic()
        try:
            await self._runs.stop(entry, old.number)
            if trees is not None and await self._planner.changed_since(entry, trees):
                await self._merge_again(handle, entry, new)
            started = await self._runs.start(entry, new.number)
            handle.note(blackout=started - began)
            await handle.phase("gate", "waiting for the health checks")
            with handle.cancellable():  # a caller who sees that it will not get well need not wait for the deadline
                await self._gate.require_healthy(entry.name, new.number, new.spec)
            await handle.phase("commit", stop=Stop.NEVER)
            await self._datasets.commit(entry, committed, new)
        except BaseException as error:
            if await asyncio.shield(self._is_committed(entry, committed)):
                raise  # interrupted after the commit: the next start goes on with the new one
            blackout = await asyncio.shield(self._back(entry, old, new, trees)) - began
            handle.note(blackout=blackout)
            handle.facts(generation=old.number, rolled_back="true")
            reason = error.reason if isinstance(error, JaildError) else type(error).__name__
            message = f"generation {new.number} failed ({reason}); generation {old.number} is back"
            await self._events.emit("generation.rolled_back", f"jails/{entry.name}", message)
            raise

    async def _merge_again(self, handle: Handle, entry: Entry, new: Generation) -> None:
        # The jail wrote to its own configuration while the new one was being staged: that must not be lost.
        trees, findings = await self._planner.merge(entry, new.spec)
        if errors(tuple(findings)):
            raise FailedPreconditionError(
                "MERGE_CONFLICT",
                f"jail {entry.name} changed its configuration during the change, in conflict with the new one",
                remedy="resolve the conflict in the jail's /etc or /usr/local/etc and try again",
                resource=f"jails/{entry.name}",
                findings=findings,
            )
        await self._datasets.write_trees(entry, new.number, trees)
        await self._databases.make(handle.id, entry, new, trees.tools)

    async def _back(self, entry: Entry, old: Generation, new: Generation, trees: Trees | None) -> float:
        try:
            await self._runs.stop(entry, new.number)
        except JaildError as error:  # the old one must serve again whatever becomes of the new one
            self._log.warning("cannot stop", jail=entry.name, generation=new.number, reason=error.reason)
        run = await self._runs.find(entry.name, old.number)
        if run is not None and run.running:  # it was its stop that failed
            await self._runs.adopt(entry, old.number)
            started = self._clock.monotonic()
        else:
            started = await self._start_again(entry, old)
        await self._unstage(entry, new, trees)
        return started

    async def _start_again(self, entry: Entry, old: Generation) -> float:
        try:
            return await self._runs.start(entry, old.number)
        except JaildError as error:
            self._log.warning("cannot start again as it is, building it anew", jail=entry.name, reason=error.reason)
            return await self._runs.ensure(entry, old)

    async def _tidy(self, entry: Entry, old: Generation, new: Generation) -> None:
        # The change is committed: what fails now is told and repaired at the next start, and fails nothing.
        try:
            await self._datasets.settle(entry, new.number)
            await self._runs.remove(entry, old.number)
            await self._datasets.prune(entry)
            await self._datasets.measure(entry)
        except JaildError as error:
            await self._events.emit("jail.untidy", f"jails/{entry.name}", f"after the change: {error}")

    async def start(self, handle: Handle, name: str) -> None:
        """Start the active generation and make it stay started."""
        owned = self._index.owned(name, Intent.START)
        entry, generation = owned.entry, owned.generation
        await self._desire(entry, Desired.RUNNING)
        if entry.run is not None and entry.run.running:
            return
        await handle.phase("start")
        await self._runs.ensure(entry, generation)
        await handle.phase("gate", "waiting for the health checks")
        await self._gate.require_healthy(name, generation.number, generation.spec)
        await self._events.emit("jail.started", f"jails/{name}", generation=str(generation.number))

    async def stop(self, handle: Handle, name: str) -> None:
        """Stop the jail and make it stay stopped."""
        owned = self._index.owned(name, Intent.STOP)
        entry, generation = owned.entry, owned.generation
        await self._desire(entry, Desired.STOPPED)
        await handle.phase("stop")
        await self._runs.stop(entry, generation.number)
        await self._runs.remove(entry, generation.number)
        await self._events.emit("jail.stopped", f"jails/{name}", generation=str(generation.number))

    async def shut_down(self, handle: Handle, name: str) -> None:
        """Stop the jail for the host's shutdown. What it should be stays as it is: the next boot starts it again."""
        entry, record = self._index.permitted(name, Intent.READ)  # what runs here ends with the host, whoever's it is
        if entry.run is None or not entry.run.running:  # it ended, or moved away, while this waited its turn
            return
        await handle.phase("stop")
        number = entry.run.generation
        await self._runs.stop(entry, number)
        await self._runs.remove(entry, number)
        await self._events.emit("jail.shut_down", f"jails/{name}", generation=str(record.generation))

    async def restart(self, handle: Handle, name: str) -> None:
        """Stop and start the active generation. The blackout is measured."""
        owned = self._index.owned(name, Intent.START)
        entry, generation = owned.entry, owned.generation
        await self._desire(entry, Desired.RUNNING)
        await handle.phase("cutover", stop=Stop.NEVER)
        began = self._clock.monotonic()
        await self._runs.stop(entry, generation.number)
        await self._runs.remove(entry, generation.number)
        await self._runs.create(entry, generation)
        handle.note(blackout=await self._runs.start(entry, generation.number) - began)
        await handle.phase("gate", "waiting for the health checks")
        await self._gate.require_healthy(name, generation.number, generation.spec)
        await self._events.emit("jail.restarted", f"jails/{name}", generation=str(generation.number))

    async def _desire(self, entry: Entry, desired: Desired) -> None:
        if entry.record is not None and entry.record.desired is not desired:
            await self._datasets.write(entry, msgspec.structs.replace(entry.record, desired=desired))
