"""Operations: long-running changes, durable, watchable, cancellable while that is safe.

    queued ──► running (phase …) ──► done (result | failure)

An operation that was not done when the daemon died is ended at the next start by recovery, or gone on with if it is
resumable: it never stays half-way.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

import structlog

from jaild.model import bounds
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError, NotFoundError
from jaild.model.operation import Moment, Operation, Outcome, Stop, failure_of
from jaild.model.problems import Plan
from jaild.model.views import Caller
from jaild.ports.clock import Clock
from jaild.ports.store import Store
from jaild.rpc import spans

KEPT = bounds.OPERATIONS
KEPT_BYTES = bounds.OPERATIONS_BYTES
_PROGRESS = 0.1  # seconds in which watchers are told of mere progress once: a message has the whole operation in it


class Operations:
    """All operations of this host, in memory and in the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._all: dict[str, Operation] = {}
        self._sizes: dict[str, int] = {}  # bytes of those that are done
        self._plans = _Plans()
        self._requests: dict[tuple[str, str], str] = {}
        self._unsaved: dict[str, asyncio.Event] = {}  # new ones, until they are on disk
        self._ending: set[str] = set()  # those whose end is being written
        self.watched: dict[str, asyncio.Event] = {}  # those that somebody waits for
        self.leaving = False  # the daemon ends: what is resumable is left to its successor
        self._cancellable: dict[str, asyncio.Task[Any]] = {}
        self.on_end: list[Callable[[Operation], None]] = []  # told of each operation that has ended, once
        self._log = structlog.get_logger("jaild.operations")
        self._told: dict[str, float] = {}  # when the watchers of those under way were told of progress, monotonic

    async def load(self) -> list[Operation]:
        """Read the store; return those that were not done when the daemon ended."""
        monotonic = self._clock.monotonic()
        for operation in await self._store.operations():
            if not operation.done and operation.counted_at is not None:  # at once: by and by a later boot looks like it
                self._remember(operation.counted(monotonic))
            else:
                self._remember(operation)
        await self._forget_oldest()
        return [op for op in self._all.values() if not op.done]

    def new(self, kind: str, target: str, caller: Caller, plan: Plan | None = None) -> Operation:
        """Make an operation in memory at once, so that nothing can slip in between; `save` it next."""
        at = self._moment()
        operation = Operation(
            id=uuid.uuid4().hex,
            kind=kind,
            target=target,
            actor=caller.actor,
            request_id=caller.request_id,
            created=at.now,
        ).changed(at, plan=plan)
        self._remember(operation)
        self._unsaved[operation.id] = asyncio.Event()
        return operation

    async def save(self, operation_id: str) -> None:
        """Write an operation to the store and forget the oldest that are done."""
        await self._write(self._all[operation_id])
        await self._forget_oldest()

    async def _write(self, operation: Operation) -> None:
        try:
            await self._store.put_operation(operation)
        finally:
            unsaved = self._unsaved.pop(operation.id, None)
            if unsaved is not None:
                unsaved.set()

    async def _forget_oldest(self) -> None:
        # Of whoever has most: nobody's many requests make the host forget those of others, and their request ids.
        while (many := len(self._sizes) > KEPT) or sum(self._sizes.values()) > KEPT_BYTES:
            share: Counter[str] = Counter()
            for operation_id, size in self._sizes.items():
                share[self._all[operation_id].actor] += 1 if many else size
            most = share.most_common(1)[0][0]
            # Looked up anew each time: somebody else may be forgetting too.
            await self.delete(next(key for key in self._sizes if self._all[key].actor == most))

    async def planned(self, plan: Plan, caller: Caller) -> Operation:
        """Return a done operation that only carries a plan (`validate_only`): not stored, not listed, no duplicate."""
        at = self._moment()
        operation = Operation(
            id=uuid.uuid4().hex,
            kind=plan.kind,
            target=plan.target,
            actor=caller.actor,
            created=at.now,
            phase="plan",
            done=True,
            result="plan",
        ).changed(at, plan=plan)
        self._plans.add(operation)
        return operation

    async def duplicate(self, caller: Caller, kind: str, target: str) -> Operation | None:
        """Return the operation that the caller's request id has led to before, once it is on disk.

        `InvalidArgumentError` (REQUEST_ID_REUSED) if that was of another kind, or of another target.
        """
        known = self.known(caller, kind, target)
        return None if known is None else await self.on_disk(known.id)

    async def on_disk(self, operation_id: str) -> Operation:
        """Return one once it was written for the first time, or could not be."""
        unsaved = self._unsaved.get(operation_id)
        if unsaved is not None:
            await unsaved.wait()
        return self.get(operation_id)

    def known(self, caller: Caller, kind: str, target: str) -> Operation | None:
        """As `duplicate`, at once: it may not be `on_disk` yet, so nobody is told of it."""
        if not caller.request_id:
            return None
        known = self._all.get(self._requests.get((caller.actor, caller.request_id), ""))
        if known is not None and (known.kind, known.target) != (kind, target):
            raise InvalidArgumentError(
                "REQUEST_ID_REUSED",
                f"request id {caller.request_id} was used for {known.kind} of {known.target}",
                hint="make a new id for each request, and repeat it only with the same one",
                resource=known.name,
            )
        return known

    def get(self, operation_id: str) -> Operation:
        """Return one. `NotFoundError` (OPERATION_NOT_FOUND)."""
        operation = self._all.get(operation_id) or self._plans.get(operation_id)
        if operation is None:
            raise NotFoundError(
                "OPERATION_NOT_FOUND",
                f"there is no operation {operation_id}",
                hint=f"list them: jailctl operation ls; the last {KEPT} are kept",
                resource=f"operations/{operation_id}",
            )
        return operation

    def list(self) -> list[Operation]:
        """Return all but mere plans, newest first."""
        return sorted(self._all.values(), key=lambda op: op.created, reverse=True)

    async def watch(self, operation_id: str) -> AsyncIterator[Operation]:
        """Yield an operation now and each time it changed, until it is done."""
        while True:
            operation = self.get(operation_id)
            changed = self.watched.setdefault(operation_id, asyncio.Event())
            yield operation
            if operation.done:
                self.watched.pop(operation_id, None)
                return
            await changed.wait()

    async def wait(self, operation_id: str, timeout: float | None = None) -> Operation:
        """Wait until it is done, at most `timeout` seconds; return it as it then is."""
        try:
            async with asyncio.timeout(timeout):
                async for operation in self.watch(operation_id):
                    if operation.done:
                        return operation
        except TimeoutError:
            pass
        return self.get(operation_id)

    async def cancel(self, operation_id: str, caller: Caller) -> None:
        """Ask for its end. It ends where that is safe, at once or at its next step; no error if it is done.

        `FailedPreconditionError` (NOT_CANCELLABLE) once it is past the point where it could be undone.
        """
        operation = self.get(operation_id)
        if operation.done or operation_id in self._ending:
            return
        if operation.stop is Stop.NEVER:
            raise FailedPreconditionError(
                "NOT_CANCELLABLE",
                f"{operation.name} is in its phase {operation.phase} and goes on to the end",
                hint="wait for it, then undo it by a rollback or by migrating back",
                resource=operation.name,
                detail={"actor": caller.actor},
            )
        self.update(operation_id, cancel_requested=True)
        await self.save(operation_id)
        self.interrupt(operation_id)

    def stop(self, operation_id: str) -> None:
        """End its work because the daemon ends, unless its phase is one that it waits for."""
        if self.get(operation_id).stop is Stop.NOW:
            self.interrupt(operation_id)

    def interrupt(self, operation_id: str) -> None:
        """End its work now if it is in a stretch that may be interrupted; once, so that its undoing is not."""
        task = self._cancellable.pop(operation_id, None)
        if task is not None:
            task.cancel()

    def may_be_interrupted(self, operation_id: str, task: asyncio.Task[Any] | None) -> None:
        """Note the task that may be cancelled now; None when the stretch is over."""
        if task is None:
            self._cancellable.pop(operation_id, None)
        else:
            self._cancellable[operation_id] = task

    async def delete(self, operation_id: str) -> None:
        """Forget one that is done. `FailedPreconditionError` (OPERATION_RUNNING) otherwise."""
        operation = self.get(operation_id)
        if not operation.done:
            raise FailedPreconditionError(
                "OPERATION_RUNNING", f"{operation.name} is not done", hint="cancel it first", resource=operation.name
            )
        if self._plans.discard(operation_id):
            return
        del self._all[operation_id]
        self._sizes.pop(operation_id, None)
        if self._requests.get((operation.actor, operation.request_id)) == operation_id:
            del self._requests[operation.actor, operation.request_id]
        await self._store.delete_operation(operation_id)

    def update(self, operation_id: str, **changes: Any) -> Operation:
        """Change an operation in memory and tell the watchers."""
        return self._put(self._all[operation_id].changed(self._moment(), **changes))

    def progress(self, operation_id: str, **changes: Any) -> None:
        """Change how far an operation is, as often as its work likes: in memory at once, to the watchers now and then.

        What is left untold goes with the next change that is more than progress, or with its end.
        """
        at = self._moment()
        operation = self._all[operation_id].changed(at, **changes)
        if at.monotonic - self._told.get(operation_id, -_PROGRESS) < _PROGRESS:
            self._all[operation_id] = operation
        else:
            self._told[operation_id] = at.monotonic
            self._put(operation)

    def enter(self, operation_id: str, phase: str, message: str, stop: Stop) -> None:
        """Let an operation's next phase begin, in memory."""
        self._put(self._all[operation_id].in_phase(self._moment(), phase, message, stop))

    def end_phase(self, operation_id: str, outcome: Outcome) -> None:
        """Note how the phase under way came out; nothing if none is."""
        self._put(self._all[operation_id].phase_over(self._moment(), outcome))

    def mark_phase(self, operation_id: str, phase: str, outcome: Outcome) -> None:
        """Note how a phase came out in the end that is over."""
        self._put(self._all[operation_id].came_out(self._moment(), phase, outcome))

    async def finish(self, operation_id: str, *, result: str = "", error: JaildError | None = None) -> Operation:
        """End it; its end is on disk when this returns, and before anybody hears of it.

        Where it cannot be written, that is raised and those who wait hear the end all the same.
        """
        known = self._all[operation_id]
        operation = known.phase_over(
            self._moment(),
            Outcome.DONE if error is None else Outcome.FAILED,
            done=True,
            result=result,
            failure=failure_of(error) if error else None,
            phase="done" if error is None else known.phase,
            message="" if error is None else known.message,  # what was being done is over
        )
        self._ending.add(operation_id)
        try:
            await self._write(operation)
        finally:
            self._ending.discard(operation_id)
            self._told.pop(operation_id, None)
            self._put(operation)
            for hear in self.on_end:
                hear(operation)
        await self._forget_oldest()
        return operation

    def _moment(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic())

    def _remember(self, operation: Operation) -> None:
        self._put(operation)
        if operation.request_id:
            self._requests[operation.actor, operation.request_id] = operation.id

    def _put(self, operation: Operation) -> Operation:
        known, self._all[operation.id] = self._all.get(operation.id), operation
        if known is not None and (old := known.state) != (new := operation.state):
            failure = operation.failure
            said = {
                "actor": operation.actor,
                "request": operation.request_id,
                "reason": failure.reason if failure is not None else "",
                "result": operation.result,
            }
            told = {name: text for name, text in said.items() if text}
            its = {"operation": operation.id, "kind": operation.kind, "target": operation.target, **told}
            self._log.info(f"{old} -> {new}", of="operation", old=old, new=new, **its)
        if operation.done:
            self._sizes[operation.id] = operation.size
        changed = self.watched.pop(operation.id, None)
        if changed is not None:
            changed.set()
        return operation


