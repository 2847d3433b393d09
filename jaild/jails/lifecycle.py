"""Jails started, stopped and deleted as they are: what makes no new generation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import msgspec

from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.datasets import JailDatasets
from jaild.jails.hooks import Serving
from jaild.jails.runs import Runs
from jaild.model import quantity
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership
from jaild.model.operation import Stop
from jaild.model.problems import Plan, Problem
from jaild.model.replication.deleted import untold


class Lifecycle:
    """Starts, stops, restarts and deletes jails. Runs in the jail's queue only."""

    def __init__(self, engine: Engine, datasets: JailDatasets, runs: Runs, serving: Serving) -> None:
        self._inventory = engine.inventory
        self._datasets = datasets
        self._runs = runs
        self._health_checks = serving.health_checks
        self._hooks = serving.hooks
        self._events = engine.events
        self._clock = engine.ports.clock

    def start_plan(self, name: str) -> Plan:
        """Return what `start` would do now. Errors as it."""
        owned = self._inventory.owned(name, Intent.START)
        asked = _desires(owned.entry, Desired.RUNNING, "start it at each boot of the host, too")
        steps = () if _runs(owned.entry) else _start_steps(owned.generation)
        return _plan("start", name, owned.generation, (*asked, *steps))

    def stop_plan(self, name: str, *, force: bool) -> Plan:
        """Return what `stop` would do now. Errors as it."""
        owned = self._inventory.owned(name, Intent.STOP)
        asked = _desires(owned.entry, Desired.STOPPED, "start it at no boot of the host any more")
        return _plan("stop", name, owned.generation, (*_stop_steps(owned.entry, owned.generation, force=force), *asked))

    def restart_plan(self, name: str) -> Plan:
        """Return what `restart` would do now. Errors as it."""
        owned = self._inventory.owned(name, Intent.START)
        stops = _stop_steps(owned.entry, owned.generation)
        return _plan("restart", name, owned.generation, (*stops, *_start_steps(owned.generation)))

    async def start(
        self, handle: Handle, name: str, *, slot: AbstractAsyncContextManager[object] | None = None
    ) -> None:
        """Start the active generation and make it stay started. `slot` is held until it has started, or failed to."""
        owned = self._inventory.owned(name, Intent.START)
        entry, generation = owned.entry, owned.generation
        await self._desire(entry, Desired.RUNNING)
        if _runs(entry):
            return
        await handle.phase("start")
        async with slot or nullcontext():
            await self._runs.ensure(entry, generation)
        await handle.phase("health-check", "waiting for the health checks")
        await self._health_checks.require_healthy(name, generation.number, generation.spec)
        await self._serves(handle, name, generation)
        await self._events.emit("jail.started", f"jails/{name}", generation=str(generation.number))

    async def stop(self, handle: Handle, name: str, *, force: bool = False) -> None:
        """Stop the jail and make it stay stopped. `force`: without its hooks."""
        owned = self._inventory.owned(name, Intent.STOP)
        entry, generation = owned.entry, owned.generation
        if force:
            await self._stop(handle, entry, generation)
        else:
            async with self._drained(handle, entry, generation):
                await self._stop(handle, entry, generation)
        await self._events.emit("jail.stopped", f"jails/{name}", generation=str(generation.number))

    def hurry(self, name: str) -> None:
        """Let what is under way with a jail wait no longer for its hooks."""
        self._hooks.hurry(name)

    async def _stop(self, handle: Handle, entry: JailEntry, generation: Generation) -> None:
        await self._desire(entry, Desired.STOPPED)
        await self._end(handle, entry, generation.number)

    async def shut_down(self, handle: Handle, name: str) -> None:
        """Stop the jail for the host's shutdown. What it should be stays as it is: the next boot starts it again."""
        # What runs here ends with the host, whoever's it is.
        entry, record = self._inventory.permitted(name, Intent.READ)
        if entry.run is None or not entry.run.running:  # it ended, or moved away, while this waited its turn
            return
        number, generation = entry.run.generation, entry.generation
        if generation is not None and generation.number == number:
            async with self._drained(handle, entry, generation, may_abort=False):
                await self._end(handle, entry, number)
        else:
            await self._end(handle, entry, number)
        await self._events.emit("jail.shut_down", f"jails/{name}", generation=str(record.generation))

    async def _end(self, handle: Handle, entry: JailEntry, number: int) -> None:
        await handle.phase("stop")
        await self._runs.stop(entry, number)
        await self._runs.remove(entry, number)

    async def restart(self, handle: Handle, name: str) -> None:
        """Stop and start the active generation. The downtime is measured."""
        owned = self._inventory.owned(name, Intent.START)
        entry, generation = owned.entry, owned.generation
        async with self._drained(handle, entry, generation):
            await self._desire(entry, Desired.RUNNING)
            await handle.phase("cutover", stop=Stop.NEVER)
            began = self._clock.monotonic()
            await self._runs.stop(entry, generation.number)
            await self._runs.remove(entry, generation.number)
            await self._runs.create(entry, generation)
            handle.note(downtime=await self._runs.start(entry, generation.number) - began)
        await handle.phase("health-check", "waiting for the health checks")
        await self._health_checks.require_healthy(name, generation.number, generation.spec)
        await self._serves(handle, name, generation)
        await self._events.emit("jail.restarted", f"jails/{name}", generation=str(generation.number))

    @asynccontextmanager
    async def _drained(
        self, handle: Handle, entry: JailEntry, generation: Generation, *, may_abort: bool = True
    ) -> AsyncIterator[None]:
        """Run the hooks before a stop, and then the block, which stops the jail.

        If it goes on to run after all, it is told that it serves: a hook or a cancel ended this, or the block failed.
        """
        if not generation.spec.hooks.before_stop or entry.run is None or not entry.run.running:
            yield
            return
        async with undo_on_error(lambda: self._hooks.serves_on(entry.name, generation)):
            async with handle.in_phase("drain", "hooks before_stop", Stop.NOW):
                await self._hooks.before_stop(entry.name, generation, may_abort=may_abort)
            yield

    async def _serves(self, handle: Handle, name: str, generation: Generation) -> None:
        if generation.spec.hooks.after_start:
            await handle.phase("after-start", "hooks after_start")
            await self._hooks.after_start(name, generation)

    async def _desire(self, entry: JailEntry, desired: Desired) -> None:
        if entry.record is not None and entry.record.desired is not desired:
            await self._datasets.write(entry, msgspec.structs.replace(entry.record, desired=desired))

    # -- deletion

    def require_deletable(self, name: str, *, force: bool) -> tuple[JailEntry, JailRecord]:
        """Return a jail that may be deleted. `FailedPreconditionError` (JAIL_RUNNING, or why it is not to be)."""
        entry, record = self._inventory.permitted(name, Intent.DELETE)
        if entry.run is not None and entry.run.running and not force:
            raise FailedPreconditionError(
                "JAIL_RUNNING",
                f"jail {name} is running",
                hint=f"stop it first: jailctl jail stop {name}; or have it stopped: --force",
                resource=f"jails/{name}",
            )
        return entry, record

    def destruction(self, name: str) -> str:
        """Return the step of a plan that destroys a jail here: all that there is of it, or a copy of another host's."""
        entry, record = self._inventory.permitted(name, Intent.DELETE)
        if self._inventory.may(entry, Intent.REPLICATE) or not record.peer:
            return "destroy its datasets and all data in them"
        return f"destroy the copy that is kept here (state {record.state}); the jail is that of {record.peer}"

    async def deletion(self, name: str) -> tuple[Problem, ...]:
        """Return what a plan has to tell of a jail's deletion: who keeps it, and what goes with it."""
        entry, record = self._inventory.permitted(name, Intent.READ)
        failover = record.failover
        told = () if failover is None or not self._inventory.may(entry, Intent.TELL) else untold(name, failover.untold)
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
        del self._inventory.jails[name]
        await self._events.emit("jail.deleted", f"jails/{name}")


# -- plans


def _plan(kind: str, name: str, generation: Generation, steps: tuple[str, ...]) -> Plan:
    return Plan(
        kind=kind,
        target=f"jails/{name}",
        steps=steps,
        base=generation.base,
        release=generation.release,
        unchanged=not steps,
    )


def _desires(entry: JailEntry, desired: Desired, step: str) -> tuple[str, ...]:
    """Return the step of what a jail is to be from now on; none if it is to be so already."""
    return () if entry.record is None or entry.record.desired is desired else (step,)


def _start_steps(generation: Generation) -> tuple[str, ...]:
    hooks = generation.spec.hooks.after_start
    serve = (f"{quantity.count(len(hooks), 'hook')} after_start",) if hooks else ()
    return (f"start generation {generation.number}", "health checks", *serve)


def _stop_steps(entry: JailEntry, generation: Generation, *, force: bool = False) -> tuple[str, ...]:
    if not _runs(entry):
        return ()
    hooks = () if force else generation.spec.hooks.before_stop
    drain = (f"{quantity.count(len(hooks), 'hook')} before_stop",) if hooks else ()
    return (*drain, f"stop generation {generation.number}")


def _runs(entry: JailEntry) -> bool:
    return entry.run is not None and entry.run.running
