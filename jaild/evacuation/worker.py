"""Carrying out an evacuation: so many moves at a time, each in its jail's own queue, whatever becomes of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.migration.build import MigrationParts
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.model.evacuation.record import (
    CANCELLED,
    Evacuation,
    EvacuationPhase,
    JailMove,
    MoveState,
    ended,
    pause,
    refused,
    summary,
    with_move,
)
from jaild.model.layers.records import Ownership
from jaild.model.operation import Operation, failure_of
from jaild.model.views import Caller
from jaild.transfer.build import TransferParts
from jaild.transfer.sender import RateLimiter

Put = Callable[[Evacuation], Awaitable[None]]


class EvacuationRun:
    """One evacuation under way: its present record, and what waits."""

    def __init__(self, handle: Handle, evacuation: Evacuation, put: Put) -> None:
        self.handle = handle
        self.evacuation = evacuation
        self.stop = asyncio.Event()  # set when it was cancelled
        self.taken: set[str] = set()  # jails that somebody is busy with
        self.at_work = 0  # workers that do not wait for a host which is away
        self._put = put

    async def note(self, move: JailMove) -> None:
        """Take over what became of a move; on disk when this returns."""
        self.evacuation = with_move(self.evacuation, move)
        await self._put(self.evacuation)
        await self.handle.phase(EvacuationPhase.MOVE, summary(self.evacuation))
        self.handle.note(bytes_done=sum(m.bytes for m in self.evacuation.moves))

    def waiting(self) -> list[JailMove]:
        """Return the moves that nobody has taken, in their order; those that were tried already come last."""
        found = [m for m in self.evacuation.moves if m.state is MoveState.WAITING and m.jail not in self.taken]
        return sorted(found, key=lambda move: move.attempts)


class EvacuationWorker:
    """Moves jails for evacuations."""

    def __init__(self, engine: Engine, transfer: TransferParts, migration: MigrationParts) -> None:
        self._inventory = engine.inventory
        self._migrations = migration.migrations
        self._journals = transfer.journals
        self._operations = engine.operations
        self._sender = transfer.sender
        self._clock = engine.ports.clock

    def as_of_now(self, evacuation: Evacuation) -> Evacuation:
        """Return it with what the operations of its running moves have sent by now."""
        for move in evacuation.moves:
            if move.state is MoveState.MOVING and move.operation:
                with suppress(NotFoundError):  # forgotten by a restart
                    running = self._operations.get(move.operation)
                    told = msgspec.structs.replace(
                        move,
                        bytes=running.bytes_done,
                        seconds=running.seconds_at(self._clock.monotonic()),
                        message=f"{running.phase}: {running.message}" if running.message else running.phase,
                    )
                    evacuation = with_move(evacuation, told)
        return evacuation

    async def carry_out(self, run: EvacuationRun) -> None:
        """Return when every move is over, or was given up because the evacuation was cancelled."""
        jails = [move.jail for move in run.evacuation.moves]
        self._sender.hold(jails, RateLimiter(run.evacuation.bandwidth, self._clock))
        try:
            await self._until_over(run)
        finally:
            self._sender.free(jails)

    async def _until_over(self, run: EvacuationRun) -> None:
        for move in run.evacuation.moves:
            if move.state is MoveState.MOVING:
                await run.note(self._found(move))
        run.handle.note(bytes_total=sum(move.expected for move in run.evacuation.moves))
        cancel = asyncio.create_task(self._heed_cancel(run), name="evacuation's cancel")
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(run.evacuation.parallel):
                    group.create_task(self._work(run, group))
        except BaseExceptionGroup as failures:  # of the store: moves that go badly are noted, not raised
            raise failures.exceptions[0] from None
        finally:
            cancel.cancel()
            await asyncio.gather(cancel, return_exceptions=True)
        if run.stop.is_set():
            for move in run.waiting():
                if self._goes_on(move):  # a daemon before this one had begun it
                    await self._cancel(run, move.operation)
                    await run.note(ended(move, await self._operations.wait(move.operation)))
                else:
                    await run.note(_given_up(move))

    def _found(self, move: JailMove) -> JailMove:
        """Return what a move has become while no daemon was there to see it: the jail's record is the truth.

        One whose operation goes on is waited for in its turn.
        """
        if self._goes_on(move):
            return msgspec.structs.replace(move, state=MoveState.WAITING)
        entry = self._inventory.jails.get(move.jail)
        record = entry.record if entry is not None else None
        if record is None or record.state is not Ownership.MOVED:
            return msgspec.structs.replace(move, state=MoveState.WAITING, operation="")
        journal = self._journals.find(record.migration, outgoing=True)
        return msgspec.structs.replace(
            move,
            state=MoveState.MOVED,
            bytes=journal.bytes if journal is not None else 0,
            downtime=journal.downtime if journal is not None else None,
            message="handed over before the daemon was started anew",
        )

    async def _work(self, run: EvacuationRun, group: asyncio.TaskGroup) -> None:
        """Take one jail after the other. While one waits for a host that is away, another worker goes on."""
        run.at_work += 1
        while not run.stop.is_set() and run.at_work <= run.evacuation.parallel:
            move = next(iter(run.waiting()), None)
            if move is None:
                break
            run.taken.add(move.jail)
            try:
                if not await self._stopped_within(pause(move), run):
                    await self._move(run, move, group)
            finally:
                run.taken.discard(move.jail)
        run.at_work -= 1

    async def _stopped_within(self, seconds: float, run: EvacuationRun) -> bool:
        """Let time pass before a move is tried again; return whether the evacuation was cancelled meanwhile."""
        if seconds:
            sleep = asyncio.ensure_future(self._clock.sleep(seconds))
            stop = asyncio.ensure_future(run.stop.wait())
            await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
            for task in (sleep, stop):
                task.cancel()
            await asyncio.gather(sleep, stop, return_exceptions=True)
        return run.stop.is_set()

    async def _move(self, run: EvacuationRun, move: JailMove, group: asyncio.TaskGroup) -> None:
        try:
            operation = await self._begun(run.evacuation, move)
        except JaildError as error:
            tried = msgspec.structs.replace(move, attempts=move.attempts + 1)
            await run.note(refused(tried, failure_of(error)))
            return
        move = msgspec.structs.replace(
            move, state=MoveState.MOVING, operation=operation.id, reason="", message="", hint=""
        )
        await run.note(move)
        if run.stop.is_set():
            await self._cancel(run, operation.id)
        await run.note(ended(move, await self._end_of(operation.id, run, group)))

    async def _end_of(self, operation_id: str, run: EvacuationRun, group: asyncio.TaskGroup) -> Operation:
        relieved = False
        async for operation in self._operations.watch(operation_id):
            if operation.away and not relieved and not operation.done:
                relieved = True
                run.at_work -= 1
                group.create_task(self._work(run, group))
        if relieved:
            run.at_work += 1
        return self._operations.get(operation_id)

    async def _begun(self, evacuation: Evacuation, move: JailMove) -> Operation:
        if self._goes_on(move):
            return self._operations.get(move.operation)
        return await self._migrations.migrate(
            move.jail,
            move.target,
            max_downtime=evacuation.max_downtime,
            proceed_over_budget=evacuation.proceed_over_budget,
            etag="",
            validate_only=False,
            caller=Caller(actor=evacuation.actor),
        )

    def _goes_on(self, move: JailMove) -> bool:
        return any(operation.id == move.operation and not operation.done for operation in self._operations.list())

    async def _heed_cancel(self, run: EvacuationRun) -> None:
        """When it is asked for, take no more jails, and take back those under way that still can be."""
        async for operation in self._operations.watch(run.handle.id):
            if operation.cancel_requested and not run.stop.is_set():
                run.stop.set()
                for move in run.evacuation.moves:
                    if move.state is MoveState.MOVING:
                        await self._cancel(run, move.operation)

    async def _cancel(self, run: EvacuationRun, operation_id: str) -> None:
        with suppress(FailedPreconditionError):  # past the point where it could be undone: it goes on to its end
            await self._operations.cancel(operation_id, Caller(actor=run.evacuation.actor))


def _given_up(move: JailMove) -> JailMove:
    return msgspec.structs.replace(
        move,
        state=MoveState.SKIPPED,
        reason=CANCELLED,
        message="the evacuation was cancelled before its turn came",
        hint="evacuate again, or migrate it by itself",
    )
