"""Evacuating this host: what operators may ask, and what goes on after a restart.

    accepted ─► drain ─► plan ─► move … ─► done | incomplete | cancelled
                  └── a daemon that ends anywhere here leaves the operation open; its successor goes on ──┘

An evacuation has no queue of its own: each jail moves in that jail's queue, as if somebody had asked for it.
"""

from __future__ import annotations

import asyncio
import builtins
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.drain import HINT
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.evacuation.worker import EvacuationRun, EvacuationWorker
from jaild.model import quantity
from jaild.model.errors import (
    AbortedError,
    CancelledError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
)
from jaild.model.evacuation.placement import Guest, Need, Placements, Room, place
from jaild.model.evacuation.plan import moves_of, plan_of
from jaild.model.evacuation.record import CANCELLED, KIND, Evacuation, EvacuationPhase, JailMove, MoveState, summary
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Generation, JailRecord, Ownership
from jaild.model.migration.protocol import HostHello, Offer
from jaild.model.migration.streams import PROTOCOL
from jaild.model.operation import Operation
from jaild.model.problems import Problem, Severity
from jaild.model.views import Caller, Drain
from jaild.transfer.hosts import apart
from jaild.transfer.preflight import offer_of
from jaild.transfer.sole_owner import SoleOwner

HOST = "host"  # target of its operation: one at a time
KEPT = 20  # evacuations that are over; older ones are forgotten
MOST_AT_ONCE = 32
_AT_ONCE = 4  # questions to peers


@dataclass(frozen=True)
class _Survey:
    """The plan, and the jails that cannot be planned for: each as a move that is over."""

    placements: Placements
    left_out: tuple[JailMove, ...]


