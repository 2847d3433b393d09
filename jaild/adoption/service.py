"""Adopting jails that other tools made.

look ── problems ──► refused, nothing touched
  │
release: /usr/local is copied and sealed          ◄── the old jail may run all the while
  │
stop-old: its tool stops it                       ◄── the downtime begins
  │                                                   if /usr/local has changed since, the release is made again
create: as any jail (`jails/changes.py`), with the old one's configuration and data in place of the base's
  │ error ──► the old one is started again, the release goes
done: the old one is as it was, stopped

A crash leaves nothing of the new jail, as one of any creation does; a release that no jail has, which `app prune`
takes; and the old jail stopped, which the next daemon starts again: `jaild.adoption.recovery`.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from jaild.adoption.releases import AdoptedReleases, States
from jaild.adoption.seeding import Seeding
from jaild.adoption.survey import Found, Survey
from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.engine.operations import Handle
from jaild.jails.changes import Changes
from jaild.model import names
from jaild.model.errors import FailedPreconditionError
from jaild.model.foreign.jail import Tool
from jaild.model.foreign.tools import command
from jaild.model.foreign.wish import Wish
from jaild.model.jails import spec_changes
from jaild.model.jails.change import Create
from jaild.model.jails.spec import JailSpec
from jaild.model.operation import Operation, Stop
from jaild.model.problems import Plan
from jaild.model.views import Caller

KIND = "adopt-foreign"
STOPPED = "old_jail_stopped"  # fact of an operation: TOOL NAME NAME-IN-THE-KERNEL


class Adoptions:
    """Adopts jails, one operation for each."""

    def __init__(
        self, engine: Engine, survey: Survey, releases: AdoptedReleases, seeding: Seeding, changes: Changes
    ) -> None:
        self._inventory = engine.inventory
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._draining = engine.draining
        self._foreign = engine.ports.foreign
        self._events = engine.events
        self._clock = engine.ports.clock
        self._survey = survey
        self._releases = releases
        self._seeding = seeding
        self._changes = changes

    async def adopt(self, wish: Wish, *, validate_only: bool, caller: Caller) -> Operation:
        """Make a jail of one that another tool made; that one stays, stopped."""
        target = f"jails/{names.jail(wish.jail)}"
        duplicate = await self._operations.duplicate(caller, KIND, target)
        if duplicate is not None:
            return duplicate
        self._draining.require_open(target)
        found = await self._survey.look(wish)
        plan = await self._plan(wish, found, caller)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)
        plan.require_clean()

        async def work(handle: Handle) -> str:
            await self._carry_out(handle, wish, caller)
            return target

        return await self._dispatcher.submit(target, KIND, caller, work, plan=plan)

    async def _plan(self, wish: Wish, found: Found, caller: Caller) -> Plan:
        """Return what would be done. Whether the release's files find their libraries is seen when it is made."""
        release = self._releases.next(wish.jail) if found.local else ""
        plan = Plan(kind=KIND, target=f"jails/{wish.jail}")
        if found.spec.base or found.spec.channel:
            creation = Create(found.spec, wish.stopped, KIND, origin=await self._survey.origin(found))
            plan = (await self._changes.plan(wish.jail, creation, caller)).plan
        stop = (f"stop the old one: {shlex.join(command(wish.tool, 'stop', wish.name))}",) if found.running else ()
        return msgspec.structs.replace(
            plan,
            kind=KIND,
            steps=(
                *((f"make release {release} of its /usr/local",) if release else ()),
                *stop,
                *plan.steps,
            ),
            problems=(*found.problems, *plan.problems),
            release=release,
            changes=spec_changes.changes(JailSpec(), found.spec),
        )

    async def _carry_out(self, handle: Handle, wish: Wish, caller: Caller) -> None:
        await handle.phase("look", f"reading jail {wish.name} of {wish.tool}")
        with handle.cancellable():
            found = await self._survey.look(wish)
        plan = await self._plan(wish, found, caller)
        handle.note(plan=plan)
        plan.require_clean()
        async with self._released(handle, wish, found) as (release, states):
            began = self._clock.monotonic()
            async with self._stopped(handle, wish, found):
                if release and found.running and not await self._releases.is_as(states):
                    await handle.phase("release-again", "its /usr/local has changed: the release is made again")
                    await self._releases.unmake(release)
                    await self._releases.make(handle, release, found)
                spec = msgspec.structs.replace(found.spec, app=release or None)
                creation = Create(spec, wish.stopped, KIND, origin=await self._survey.origin(found, release))
                seed = partial(self._seeding.fill, found)
                await self._changes.carry_out(handle, wish.jail, creation, caller, seed=seed)
            if found.running:
                handle.note(downtime=self._clock.monotonic() - began)
        await self._events.emit("jail.adopted", f"jails/{wish.jail}", f"from {wish.tool} {wish.name}")

    @asynccontextmanager
    async def _released(self, handle: Handle, wish: Wish, found: Found) -> AsyncIterator[tuple[str, States]]:
        """Have a release of its /usr/local, if it has one; give its reference, and the words for what it is made of."""
        if not found.local:
            yield "", {}
            return
        reference = self._releases.next(wish.jail)
        await handle.phase("release", f"copying /usr/local into release {reference}")
        with handle.cancellable():
            states = await self._releases.state(found)
            await self._releases.make(handle, reference, found)
        async with undo_on_error(lambda: self._unless_adopted(wish, lambda: self._releases.unmake(reference))):
            yield reference, states

    @asynccontextmanager
    async def _stopped(self, handle: Handle, wish: Wish, found: Found) -> AsyncIterator[None]:
        """Have the old jail stopped; it is started again on an error, unless the new one has come to be."""
        if not found.running:
            await self._require_down(wish, found)
            yield
            return
        handle.facts(**{STOPPED: f"{wish.tool} {wish.name} {found.jail.kernel_name}"})  # on disk before it is stopped
        await handle.phase("stop-old", f"stopping jail {wish.name} of {wish.tool}", Stop.NEVER)
        old = partial(self.start_old, wish.tool, wish.name, found.jail.kernel_name)
        async with undo_on_error(lambda: self._unless_adopted(wish, old)):
            await self._foreign.run(command(wish.tool, "stop", wish.name))
            await self._require_down(wish, found)
            yield

    async def _require_down(self, wish: Wish, found: Found) -> None:
        """Let no jail begin with the data, the address and the identity of one that runs: whatever its tool said."""
        if await self._foreign.is_running(found.jail.kernel_name):
            raise FailedPreconditionError(
                "FOREIGN_JAIL_RUNNING",
                f"jail {wish.name} of {wish.tool} is running, which was to be stopped",
                hint=f"see what keeps it, or starts it: jls, {shlex.join(command(wish.tool, 'stop', wish.name))}",
            )

    async def _unless_adopted(self, wish: Wish, undo: Callable[[], Awaitable[None]]) -> None:
        """Undo, but not what the new jail has taken over: what fails after its commit takes nothing from it."""
        entry = self._inventory.jails.get(wish.jail)
        runs = entry is not None and entry.run is not None and entry.run.running
        if not runs and (entry is None or entry.record is None or not entry.record.generation):
            await undo()

    async def start_old(self, tool: Tool, name: str, kernel_name: str) -> None:
        """Start an old jail again, unless it runs."""
        if not await self._foreign.is_running(kernel_name):
            await self._foreign.run(command(tool, "start", name))
