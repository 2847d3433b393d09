"""Carrying out a rollout: what is decided is done, each jail in its own queue, and what came of it is written down.

    decide ─► write down ─► begin changes, take back ─► wait: a change ended, somebody's word, the time ─► decide …

A step is written down as begun before its change is asked for. What became of a change is read off the jail's
generation, also by the next daemon: the change's operation only says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.jails.service import Jails
from jaild.model import maintenance
from jaild.model.errors import JaildError
from jaild.model.jails.authority import Intent
from jaild.model.jails.liveness import Health as Liveness
from jaild.model.layers.records import Desired
from jaild.model.operation import Failure, Operation, failure_of
from jaild.model.rollouts import record
from jaild.model.rollouts.decision import ENDED, Decision, Health, MemberState, RolloutState, decide
from jaild.model.rollouts.record import Rollout, Runs, Step, change_to, layer_of, with_step
from jaild.model.rollouts.waves import CANARIES
from jaild.model.views import JailState, JailView

Put = Callable[[Rollout], Awaitable[None]]
_LOOK = 1.0  # seconds between two looks at jails that are watched
_BEGUN = frozenset({MemberState.CHANGING, MemberState.UNDOING})
_HELD = frozenset({MemberState.SOAKING, MemberState.WAITING})


class RolloutRun:
    """One rollout under way: its present record, and what it is woken by."""

    def __init__(self, handle: Handle, rollout: Rollout, put: Put) -> None:
        self.handle = handle
        self.rollout = rollout
        self.news = asyncio.Event()  # set when it is to be decided anew
        self._put = put
        self._writing = asyncio.Lock()

    async def change(self, change: Callable[[Rollout], Rollout]) -> None:
        """Replace the record by what `change` makes of it, as it is by then; on disk when this returns."""
        async with self._writing:
            changed = change(self.rollout)
            if changed is self.rollout:
                return
            await self._put(changed)
            self.rollout = changed
        self.news.set()

    async def step(self, name: str, change: Callable[[Step], Step]) -> None:
        """Replace one jail's step; on disk when this returns."""
        await self.change(lambda rollout: with_step(rollout, change(self.of(name))))

    async def note(self, name: str, change: Callable[[Step], Step]) -> None:
        """Replace one jail's step for when the record is written next: a crash that loses it loses nothing needed."""
        async with self._writing:
            self.rollout = with_step(self.rollout, change(self.of(name)))

    def of(self, name: str) -> Step:
        """Return one jail's step."""
        return next(step for step in self.rollout.steps if step.name == name)