class Evacuations:
    """The evacuations of this host."""

    def __init__(self, engine: Engine, sole: SoleOwner, worker: EvacuationWorker) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._runtime = engine.ports.runtime
        self._peers = engine.ports.peers
        self._store = engine.ports.store
        self._draining = engine.draining
        self._sole = sole
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
        under_way = {operation.id for operation in self._operations.list() if not operation.done}
        for evacuation in list(self._all.values()):
            # The daemon died, or the disk was full, between two writes: of its end, or of its being accepted.
            if not evacuation.finished and evacuation.id not in under_way:
                await self.put(msgspec.structs.replace(evacuation, finished=self._clock.now()))

    def get(self, evacuation: str) -> Evacuation:
        """Return one as it is now. `NotFoundError` (EVACUATION_NOT_FOUND)."""
        try:
            found = self._all[evacuation]
        except KeyError:
            raise NotFoundError(
                "EVACUATION_NOT_FOUND",
                f"this host knows of no evacuation {evacuation}",
                hint=f"list them: jailctl host evacuation; the last {KEPT} are kept",
                resource=f"evacuations/{evacuation}",
            ) from None
        return self._worker.as_of_now(found)

    def list(self) -> builtins.list[Evacuation]:
        """Return all, newest first."""
        return sorted(map(self.get, self._all), key=lambda evacuation: -evacuation.created)

    async def drain(self, reason: str, *, validate_only: bool = False, caller: Caller) -> Drain:
        """Take no jails any more, or only say how that would be."""
        if validate_only:
            return self._draining.begun(reason, caller)
        return await self._draining.begin(reason, caller)

    async def undrain(self, *, validate_only: bool = False, caller: Caller) -> None:
        """Take jails again, or only check.

        `FailedPreconditionError` (EVACUATION_UNDER_WAY) while they are being moved away.
        """
        self._require_none("take jails again")
        if not validate_only:
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
        duplicate = await self._operations.duplicate(caller, KIND, HOST)
        if duplicate is not None:
            return duplicate
        self._require_possible(targets, parallel, bandwidth)
        self._require_none("evacuate")
        if validate_only:
            survey = await self._survey(targets)
            return await self._operations.planned(plan_of(survey.placements, survey.left_out, HOST), caller)
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
            raise InvalidArgumentError("TARGET_MISSING", "no target is named", hint="name one or more peers")
        if not 1 <= parallel <= MOST_AT_ONCE or bandwidth < 0:
            raise InvalidArgumentError(
                "INVALID_EVACUATION",
                f"{parallel} moves at once with {quantity.size(bandwidth)} per second",
                hint=f"1 to {MOST_AT_ONCE} moves, and 0 (no cap) or more bytes per second",
            )
        for target in targets:
            self._peers.get(target)

    def _require_none(self, wish: str) -> None:
        running = next((e for e in self._all.values() if not e.finished), None)
        if running is not None:
            raise FailedPreconditionError(
                "EVACUATION_UNDER_WAY",
                f"cannot {wish}: operations/{running.id} is evacuating this host ({summary(running)})",
                hint=f"wait for it, or cancel it: jailctl operation cancel {running.id}",
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

    def continued(self, unfinished: Sequence[Operation]) -> frozenset[str]:
        """Return the ids of the operations that only this room ends."""
        return frozenset(operation.id for operation in unfinished if operation.kind == KIND)

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
                hint="this is a defect of jaild: report it with the daemon's log, then evacuate again",
            )
        await self._end(evacuation_id, error)

    async def _evacuated(self, evacuation_id: str) -> JaildError | None:
        handle = Handle(self._operations, evacuation_id)
        evacuation = self._all[evacuation_id]
        await handle.phase(EvacuationPhase.DRAIN, "this host takes no jails any more")
        if self._draining.now is None:  # else whoever drained it has said why
            await self._draining.begin("evacuation", Caller(actor=evacuation.actor))
        if not evacuation.planned:
            await handle.phase(EvacuationPhase.PLAN, f"asking {', '.join(evacuation.targets)}")
            survey = await self._survey(evacuation.targets)
            handle.note(plan=plan_of(survey.placements, survey.left_out, HOST))
            moves = moves_of(survey.placements, survey.left_out)
            await self.put(msgspec.structs.replace(evacuation, planned=True, moves=moves))
            await self._events.emit("evacuation.planned", HOST, f"jails: {len(moves)}", evacuation=evacuation_id)
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

    # -- what a plan is made from: the jails here, the room of other hosts, and what these say to each jail

    async def _survey(self, targets: Sequence[str]) -> _Survey:
        """Plan where every jail of this host goes, asking around. `NotFoundError` (PEER_UNKNOWN)."""
        for target in targets:
            self._peers.get(target)
        rooms = await asyncio.gather(*(self._room(target) for target in targets))
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def look_at(entry: JailEntry) -> Guest | JailMove:
            async with at_once:
                try:
                    return await self._guest(entry)
                except JaildError as error:
                    return _left_out(entry, error)

        here = sorted(self._inventory.jails.values(), key=lambda entry: entry.name)
        left = [e for e in here if e.record is not None and e.record.state is Ownership.MOVED]
        found = await asyncio.gather(*(look_at(entry) for entry in here if entry not in left))
        guests = [each for each in found if isinstance(each, Guest)]
        left_out = [each for each in found if isinstance(each, JailMove)]
        reachable = [room.host for room in rooms if room.problem is None]
        needs: dict[tuple[str, str], Need] = {}

        async def ask(jail: str) -> None:
            async with at_once:
                needs.update(await self._needs(jail, reachable))

        await asyncio.gather(*(ask(guest.jail) for guest in guests))
        return _Survey(place(guests, rooms, needs), tuple(left_out))

    async def _room(self, target: str) -> Room:
        try:
            hello = await self._peers.get(target).hello(self._inventory.host_id, self._inventory.host_name, PROTOCOL)
        except JaildError as error:
            return Room(host=target, problem=_problem(error))
        return Room(
            host=target,
            space=hello.available_bytes,
            memory_total=hello.memory_total_bytes,
            memory_free=hello.memory_free_bytes,
            memory_promised=hello.memory_promised_bytes,
            cpus=hello.cpus,
            apart=hello.apart,
            problem=self._problem(target, hello),
        )

    def _problem(self, target: str, hello: HostHello) -> Problem | None:
        if hello.protocol != PROTOCOL:
            message = f"{target} speaks peer protocol {hello.protocol}, this host {PROTOCOL}"
            return _error("PROTOCOL_MISMATCH", message, "bring both hosts to the same jaild")
        if hello.host_id == self._inventory.host_id:
            return _error("SAME_HOST", f"{target} is this host", "name another peer")
        if hello.draining:
            return _error("HOST_DRAINING", f"{target} takes no jails: it is being drained itself", HINT)
        return None

    def _ready(self, jail: str) -> tuple[JailEntry, JailRecord, Generation]:
        owned = self._inventory.owned(jail, Intent.MIGRATE)
        return owned.entry, owned.record, owned.generation

    async def _guest(self, entry: JailEntry) -> Guest:
        await self._sole.require(entry.name)
        spec = self._ready(entry.name)[2].spec
        used = None
        if entry.run is not None and entry.run.running:
            used = (await self._runtime.usage(entry.name, entry.run.generation)).memory
        return Guest(
            jail=entry.name,
            priority=spec.placement.priority,
            memory_limit=quantity.parse(spec.limits.memory) if spec.limits.memory else 0,
            memory_used=used,
            cpus=spec.limits.cpus,
            apart=apart(spec),
        )

    async def _needs(self, jail: str, targets: Sequence[str]) -> dict[tuple[str, str], Need]:
        """Return what the jail would bring to each host, and what that says; a host that fails to answer refuses it."""
        try:
            offered = await offer_of(self._inventory, self._zfs, *self._ready(jail))
        except JaildError as error:
            return {(jail, target): _refusing(_problem(error)) for target in targets}
        offer = Offer(
            migration=uuid.uuid4().hex,
            source_id=self._inventory.host_id,
            source_name=self._inventory.host_name,
            jail=offered,
        )
        return {(jail, target): await self._need(offer, target) for target in targets}

    async def _need(self, offer: Offer, target: str) -> Need:
        try:
            acceptance = await self._peers.get(target).preflight(offer)
        except JaildError as error:
            return _refusing(_problem(error))
        there = {state.path for state in acceptance.datasets if state.snapshot_guids}
        sizes = {layer.path: layer.size_bytes for layer in offer.jail.layers}
        return Need(
            data=sum(dataset.size_bytes for dataset in offer.jail.datasets if dataset.path not in there),
            layers={path: sizes.get(path, 0) for path in acceptance.missing_layers},
            problems=acceptance.problems,
        )


