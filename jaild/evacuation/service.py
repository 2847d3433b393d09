"""Evacuating this host: what operators may ask, and what goes on after a restart.

    accepted ─► drain ─► plan ─► move … ─► done | incomplete | cancelled
                  └── a daemon that ends anywhere here leaves the operation open; its successor goes on ──┘

An evacuation has no queue of its own: each jail moves in that jail's queue, as if somebody had asked for it.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Sequence

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.evacuation.survey import Surveyor
from jaild.evacuation.worker import EvacuationRun, EvacuationWorker
from jaild.model.errors import (
    AbortedError,
    CancelledError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
)
from jaild.model.evacuation.plan import moves_of, plan_of
from jaild.model.evacuation.record import CANCELLED, KIND, Evacuation, EvacuationPhase, MoveState, summary
from jaild.model.operation import Operation
from jaild.model.views import Caller

HOST = "host"  # target of its operation: one at a time
KEPT = 20  # evacuations that are over; older ones are forgotten
MOST_AT_ONCE = 32


class Evacuations:
    """The evacuations of this host."""

    def __init__(self, engine: Engine, surveyor: Surveyor, worker: EvacuationWorker) -> None:
        self._peers = engine.ports.peers
        self._store = engine.ports.store
        self._draining = engine.draining
        self._surveyor = surveyor
        self._worker = worker
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._all: dict[str, Evacuation] = {}
        self._log = structlog.get_logger("jaild.evacuations")

    async def load(self) -> None:
        """Read the store, after that of the operations."""
        self._all = {evacuation.id: evacuation for evacuation in await self._store.evacuations()}
        ended = {operation.id for operation in self._operations.list() if operation.done}
        for evacuation in list(self._all.values()):
            if not evacuation.finished and evacuation.id in ended:  # the daemon died between its last two writes
                await self.put(msgspec.structs.replace(evacuation, finished=self._clock.now()))

    def get(self, evacuation: str) -> Evacuation:
        """Return one as it is now. `NotFoundError` (EVACUATION_NOT_FOUND)."""
        try:
            found = self._all[evacuation]
        except KeyError:
            raise NotFoundError(
                "EVACUATION_NOT_FOUND",
                f"this host knows of no evacuation {evacuation}",
                remedy=f"list them; the last {KEPT} are kept",
                resource=f"evacuations/{evacuation}",
            ) from None
        return self._worker.as_of_now(found)

    def list(self) -> builtins.list[Evacuation]:
        """Return all, newest first."""
        return sorted(map(self.get, self._all), key=lambda evacuation: -evacuation.created)

    async def drain(self, reason: str, *, caller: Caller) -> None:
        """Take no jails any more."""
        await self._draining.begin(reason, caller)

    async def undrain(self, *, caller: Caller) -> None:
        """Take jails again. `FailedPreconditionError` (EVACUATION_UNDER_WAY) while they are being moved away."""
        self._require_none("take jails again")
        await self._draining.end(caller)

    async def evacuate(
        self,
        targets: Sequence[str],
        *,
        parallel: int,
        bandwidth: int,
        max_downtime: float,
        proceed_over_budget: bool,
        validate_only: bool,
        caller: Caller,
    ) -> Operation:
        """Drain this host and move its jails to peers, `parallel` at a time, at `bandwidth` bytes per second in all."""
        duplicate = self._operations.duplicate(caller, KIND, HOST)
        if duplicate is not None:
            return duplicate
        self._require_possible(targets, parallel, bandwidth)
        if validate_only:
            survey = await self._surveyor.survey(targets)
            return await self._operations.planned(plan_of(survey.placements, survey.left_out, HOST), caller)
        self._require_none("evacuate")
        operation = self._operations.new(KIND, HOST, caller)
        evacuation = Evacuation(
            id=operation.id,
            targets=tuple(dict.fromkeys(targets)),
            parallel=parallel,
            bandwidth=bandwidth,
            max_downtime=max_downtime,
            proceed_over_budget=proceed_over_budget,
            actor=caller.actor,
            created=self._clock.now(),
        )
        self._all[evacuation.id] = evacuation
        # Shielded: a caller who hangs up while it is written does not leave it half accepted.
        await asyncio.shield(self._accept(evacuation))
        return self._operations.get(operation.id)

    async def _accept(self, evacuation: Evacuation) -> None:
        try:
            await self.put(evacuation)  # first: an operation without it would be ended at the next start
            await self._operations.save(evacuation.id)
        except JaildError as error:
            self._all.pop(evacuation.id, None)
            await self._operations.finish(evacuation.id, error=error)
            raise
        self._go(evacuation.id)
        await self._forget_oldest()

    def _require_possible(self, targets: Sequence[str], parallel: int, bandwidth: int) -> None:
        if not targets:
            raise InvalidArgumentError("TARGET_MISSING", "no target is named", remedy="name one or more peers")
        if not 1 <= parallel <= MOST_AT_ONCE or bandwidth < 0:
            raise InvalidArgumentError(
                "INVALID_EVACUATION",
                f"{parallel} moves at once with {bandwidth} bytes per second",
                remedy=f"1 to {MOST_AT_ONCE} moves, and 0 (no cap) or more bytes per second",
            )
        for target in targets:
            self._peers.get(target)

    def _require_none(self, wish: str) -> None:
        running = next((e for e in self._all.values() if not e.finished), None)
        if running is not None:
            raise FailedPreconditionError(
                "EVACUATION_UNDER_WAY",
                f"cannot {wish}: operations/{running.id} is evacuating this host ({summary(running)})",
                remedy=f"wait for it, or cancel it: jailctl operation cancel {running.id}",
                resource=f"evacuations/{running.id}",
            )

    async def put(self, evacuation: Evacuation) -> None:
        """Remember; on disk when this returns."""
        self._all[evacuation.id] = evacuation
        await self._store.put_evacuation(evacuation)

    async def _forget_oldest(self) -> None:
        over = sorted((e for e in self._all.values() if e.finished), key=lambda e: e.created)
        for evacuation in over[:-KEPT]:
            self._all.pop(evacuation.id, None)
            await self._store.delete_evacuation(evacuation.id)

    def operations(self) -> frozenset[str]:
        """Return the ids of the operations that only this room ends."""
        return frozenset(operation.id for operation in self._operations.list() if operation.kind == KIND)

    def resume(self) -> None:
        """Go on with what a daemon before this one had begun."""
        for evacuation in self._all.values():
            if not evacuation.finished:
                self._go(evacuation.id)

    def _go(self, evacuation_id: str) -> None:
        self._supervisor.retry(f"evacuation {evacuation_id}", lambda: self._carry_out(evacuation_id), target=HOST)

    async def _carry_out(self, evacuation_id: str) -> None:
        if self._operations.get(evacuation_id).done:  # only its end could not be written down
            await self._operations.save(evacuation_id)
            await self.put(self._all[evacuation_id])
            return
        try:
            error = await self._evacuated(evacuation_id)
        except JaildError as failure:
            error = failure
        except Exception as defect:  # noqa: BLE001 -- told as the operation's failure; nobody else awaits this task
            self._log.exception("evacuation died of a defect", evacuation=evacuation_id)
            error = InternalError(
                "INTERNAL",
                f"the evacuation died: {type(defect).__name__}: {defect}",
                remedy="this is a defect of jaild: report it with the daemon's log, then evacuate again",
            )
        await self._end(evacuation_id, error)

    async def _evacuated(self, evacuation_id: str) -> JaildError | None:
        handle = Handle(self._operations, evacuation_id)
        evacuation = self._all[evacuation_id]
        await handle.phase(EvacuationPhase.DRAIN, "this host takes no jails any more")
        await self._draining.begin("evacuation", Caller(actor=evacuation.actor))
        if not evacuation.planned:
            await handle.phase(EvacuationPhase.PLAN, f"asking {', '.join(evacuation.targets)}")
            survey = await self._surveyor.survey(evacuation.targets)
            handle.note(plan=plan_of(survey.placements, survey.left_out, HOST))
            moves = moves_of(survey.placements, survey.left_out)
            await self.put(msgspec.structs.replace(evacuation, planned=True, moves=moves))
            await self._events.emit("evacuation.planned", HOST, f"{len(moves)} jails", evacuation=evacuation_id)
        run = EvacuationRun(handle, self._all[evacuation_id], self.put)
        await self._worker.carry_out(run)
        return _verdict(run.evacuation, cancelled=handle.operation.cancel_requested)

    async def _end(self, evacuation_id: str, error: JaildError | None) -> None:
        evacuation = msgspec.structs.replace(self._all[evacuation_id], finished=self._clock.now())
        self._all[evacuation_id] = evacuation  # whoever sees the operation done may ask for the next at once
        result = "" if error is not None else f"evacuations/{evacuation_id}"
        await self._operations.finish(evacuation_id, result=result, error=error)
        await self.put(evacuation)
        await self._events.emit("evacuation.ended", HOST, summary(evacuation), evacuation=evacuation_id)


def _verdict(evacuation: Evacuation, *, cancelled: bool) -> JaildError | None:
    """Return why it is not simply done; None if it is."""
    stay = [move.jail for move in evacuation.moves if move.stays]
    unhealthy = [move.jail for move in evacuation.moves if move.state is MoveState.UNHEALTHY]
    if cancelled and stay:
        return CancelledError(
            CANCELLED,
            f"the evacuation was cancelled: {summary(evacuation)}; still here: {', '.join(stay)}",
            remedy="the host stays drained: evacuate again to go on, or let it take jails again: jailctl host undrain",
            resource=f"evacuations/{evacuation.id}",
        )
    if not stay and not unhealthy:
        return None
    told = [f"still here: {', '.join(stay)}"] if stay else []
    told += [f"not healthy where they went: {', '.join(unhealthy)}"] if unhealthy else []
    return AbortedError(
        "EVACUATION_INCOMPLETE",
        f"{summary(evacuation)}; {'; '.join(told)}",
        remedy=f"see each jail's reason and remedy: jailctl host evacuation {evacuation.id}; then evacuate again",
        resource=f"evacuations/{evacuation.id}",
    )
