"""Rollouts on this host: what the source team and product teams may ask, and what goes on after a restart.

A rollout has no queue of its own: each jail is changed in that jail's queue, as if somebody had asked for it.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterator, Sequence

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import Reference
from jaild.engine.operations import Handle
from jaild.jails.service import Jails
from jaild.model import access, quantity
from jaild.model.errors import (
    AbortedError,
    CancelledError,
    FailedPreconditionError,
    InternalError,
    JaildError,
    NotFoundError,
)
from jaild.model.jails.change import Axis
from jaild.model.operation import Operation
from jaild.model.problems import Problem, Severity
from jaild.model.rollouts import policy as policies
from jaild.model.rollouts import record
from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.policy import RolloutPolicy
from jaild.model.rollouts.record import KIND, Rollout, RolloutSpec, change_to, summary
from jaild.model.views import Caller
from jaild.rollouts.planner import RolloutPlanner
from jaild.rollouts.worker import RolloutRun, RolloutWorker

HOST = "host"  # target of its operation
KEPT = 50  # rollouts that are over; older ones are forgotten
_TOLD = 5  # how many jails an error names
_ACTIVE = (RolloutState.RUNNING, RolloutState.PAUSED)
_UNDOABLE = (*_ACTIVE, RolloutState.CANCELLING, RolloutState.UNDOING)  # before it is over


class Rollouts:
    """The rollouts of this host."""

    def __init__(self, engine: Engine, jails: Jails, planner: RolloutPlanner, worker: RolloutWorker) -> None:
        self._inventory = engine.inventory
        self._store = engine.ports.store
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._jails = jails
        self._planner = planner
        self._worker = worker
        self._all: dict[str, Rollout] = {}
        self._on_disk: dict[str, Rollout] = {}
        self._runs: dict[str, RolloutRun] = {}
        self._log = structlog.get_logger("jaild.rollouts")

    async def load(self) -> None:
        """Read the store, after that of the operations."""
        self._all = {rollout.id: rollout for rollout in await self._store.rollouts()}
        under_way = {operation.id for operation in self._operations.list() if not operation.done}
        for rollout in list(self._all.values()):
            if not rollout.over and rollout.id not in under_way:  # it ended, or was not accepted, between two writes
                await self.put(msgspec.structs.replace(rollout, finished=self._clock.now()))

    def get(self, rollout: str) -> Rollout:
        """Return one as it is now. `NotFoundError` (ROLLOUT_NOT_FOUND)."""
        try:
            return self._all[rollout]
        except KeyError:
            raise NotFoundError(
                "ROLLOUT_NOT_FOUND",
                f"this host knows of no rollout {rollout}",
                hint=f"list them: jailctl rollout ls; the last {KEPT} are kept",
                resource=f"rollouts/{rollout}",
            ) from None

    def list(self) -> builtins.list[Rollout]:
        """Return all, newest first."""
        return sorted(self._all.values(), key=lambda rollout: -rollout.created)

    def needs(self) -> Iterator[Reference]:
        """Yield the layers that rollouts which are not over move jails to, or may have to take them back to."""
        for rollout in self._all.values():
            if rollout.over:
                continue
            layers = {rollout.target, *(name for step in rollout.steps for name in (step.before, step.target))} - {""}
            for layer in sorted(layers):
                base, release = (layer, "") if rollout.axis is Axis.BASE else ("", layer)
                yield base, release, f"rollouts/{rollout.id}"

    async def plan(self, spec: RolloutSpec, *, caller: Caller) -> Rollout:
        """Return what a rollout, or an undo, would do; it is not kept. Errors as those of `start` and `undo`."""
        undone = self._undone(spec)
        rollout = self._aimed("", spec, caller, undone)
        if undone is not None and not undone.over:
            self._require_steerable(undone, RolloutState.UNDOING, _UNDOABLE)
            if not any(step.moved for step in undone.steps):
                return rollout
        planned = await self._planner.plan(rollout, undone)
        self._require_apart(planned)
        return planned

    async def start(self, spec: RolloutSpec, *, caller: Caller) -> Operation:
        """Begin one: its operation plans it, which may refuse it, and carries it out.

        `InvalidArgumentError` (INVALID_ROLLOUT), `NotFoundError` for what is not here.
        """
        duplicate = await self._operations.duplicate(caller, KIND, HOST)
        if duplicate is not None:
            return duplicate
        undone = self._undone(spec)
        if undone is not None and not undone.over:
            hint = f"jailctl rollout undo {undone.id} takes back what it moved"
            raise self._not_now(undone, "one that is over can be undone by another", hint)
        rollout = self._aimed("", spec, caller, undone)
        operation = self._operations.new(KIND, HOST, caller)
        rollout = msgspec.structs.replace(rollout, id=operation.id)
        self._all[rollout.id] = rollout
        # Shielded: a caller who hangs up while it is written does not leave it half accepted.
        await asyncio.shield(self._accept(rollout))
        return self._operations.get(operation.id)

    async def pause(self, rollout: str, *, validate_only: bool = False, caller: Caller) -> Rollout:
        """Begin nothing more; what has begun ends. No error if it is so. `validate_only`: return it as it would be."""
        return await self._steer(rollout, caller, RolloutState.PAUSED, _ACTIVE, validate_only=validate_only)

    async def resume(self, rollout: str, *, validate_only: bool = False, caller: Caller) -> Rollout:
        """Go on. What failed before counts no more, and the deadline begins anew. No error if it goes on.

        `validate_only`: return it as it would be.
        """
        return await self._steer(rollout, caller, RolloutState.RUNNING, _ACTIVE, validate_only=validate_only)

    async def cancel(self, rollout: str, *, validate_only: bool = False, caller: Caller) -> Rollout:
        """Begin nothing more, and end when what has begun has ended; what moved stays. No error if it is over.

        `validate_only`: return it as it would be.
        """
        known = self.get(rollout)
        self._may_steer(known, caller)
        if not known.planned and not known.over:
            raise self._not_now(
                known, "it is not known yet whose jails they are", f"jailctl operation cancel {rollout}"
            )
        if validate_only:
            return known if known.over else msgspec.structs.replace(known, state=RolloutState.CANCELLING)
        await self._operations.cancel(known.id, caller)
        return self.get(rollout)

    async def undo(self, rollout: str, *, caller: Caller) -> Operation:
        """Take back what moved, on its axis alone. One that is over is undone by a rollout of its own.

        What the caller accepts is accepted of what jails are taken back to.
        """
        known = self.get(rollout)
        if known.over:
            spec = RolloutSpec(undoes=known.id, leave_out_refused=True, accepted=caller.accepted)
            return await self.start(spec, caller=caller)
        await self._steer(rollout, caller, RolloutState.UNDOING, _UNDOABLE)
        return self._operations.get(rollout)

    async def _steer(
        self,
        rollout: str,
        caller: Caller,
        to: RolloutState,
        of: tuple[RolloutState, ...],
        *,
        validate_only: bool = False,
    ) -> Rollout:
        known = self.get(rollout)
        self._may_steer(known, caller)
        self._require_steerable(known, to, of)
        heard: list[bool] = []

        def steered(now: Rollout) -> Rollout:
            heard.append(now.state in of)
            if now.state not in of or now.state is to:  # it ended meanwhile, or came there by itself
                return now
            if to is RolloutState.RUNNING:
                return record.forgiven(now, self._clock.now())
            spec = msgspec.structs.replace(now.spec, accepted=(*now.spec.accepted, *caller.accepted))
            return msgspec.structs.replace(now, state=to, spec=spec, message=f"{to} by {caller.actor}")

        if validate_only:
            return steered(known)
        await asyncio.shield(self._run(rollout).change(steered))
        if not all(heard):
            raise self._not_now(self.get(rollout), f"it cannot become {to}", f"jailctl rollout show {rollout}")
        await self._events.emit(f"rollout.{to}", f"rollouts/{rollout}", f"by {caller.actor}", actor=caller.actor)
        return self.get(rollout)

    def _require_steerable(self, known: Rollout, to: RolloutState, of: tuple[RolloutState, ...]) -> None:
        if known.over or not known.planned or known.state not in of:
            raise self._not_now(known, f"it cannot become {to}", f"see how it stands: jailctl rollout show {known.id}")

    # -- what is accepted

    def _aimed(self, rollout_id: str, spec: RolloutSpec, caller: Caller, undone: Rollout | None) -> Rollout:
        record.require(spec)
        policies.require(spec.policy)
        if undone is not None and spec.policy == RolloutPolicy():  # none is given: as they came, at once
            policy = msgspec.structs.replace(undone.spec.policy, canaries=0, waves=(), deadline=0.0, maintenance=())
            spec = msgspec.structs.replace(spec, policy=policy)
        on_behalf = msgspec.structs.replace(caller, request_id="", accepted=())
        rollout = Rollout(id=rollout_id, spec=spec, caller=on_behalf, created=self._clock.now())
        aimed = self._planner.aim(rollout, undone)
        if undone is not None:
            self._may_steer(undone, caller)
        return aimed

    def _undone(self, spec: RolloutSpec) -> Rollout | None:
        return self.get(spec.undoes) if spec.undoes else None

    @staticmethod
    def _not_now(rollout: Rollout, why: str, hint: str) -> FailedPreconditionError:
        state = rollout.state if rollout.planned or rollout.over else "being planned"
        message = f"rollout {rollout.id} is {state}: {why}"
        return FailedPreconditionError("ROLLOUT_STATE", message, hint=hint, resource=f"rollouts/{rollout.id}")

    def _may_steer(self, rollout: Rollout, caller: Caller) -> None:
        """Raise `PermissionDeniedError` unless the caller may change the axis of each of its jails."""
        for step in rollout.steps:
            entry = self._inventory.jails.get(step.name)
            if entry is not None and entry.generation is not None:
                change = change_to(step.target, rollout.axis, entry.generation, None)
                access.require_change(caller, step.name, entry.generation, change)

    async def _accept(self, rollout: Rollout) -> None:
        try:
            await self.put(rollout)  # first: an operation without it would be ended at the next start
            await self._operations.save(rollout.id)
        except JaildError as error:
            self._all.pop(rollout.id, None)
            await self._operations.finish(rollout.id, error=error)
            raise
        self._go(rollout.id)
        await self._forget_oldest()

    async def put(self, rollout: Rollout) -> None:
        """Remember; on disk when this returns."""
        since = self._on_disk.pop(rollout.id, None)  # not known any more if this fails: it may have been written
        await self._store.put_rollout(rollout, since)
        self._all[rollout.id] = rollout
        if not rollout.over:
            self._on_disk[rollout.id] = rollout

    async def _forget_oldest(self) -> None:
        over = sorted((each for each in self._all.values() if each.over), key=lambda each: each.created)
        for rollout in over[:-KEPT]:
            self._all.pop(rollout.id, None)
            await self._store.delete_rollout(rollout.id)

    # -- what goes on

    def continued(self, unfinished: Sequence[Operation]) -> frozenset[str]:
        """Return the ids of the operations that only this room ends."""
        return frozenset(operation.id for operation in unfinished if operation.kind == KIND)

    def resume_all(self) -> None:
        """Go on with what a daemon before this one had begun."""
        for rollout in self._all.values():
            if not rollout.over:
                self._go(rollout.id)

    def _go(self, rollout_id: str) -> None:
        # A paused one may last for weeks.
        self._supervisor.retry(
            f"rollout {rollout_id}", lambda: self._carry_out(rollout_id), target=f"rollouts/{rollout_id}", lasting=True
        )

    async def _carry_out(self, rollout_id: str) -> None:
        if self._operations.get(rollout_id).done:  # only its end could not be written down
            await self._operations.save(rollout_id)
            await self.put(msgspec.structs.replace(self._all[rollout_id], finished=self._clock.now()))
            return
        try:
            error = await self._rolled_out(rollout_id)
        except JaildError as failure:
            if self._all[rollout_id].planned:
                raise  # of the store: the supervisor tries again, and what has begun is found by the generations
            error = failure
        except Exception as defect:  # noqa: BLE001 -- told as the operation's failure; nobody else awaits this task
            self._log.exception("rollout died of a defect", rollout=rollout_id)
            error = InternalError(
                "INTERNAL",
                f"the rollout died: {type(defect).__name__}: {defect}",
                hint="this is a defect of jaild: report it with the daemon's log, then roll out again",
            )
        await self._end(rollout_id, error)

    def _run(self, rollout_id: str) -> RolloutRun:
        """Return what a rollout that is planned is carried out through, and told by."""
        if rollout_id not in self._runs:
            handle = Handle(self._operations, rollout_id)
            self._runs[rollout_id] = RolloutRun(handle, self._all[rollout_id], self.put)
        return self._runs[rollout_id]

    async def _rolled_out(self, rollout_id: str) -> JaildError | None:
        handle, rollout = Handle(self._operations, rollout_id), self._all[rollout_id]
        if not rollout.planned:
            await handle.phase("plan", "each jail's own plan")
            planned = await self._planner.plan(rollout, self._undone(rollout.spec))
            planned = msgspec.structs.replace(planned, steps=tuple(map(record.kept, planned.steps)))
            self._all[rollout_id] = planned  # also if it is refused: its steps say why
            self._require_acceptable(planned)
            seconds = planned.spec.policy.deadline
            deadline = self._clock.now() + seconds if seconds else None
            await self.put(msgspec.structs.replace(planned, planned=True, deadline=deadline))
            moving = sum(step.state is MemberState.WAITING for step in planned.steps)
            told = f"{quantity.count(moving, 'jail')} to {planned.target or 'where they were'}"
            await self._events.emit("rollout.planned", f"rollouts/{rollout_id}", told)
        run = self._run(rollout_id)
        await self._worker.carry_out(run)
        return _verdict(run.rollout)

    def _require_acceptable(self, planned: Rollout) -> None:
        """Refuse it if plans of jails are, unless these may be left out; or if another rollout has one of its jails."""
        refused = [step for step in planned.steps if step.state is MemberState.REFUSED]
        if refused and (not planned.spec.leave_out_refused or len(refused) == len(planned.steps)):
            named = ", ".join(f"{step.name} ({step.reason})" for step in refused[:_TOLD])
            more = f" and {len(refused) - _TOLD} more" if len(refused) > _TOLD else ""
            raise FailedPreconditionError(
                "ROLLOUT_REFUSED",
                f"the plans of {named}{more} are refused",
                hint="fix them, choose other jails, or leave them out: --leave-out-refused",
                problems=tuple(
                    Problem(
                        severity=Severity.ERROR,
                        code=step.reason,
                        message=f"jails/{step.name}: {step.message}",
                        subject=f"jails/{step.name}",
                        hint=step.hint,
                    )
                    for step in refused
                ),
            )
        self._require_apart(planned)

    def _require_apart(self, planned: Rollout) -> None:
        """Raise `FailedPreconditionError` (ROLLOUT_UNDER_WAY) if another one, not the undone, has one of its jails."""
        names, own = {step.name for step in planned.steps}, {planned.id, planned.spec.undoes}
        for other in self._all.values():
            both = names.intersection(step.name for step in other.steps)
            if both and not other.over and other.id not in own:
                raise FailedPreconditionError(
                    "ROLLOUT_UNDER_WAY",
                    f"rollout {other.id} is moving {', '.join(sorted(both)[:_TOLD])}",
                    hint=f"wait for it, or cancel it: jailctl rollout cancel {other.id}",
                    resource=f"rollouts/{other.id}",
                )

    async def _end(self, rollout_id: str, error: JaildError | None) -> None:
        rollout = self._all[rollout_id]
        self._runs.pop(rollout_id, None)
        state = rollout.state if rollout.planned else RolloutState.REFUSED
        ended = msgspec.structs.replace(rollout, state=state, finished=self._clock.now())
        if error is not None:
            ended = msgspec.structs.replace(ended, message=error.message)
        self._all[rollout_id] = ended  # whoever sees the operation done may ask for the next at once
        result = "" if error is not None else f"rollouts/{rollout_id}"
        await self._operations.finish(rollout_id, result=result, error=error)
        await self.put(ended)
        await self._events.emit("rollout.ended", f"rollouts/{rollout_id}", f"{state}: {summary(ended)}")


def _verdict(rollout: Rollout) -> JaildError | None:
    """Return why it is not simply done; None if it is."""
    told, resource = summary(rollout), f"rollouts/{rollout.id}"
    hint = f"see each jail's reason: jailctl rollout show {rollout.id}"
    match rollout.state:
        case RolloutState.DONE:
            return None
        case RolloutState.CANCELLED:
            return CancelledError(
                "OPERATION_CANCELLED", f"the rollout was cancelled: {told}", hint=hint, resource=resource
            )
        case RolloutState.UNDONE:
            return AbortedError("ROLLOUT_UNDONE", f"what moved was taken back: {told}", hint=hint, resource=resource)
    return AbortedError(
        "ROLLOUT_INCOMPLETE", f"not all that moved could be taken back: {told}", hint=hint, resource=resource
    )