def _verdict(evacuation: Evacuation, *, cancelled: bool) -> JaildError | None:
    """Return why it is not simply done; None if it is."""
    stay = [move.jail for move in evacuation.moves if move.stays]
    unhealthy = [move.jail for move in evacuation.moves if move.state is MoveState.UNHEALTHY]
    if cancelled and stay:
        return CancelledError(
            CANCELLED,
            f"the evacuation was cancelled: {summary(evacuation)}; still here: {', '.join(stay)}",
            hint="the host stays drained: evacuate again to go on, or let it take jails again: jailctl host undrain",
            resource=f"evacuations/{evacuation.id}",
        )
    if not stay and not unhealthy:
        return None
    told = [f"still here: {', '.join(stay)}"] if stay else []
    told += [f"not healthy where they went: {', '.join(unhealthy)}"] if unhealthy else []
    return AbortedError(
        "EVACUATION_INCOMPLETE",
        f"{summary(evacuation)}; {'; '.join(told)}",
        hint=f"see each jail's reason and hint: jailctl host evacuation {evacuation.id}; then evacuate again",
        resource=f"evacuations/{evacuation.id}",
    )


def _left_out(entry: JailEntry, error: JaildError) -> JailMove:
    # A jail that another host is moving here, or that is on its way out already, is not this evacuation's to move.
    state = MoveState.FAILED if entry.record is None else MoveState.SKIPPED
    return JailMove(jail=entry.name, state=state, reason=error.reason, message=error.message, hint=error.hint)


def _refusing(problem: Problem) -> Need:
    return Need(problems=(problem,))


def _problem(error: JaildError) -> Problem:
    return _error(error.reason, error.message, error.hint)


def _error(code: str, message: str, hint: str) -> Problem:
    return Problem(severity=Severity.ERROR, code=code, message=message, hint=hint)
