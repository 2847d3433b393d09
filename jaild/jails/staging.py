"""Changes that were staged: cut over to, or dropped, by somebody, or cut over to by themselves in a maintenance window.

What is staged stands in the jail's record, which the staging's commit wrote when all of the generation was on the disk:
so it is kept over a restart of the daemon, a reboot of the host and a move to another one.

A window tries once what is staged. If it fails for what has nothing to do with it (a migration, a host that is
shut down), that is tried again while the window is open; after any other failure it waits for somebody's word.
"""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.supervisor import BackOff
from jaild.jails.changes import Changes
from jaild.jails.datasets import JailDatasets
from jaild.model import access, maintenance
from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Cutover, to_be_confirmed
from jaild.model.layers.records import Staged
from jaild.model.operation import LATER, Failure, Operation, Stop
from jaild.model.problems import Plan
from jaild.model.views import Caller

_EVERY = 1.0  # seconds between two looks at the time
_AT_ONCE = 4  # jails that are cut over by windows which open at the same time
_PAUSE = BackOff(first=5.0, longest=300.0)  # between two attempts at a cutover that something is in the way of
_TOLD = 300  # characters of why a cutover failed, in the record
_WINDOW = Caller(actor="maintenance", roles=frozenset({Role.OPERATOR}))


class Staging:
    """The staged changes of this host's jails."""

    def __init__(self, engine: Engine, changes: Changes, datasets: JailDatasets) -> None:
        self._inventory = engine.inventory
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._changes = changes
        self._datasets = datasets
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    # -- what callers ask

    async def cutover(self, name: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Carry out the change that is staged. `FailedPreconditionError` (NOTHING_STAGED, STAGED_OUTDATED)."""
        duplicate = await self._operations.duplicate(caller, Cutover.kind, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, staged, change = self._require_staged(name, Intent.CHANGE, caller)
        if validate_only:
            plan, within = (await self._changes.plan(name, change, caller)).plan, staged.confirm_within
            return await self._dispatcher.planned(to_be_confirmed(plan, within) if within else plan, caller)
        return await self._dispatcher.submit(
            f"jails/{name}", Cutover.kind, caller, partial(self._carry_out, name=name, caller=caller)
        )

    async def unstage(self, name: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Drop what is staged. `FailedPreconditionError` (NOTHING_STAGED)."""
        duplicate = await self._operations.duplicate(caller, "unstage", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, staged, change = self._require_staged(name, Intent.SETTLE, caller)
        if validate_only:
            step = f"drop generation {staged.number} ({change.staged.reason})"
            return await self._dispatcher.planned(Plan(kind="unstage", target=f"jails/{name}", steps=(step,)), caller)

        async def work(handle: Handle) -> str:
            entry, staged, change = self._require_staged(name, Intent.SETTLE, caller)
            _, record = self._inventory.permitted(name, Intent.SETTLE)
            await handle.phase("commit", stop=Stop.NEVER)
            await self._datasets.unstage(entry, record)
            message = f"generation {staged.number} ({change.staged.reason}) is dropped"
            await self._events.emit("generation.unstaged", f"jails/{name}", message, actor=caller.actor)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", "unstage", caller, work)

    async def _carry_out(self, handle: Handle, *, name: str, caller: Caller) -> str:
        _, staged, change = self._require_staged(name, Intent.CHANGE, caller)
        await self._changes.carry_out(handle, name, change, caller, confirm_within=staged.confirm_within)
        return f"jails/{name}"

    def _require_staged(self, name: str, intent: Intent, caller: Caller) -> tuple[JailEntry, Staged, Cutover]:
        """Return a jail with what is staged, which is the caller's to decide about: of whose axis it is."""
        entry, record = self._inventory.permitted(name, intent)
        if record.staged is None or entry.staged is None:
            raise FailedPreconditionError(
                "NOTHING_STAGED",
                f"jail {name} has nothing staged",
                hint="it was cut over to or dropped already, see its generations; or ask for a change with stage",
                resource=f"jails/{name}",
            )
        change = Cutover(entry.staged)
        access.require_change(caller, name, entry.generation, change)
        return entry, record.staged, change

    # -- in maintenance windows

    def run(self) -> None:
        """Look at the time for ever."""
        self._supervisor.run("maintenance windows", self.tick, every=_EVERY)

    async def tick(self) -> None:
        """Begin to cut over to what is staged, of the jails that have an open window."""
        for entry in list(self._inventory.jails.values()):
            if (staged := self._due(entry)) is not None:
                name, target = f"cutover of {entry.name}", f"jails/{entry.name}"
                self._supervisor.retry(name, partial(self._cut_over, entry, staged), pause=_PAUSE, target=target)

    def _due(self, entry: JailEntry) -> Staged | None:
        """Return what is to be cut over to now."""
        record, generation = entry.record, entry.generation
        if record is None or record.staged is None or record.staged.failed or generation is None:
            return None
        is_open = maintenance.is_open(generation.spec.maintenance, self._clock.now())
        is_here = self._inventory.jails.get(entry.name) is entry and self._inventory.may(entry, Intent.CHANGE)
        return record.staged if is_open and is_here else None

    async def _cut_over(self, entry: JailEntry, staged: Staged) -> None:
        async def work(handle: Handle) -> str:
            if self._due(entry) != staged:  # the window closed while it waited, or somebody was quicker
                return target
            return await self._carry_out(handle, name=entry.name, caller=_WINDOW)

        target = f"jails/{entry.name}"
        async with self._at_once:
            if self._due(entry) != staged:
                return
            asked = await self._dispatcher.submit(target, Cutover.kind, _WINDOW, work)
            ended = await self._operations.wait(asked.id)
        if (failure := ended.failure) is None:
            return
        if failure.reason in LATER:
            raise FailedPreconditionError(
                "NOT_CUT_OVER",
                f"jail {entry.name} is not on generation {staged.number} yet: {failure.message}",
                hint="it is tried again as long as its window is open",
                resource=target,
            )
        await self._hold(entry, staged, failure)

    async def _hold(self, entry: JailEntry, staged: Staged, failure: Failure) -> None:
        """Have no window try it again. A crash before this is written has it tried once more."""
        why = f"{failure.reason}: {failure.message}"[:_TOLD]
        async with self._dispatcher.exclusive(f"jails/{entry.name}"):
            record = entry.record
            if record is None or record.staged != staged or not self._inventory.may(entry, Intent.SETTLE):
                return
            held = msgspec.structs.replace(staged, failed=why)
            await self._datasets.write(entry, msgspec.structs.replace(record, staged=held))
        message = f"generation {staged.number} stays staged, its cutover failed; no window tries it again: {why}"
        await self._events.emit("generation.not_cut_over", f"jails/{entry.name}", message)