class RolloutWorker:
    """Moves jails for rollouts."""

    def __init__(self, engine: Engine, jails: Jails) -> None:
        self._inventory = engine.inventory
        self._operations = engine.operations
        self._events = engine.events
        self._clock = engine.ports.clock
        self._jails = jails

    async def carry_out(self, run: RolloutRun) -> None:
        """Return when it is over; all of its jails' changes have ended then."""
        cancel = asyncio.create_task(self._heed_cancel(run), name="rollout's cancel")
        try:
            async with asyncio.TaskGroup() as group:
                if run.handle.operation.cancel_requested:
                    await run.change(_cancelled)
                for step in run.rollout.steps:
                    if step.state in _BEGUN:
                        group.create_task(self._found(run, step))
                while run.rollout.state not in ENDED:
                    run.news.clear()
                    await self._turn(run, group)
        except BaseExceptionGroup as failures:  # of the store: changes that go badly are noted, not raised
            raise failures.exceptions[0] from None
        finally:
            cancel.cancel()
            await asyncio.gather(cancel, return_exceptions=True)
        await run.change(self._with_runs)

    async def _turn(self, run: RolloutRun, group: asyncio.TaskGroup) -> None:
        """Decide once, do it, and wait until it is time to decide again."""
        await self._leave_out_changed(run)
        made: list[tuple[RolloutState, Decision]] = []
        waited = run.rollout.message

        def deciding(rollout: Rollout) -> Rollout:  # while nobody else writes: a word of somebody's is not overtaken
            decision = self._decision(rollout)
            made.append((rollout.state, decision))
            same = not decision.acts and decision.state is rollout.state
            same = same and self._message(rollout, decision) == rollout.message
            return rollout if same else self._decided(rollout, decision)

        await run.change(deciding)
        ((before, decision),) = made
        for name in (*decision.start, *decision.undo):
            group.create_task(self._move(run, name))
        if decision.acts or decision.state is not before:
            await self._tell(run, decision, before)
        elif decision.state not in ENDED:
            if decision.opens is not None and run.rollout.message != waited:
                await self._events.emit("rollout.waiting", f"rollouts/{run.rollout.id}", run.rollout.message)
            await self._wait(run, decision.until)

    @staticmethod
    def _message(rollout: Rollout, decision: Decision) -> str:
        """Return why it is paused, ends or waits; one that goes on says nothing."""
        if decision.breach or decision.state is not RolloutState.RUNNING:
            return decision.breach or rollout.message
        return record.told_closed(decision.opens)

    def _decision(self, rollout: Rollout) -> Decision:
        windows, now = rollout.spec.policy.maintenance, self._clock.now()
        return decide(
            rollout.spec.policy,
            rollout.state,
            rollout.steps,
            self._health(rollout),
            now=now,
            deadline=rollout.deadline,
            opens=maintenance.next_opening(windows, now) if windows else 0.0,
        )

    def _decided(self, rollout: Rollout, decision: Decision) -> Rollout:
        failed = {verdict.name: verdict.message for verdict in decision.failed}
        begun, back, passed = set(decision.start), set(decision.undo), set(decision.passed)
        now = self._clock.now()

        def decided(step: Step) -> Step:
            if step.name in failed:
                step = record.unhealthy(step, failed[step.name])
            if step.name in passed:
                step = msgspec.structs.replace(step, state=MemberState.DONE)
            if step.name in begun:
                step = msgspec.structs.replace(step, state=MemberState.CHANGING, began=now, operation="")
            if step.name in back:
                step = msgspec.structs.replace(step, state=MemberState.UNDOING, operation="")
            return step

        return msgspec.structs.replace(
            rollout,
            state=decision.state,
            steps=tuple(decided(step) for step in rollout.steps),
            message=self._message(rollout, decision),
        )

    async def _tell(self, run: RolloutRun, decision: Decision, before: RolloutState) -> None:
        target, told = f"rollouts/{run.rollout.id}", record.summary(run.rollout)
        phase = run.handle.operation.phase
        if decision.start:
            wave = run.of(decision.start[0]).wave
            phase = f"wave {wave}" if wave != CANARIES else "canaries"
        if phase == run.handle.operation.phase:
            run.handle.note(message=told)
        else:
            await run.handle.phase(phase, told)
        for verdict in decision.failed:
            await self._events.emit("rollout.failed", target, f"{verdict.name}: {verdict.message}")
        if decision.breach:
            await self._events.emit(f"rollout.{decision.state}", target, decision.breach)
        elif decision.state is not before:
            await self._events.emit(f"rollout.{decision.state}", target, told)

    async def _wait(self, run: RolloutRun, until: float | None) -> None:
        """Wait for news, or until it is time to look again."""
        soaks = any(step.state is MemberState.SOAKING for step in run.rollout.steps)
        pauses = [_LOOK] if soaks else []
        if until is not None:
            pauses.append(max(until - self._clock.now(), 0.0))
        news = asyncio.ensure_future(run.news.wait())
        waits: set[asyncio.Future[Any]] = {news}
        if pauses:
            waits.add(asyncio.ensure_future(self._clock.sleep(min(pauses))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    # -- one jail

    async def _move(self, run: RolloutRun, name: str) -> None:
        """Change a jail as its step says: to its target, or back."""
        step = run.of(name)
        back = step.state is MemberState.UNDOING
        try:
            entry = self._inventory.owned(name, Intent.CHANGE)
            wanted, number = (step.before, step.number) if back else (step.target, step.target_number)
            if layer_of(entry.generation, run.rollout.axis) == wanted:  # somebody, or a daemon before this one, did it
                await self._settle(run, name, None)
                return
            older = (await self._inventory.generations(entry.entry)).get(number)
            change = change_to(wanted, run.rollout.axis, entry.generation, older)
            # By its own id: one that was accepted, and not noted any more, is not asked for twice.
            request = f"{run.rollout.id}-{name}-{change.kind}-{step.state}-{step.attempts}"
            caller = msgspec.structs.replace(run.rollout.on_behalf, request_id=request)
            operation = await self._jails.change(name, change, caller=caller)
        except JaildError as error:
            await self._missed(run, name, failure_of(error))
            return
        await run.note(name, lambda step: msgspec.structs.replace(step, operation=operation.id))
        await self._settle(run, name, await self._operations.wait(operation.id))

    async def _found(self, run: RolloutRun, step: Step) -> None:
        """See what became of a change that was begun before: it goes on, or the jail's generation says how it ended."""
        known = {operation.id: operation for operation in self._operations.list()}
        if step.operation in known and not known[step.operation].done:
            await self._settle(run, step.name, await self._operations.wait(step.operation))
            return
        entry = self._inventory.jails.get(step.name)
        generation = entry.generation if entry is not None else None
        wanted = step.before if step.state is MemberState.UNDOING else step.target
        if generation is not None and layer_of(generation, run.rollout.axis) == wanted:
            await self._settle(run, step.name, known.get(step.operation))
        elif step.operation in known and (failure := known[step.operation].failure) is not None:
            await self._missed(run, step.name, failure)
        else:  # it was not asked for, or is forgotten
            await run.step(step.name, record.anew)

    async def _settle(self, run: RolloutRun, name: str, operation: Operation | None) -> None:
        """Note where a jail is now that its change has ended."""
        step, entry = run.of(name), self._inventory.jails.get(name)
        back = step.state is MemberState.UNDOING
        layer = layer_of(entry.generation, run.rollout.axis) if entry is not None and entry.generation else ""
        downtime = operation.downtime if operation is not None else None
        if layer == (step.before if back else step.target):
            now = self._clock.now()
            await run.step(
                name, lambda step: record.returned(step, downtime) if back else record.arrived(step, downtime, now)
            )
        elif operation is not None and operation.failure is not None:
            await self._missed(run, name, operation.failure, downtime)
        else:
            await run.step(name, lambda step: record.gone(step, f"it is on {layer or 'nothing'} by now"))

    async def _missed(self, run: RolloutRun, name: str, failure: Failure, downtime: float | None = None) -> None:
        now, back = self._clock.now(), run.of(name).state is MemberState.UNDOING
        told = {"downtime_back" if back else "downtime": downtime}
        await run.step(name, lambda step: msgspec.structs.replace(record.missed(step, failure, now, back=back), **told))
        step = run.of(name)
        if step.state in {MemberState.FAILED, MemberState.STUCK}:
            kind = "rollout.failed" if step.state is MemberState.FAILED else "rollout.stuck"
            await self._events.emit(kind, f"rollouts/{run.rollout.id}", f"{name}: {step.reason}: {step.message}")

    async def _leave_out_changed(self, run: RolloutRun) -> None:
        """Leave jails alone that are no longer this host's, or that somebody else moved on the same axis."""
        changed = dict(self._changed(run.rollout))
        if changed:
            await run.change(
                lambda rollout: msgspec.structs.replace(
                    rollout,
                    steps=tuple(
                        record.gone(step, changed[step.name]) if step.name in changed else step
                        for step in rollout.steps
                    ),
                )
            )

    def _changed(self, rollout: Rollout) -> Iterable[tuple[str, str]]:
        for step in rollout.steps:
            if step.state not in _HELD:
                continue
            try:
                owned = self._inventory.owned(step.name, Intent.CHANGE)
            except JaildError as error:
                if record.is_gone(error.reason):  # not one that is being migrated, say
                    yield step.name, error.message
                continue
            layer = layer_of(owned.generation, rollout.axis)
            if step.state is MemberState.SOAKING and layer != step.target:
                yield step.name, f"it is on {layer} by now"

    # -- how jails are

    def _health(self, rollout: Rollout) -> Mapping[str, Health]:
        return {
            step.name: _health(self._jails.get(step.name))
            for step in rollout.steps
            if step.state is MemberState.SOAKING
        }

    def _with_runs(self, rollout: Rollout) -> Rollout:
        steps = tuple(msgspec.structs.replace(step, runs=self.runs(step.name)) for step in rollout.steps)
        return msgspec.structs.replace(rollout, steps=steps)

    def runs(self, name: str) -> Runs | None:
        """Return what a jail is on; None if it is not this host's."""
        entry = self._inventory.jails.get(name)
        if entry is None or entry.generation is None or not self._inventory.may(entry, Intent.RUN_ON):
            return None
        generation = entry.generation
        stack = self._inventory.stack(generation.base, generation.release)
        return Runs(
            generation=generation.number,
            base=generation.base,
            base_guid=stack.base.guid,
            base_sha256=stack.base.record.sha256,
            release=generation.release,
            release_guid=stack.release.guid if stack.release is not None else 0,
            release_sha256=stack.release.record.sha256 if stack.release is not None else "",
        )

    async def _heed_cancel(self, run: RolloutRun) -> None:
        """When it is asked for, begin nothing more."""
        async for operation in self._operations.watch(run.handle.id):
            if operation.cancel_requested:
                await run.change(_cancelled)


def _cancelled(rollout: Rollout) -> Rollout:
    if rollout.state not in {RolloutState.RUNNING, RolloutState.PAUSED}:
        return rollout
    message = rollout.message if rollout.state is RolloutState.PAUSED else ""
    return msgspec.structs.replace(rollout, state=RolloutState.CANCELLING, message=message)


def _health(view: JailView) -> Health:
    """Return how a jail that moved is: by its liveness checks if its spec has any, else by whether it runs."""
    match view.state:
        case JailState.RUNNING if view.health is None:
            return Health(since=view.started)
        case JailState.RUNNING if view.health is not None and view.health.state is Liveness.HEALTHY:
            return Health(since=max(view.started, view.health.since))
        case JailState.STOPPED if view.record is not None and view.record.desired is Desired.STOPPED:
            return Health(since=0.0)  # it is not to run: there is nothing to watch
        case JailState.FAILED if view.restarts is None and view.generation is not None and view.generation.spec.restart:
            return Health()  # what its policy says of its end is not known yet; of one that is started again: STARTING
        case JailState.FAILED | JailState.CRASH_LOOP:
            return Health(over=view.message)  # none: it did not end, somebody is about to start it
    return Health()