class _Plans:
    """The answers to `validate_only`, for those who ask again: in memory, few, and apart from the operations.

    Asking what a change would do costs nothing and may be done by the thousand. So a plan is never stored or listed,
    and never makes the host forget an operation or the request id that led to it.
    """

    def __init__(self) -> None:
        self._all: dict[str, Operation] = {}
        self._sizes: dict[str, int] = {}

    def add(self, operation: Operation) -> None:
        """Keep one, and forget the oldest beyond the bounds in number and bytes."""
        self._all[operation.id] = operation
        self._sizes[operation.id] = operation.size
        while len(self._all) > 1 and (len(self._all) > bounds.PLANS or sum(self._sizes.values()) > bounds.PLANS_BYTES):
            self.discard(next(iter(self._all)))

    def get(self, operation_id: str) -> Operation | None:
        """Return one; None if it is not there (any more)."""
        return self._all.get(operation_id)

    def discard(self, operation_id: str) -> bool:
        """Forget one; return whether it was there."""
        self._sizes.pop(operation_id, None)
        return self._all.pop(operation_id, None) is not None


class Handle:
    """What the work of an operation reports through."""

    def __init__(self, operations: Operations, operation_id: str) -> None:
        self._operations = operations
        self.id = operation_id
        self._span = spans.NOTHING  # of the phase
        self._above = spans.here()

    def over(self) -> None:
        """Say that its work has ended, however that was."""
        self._span.end()

    @property
    def operation(self) -> Operation:
        """As it is now."""
        return self._operations.get(self.id)

    @property
    def is_left(self) -> bool:
        """Whether an interruption means that the daemon ends and its successor goes on."""
        return self._operations.leaving and self.operation.resumable and not self.operation.cancel_requested

    async def phase(self, phase: str, message: str = "", stop: Stop = Stop.NOW) -> None:
        """Enter a phase; on disk when this returns. From the call on, `stop` says what may end it."""
        self.enter(phase, message, stop)
        await self._operations.save(self.id)

    @asynccontextmanager
    async def in_phase(self, phase: str, message: str, stop: Stop, *, written: bool = True) -> AsyncIterator[None]:
        """Be in a phase: not if somebody asked for the operation's end before.

        `stop` says what may end the block, by `asyncio.CancelledError`. `written`: it is on disk when the block begins.
        """
        self.heed_cancel()  # one that was taken a moment before stops no jail any more
        with nullcontext() if stop is Stop.NEVER else self.cancellable():
            if written:
                await self.phase(phase, message, stop)
            else:
                self.enter(phase, message, stop)
            yield

    def enter(self, phase: str, message: str = "", stop: Stop = Stop.NOW) -> None:
        """Enter a phase, in memory only: where nothing of this host's may keep it from being done."""
        self._span = spans.follow(self._span, f"phase {phase}", self._above)
        self._operations.enter(self.id, phase, message, stop)

    def failed(self) -> None:
        """Say that the phase under way has failed: what follows is its undoing."""
        self._span.fail("what follows is its undoing")
        self._operations.end_phase(self.id, Outcome.FAILED)

    def came_out(self, phase: str, outcome: Outcome) -> None:
        """Say how a phase came out that is over."""
        self._operations.mark_phase(self.id, phase, outcome)

    def note(self, **changes: Any) -> None:
        """Change what readers see (message, predicted_downtime, rounds ...), in memory only."""
        self._operations.update(self.id, **changes)

    def progress(self, bytes_done: int, **changes: Any) -> None:
        """Say how far it is, for each piece: watchers are told now and then."""
        self._operations.progress(self.id, bytes_done=bytes_done, **changes)

    def facts(self, **facts: str | int) -> None:
        """Add to the facts about the result."""
        merged = self.operation.facts | {name: str(value) for name, value in facts.items()}
        self._operations.update(self.id, facts=merged)

    def heed_cancel(self) -> None:
        """Raise `asyncio.CancelledError` if somebody asked for its end."""
        if self.operation.cancel_requested:
            raise asyncio.CancelledError

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """Mark a stretch that may be interrupted, as its phase says: by `asyncio.CancelledError`."""
        self.heed_cancel()
        self._operations.may_be_interrupted(self.id, asyncio.current_task())
        try:
            yield
        finally:
            self._operations.may_be_interrupted(self.id, None)
