"""One task per target is the only writer of its state; everyone else asks.

A request is accepted (queued behind what is there), recognised as a duplicate, or denied with a named reason; what is
decided is pure: `admit`. A target's task ends when its queue is empty.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import structlog

from jaild.engine.concurrency import undo_on_error
from jaild.engine.operations import Handle, Operations
from jaild.model import quantity
from jaild.model.errors import CancelledError, FailedPreconditionError, InternalError, JaildError, UnavailableError
from jaild.model.operation import CREATING, Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller
from jaild.rpc import correlation, spans

Before = Callable[[str], Awaitable[None]]
Work = Callable[[Handle], Awaitable[str]]  # returns the name of the resource that came of it
Unbegun = Callable[[], Awaitable[None]]
_DOWN = frozenset({"stop", "delete"})  # whose caller has to have the right to it


QUEUE_LIMIT = 16  # more than that on one jail is a runaway caller
# After these the jail is not here any more.
_REASONS = {"delete": "JAIL_DELETING", "migrate": "JAIL_MIGRATING", "salvage": "JAIL_MIGRATING", "fence": "JAIL_FENCED"}


@dataclass(frozen=True)
class Accepted:
    """It is queued behind what is there."""


@dataclass(frozen=True)
class Duplicate:
    """The same request id was accepted before: this is its operation."""

    operation: Operation


@dataclass(frozen=True)
class Denied:
    """Not now, and why."""

    reason: str
    message: str
    hint: str


def admit(pending: Sequence[Operation], kind: str, duplicate: Operation | None) -> Accepted | Duplicate | Denied:
    """Decide about a request of `kind`, given the operations queued or running on the jail, oldest first."""
    if duplicate is not None:
        return Duplicate(duplicate)
    last = next((op for op in pending if op.kind in _REASONS), None)
    if last is not None:
        reason = _REASONS[last.kind]
        return Denied(
            reason,
            f"{last.name} ({last.kind}) is under way; {kind} has to wait until it is over",
            f"wait for it: jailctl operation wait {last.id}; or cancel it: jailctl operation cancel {last.id}",
        )
    if len(pending) >= QUEUE_LIMIT:
        return Denied(
            "JAIL_QUEUE_FULL", f"{quantity.count(len(pending), 'operation')} waiting already", "wait for some of them"
        )
    return Accepted()


@dataclass(frozen=True)
class _Job:
    operation_id: str
    caller: Caller
    work: Work
    saved: asyncio.Future[None]  # on disk; before that nothing is begun
    unbegun: Unbegun
    exclusive: bool = True
    asked: object | None = None  # the span of the call that it was asked for by


@dataclass
class _Queue:
    jobs: deque[_Job]
    task: asyncio.Task[None] | None = None


class Dispatcher:
    """The tasks, one per target that has something to do."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._queues: dict[str, _Queue] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._stopping = False
        self._held: Callable[[], JaildError] | None = None
        self._before: list[tuple[frozenset[str], Before]] = []
        self._log = structlog.get_logger("jaild.dispatcher")

    def before(self, kinds: frozenset[str], hook: Before) -> None:
        """Let `hook` (target) be done before work of these kinds: what goes on beside the dispatcher gives way."""
        self._before.append((kinds, hook))

    def pending(self, target: str) -> list[Operation]:
        """Return what is running or queued on a target, oldest first."""
        queue = self._queues.get(target)
        if queue is None:
            return []
        found = [self._operations.get(job.operation_id) for job in queue.jobs]
        return [operation for operation in found if not operation.done]  # who waited for the end may ask at once

    def is_in_the_way(self, target: str, may: Callable[[Caller], bool]) -> bool:
        """Whether who works on a target should wait for nothing: its stop is queued, or the host or the daemon ends.

        `may` says whether a stop is its caller's to ask for once what is worked on is done: one that will be refused
        in its turn ends nothing. Not while it is created: that would undo it, and who wants it stopped does not want it
        gone.
        """
        callers = {job.operation_id: job.caller for job in self._queues[target].jobs} if target in self._queues else {}
        waiting = [(operation.kind, callers[operation.id]) for operation in self.pending(target)]
        if waiting and waiting[0][0] in CREATING:
            return False
        return self._stopping or any(kind == "shutdown" or (kind in _DOWN and may(caller)) for kind, caller in waiting)

    def is_changing(self, target: str, *, but: frozenset[str]) -> bool:
        """Whether a target may be changed just now: by an operation of no kind in `but`, or by a peer's call."""
        if target in self._queues:
            return any(operation.kind not in but for operation in self.pending(target))
        lock = self._locks.get(target)
        return lock is not None and lock.locked()

    def hold(self, refusal: Callable[[], JaildError]) -> None:
        """Take nothing but what is submitted `while_held`, until `release`; all else is answered by `refusal`."""
        self._held = refusal

    def release(self) -> None:
        """Take everything again."""
        self._held = None

    async def submit(
        self,
        target: str,
        kind: str,
        caller: Caller,
        work: Work,
        *,
        plan: Plan | None = None,
        while_held: bool = False,
        exclusive: bool = True,
        unbegun: Unbegun | None = None,
    ) -> Operation:
        """Queue `work`. `FailedPreconditionError` with the reason of `admit` if it is denied.

        `exclusive`: nothing else is done with the target meanwhile; not for work that waits for what a peer's calls do.
        `unbegun` takes away what was made for the work, if it is never begun: refused, known already by its request id,
        or ended while it waited.
        """
        clean = unbegun or _nothing
        async with undo_on_error(clean):
            known = self._known(target, kind, caller, while_held=while_held)
            operation = known or self._operations.new(kind, target, caller, plan)
        if known is not None:
            await clean()
            return await self._operations.on_disk(operation.id)
        # A task of its own: a caller who hangs up while it is written does not leave it queued for ever.
        saved = asyncio.ensure_future(self._operations.save(operation.id))
        self._enqueue(target, _Job(operation.id, caller, work, saved, clean, exclusive, spans.here()))
        await asyncio.shield(saved)
        return self._operations.get(operation.id)

    async def planned(self, plan: Plan, caller: Caller, *, while_held: bool = False) -> Operation:
        """Answer a request for the plan only: it is refused as `submit` would refuse it now, and nothing is queued."""
        known = self._known(plan.target, plan.kind, caller, while_held=while_held)
        return await self._operations.planned(plan, caller) if known is None else known

    def _known(self, target: str, kind: str, caller: Caller, *, while_held: bool) -> Operation | None:
        """Return the operation that a request has led to before; None for a new one that may be queued now."""
        if self._stopping:
            raise UnavailableError("SHUTTING_DOWN", "the daemon is stopping", hint="try again when it is back")
        if self._held is not None and not while_held:
            raise self._held()
        match admit(self.pending(target), kind, self._operations.known(caller, kind, target)):
            case Duplicate(operation):
                return operation
            case Denied(reason, message, hint):
                raise FailedPreconditionError(reason, message, hint=hint, resource=target)
            case Accepted():
                return None

    def resume(self, operation_id: str, work: Work) -> None:
        """Go on with a resumable operation that an earlier daemon left."""
        operation = self._operations.get(operation_id)
        saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        saved.set_result(None)
        self._enqueue(operation.target, _Job(operation_id, Caller(actor=operation.actor), work, saved, _nothing))

    def _enqueue(self, target: str, job: _Job) -> None:
        queue = self._queues.setdefault(target, _Queue(deque()))
        queue.jobs.append(job)
        if queue.task is None:
            queue.task = asyncio.create_task(self._drive(target, queue), name=f"queue {target}")

    @asynccontextmanager
    async def exclusive(self, target: str) -> AsyncIterator[None]:
        """Be the writer of a target's state for what is no operation, such as a peer's call: its queue waits."""
        async with self._locks.setdefault(target, asyncio.Lock()):
            yield

    async def idle(self, target: str = "") -> bool:
        """Wait until nothing runs or waits its turn any more, on one target or on all, and all ends are on disk.

        Returns whether there was anything to wait for.
        """
        waited = False
        while tasks := [q.task for name, q in self._queues.items() if q.task is not None and target in {"", name}]:
            waited = True
            await asyncio.wait(tasks)
        return waited

    def leave(self) -> None:
        """Take nothing more: the daemon is about to end, and what is resumable is left to its successor."""
        self._stopping = True
        self._operations.leaving = True

    async def stop(self, grace: float) -> None:
        """Take nothing more, interrupt what may be interrupted, and wait up to `grace` seconds for the rest."""
        self.leave()
        await self.clear()
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def clear(self) -> None:
        """End what waits its turn, and interrupt what may be interrupted."""
        for queue in list(self._queues.values()):  # a queue goes when its last job is done
            while len(queue.jobs) > 1:
                job = queue.jobs.pop()
                await self._operations.finish(job.operation_id, error=self._interruption())
                await self._clean(job)
        for operation_id in [queue.jobs[0].operation_id for queue in self._queues.values() if queue.jobs]:
            self._operations.stop(operation_id)

    def _interruption(self) -> JaildError:
        return self._held() if self._held is not None and not self._stopping else _interrupted()

    async def _drive(self, target: str, queue: _Queue) -> None:
        try:
            while queue.jobs:
                job = queue.jobs[0]
                run = asyncio.create_task(self._traced(job), name=f"operation {job.operation_id}")
                try:
                    await asyncio.shield(run)
                except asyncio.CancelledError:
                    run.cancel()
                    await asyncio.gather(run, return_exceptions=True)
                    raise
                except Exception:  # noqa: BLE001 -- its end is known in memory; what it did is never done a second time
                    self._log.exception("operation not stored", operation=job.operation_id)
                finally:
                    queue.jobs.popleft()
        finally:
            queue.task = None
            if self._queues.get(target) is queue and not queue.jobs:
                del self._queues[target]

    async def _traced(self, job: _Job) -> None:
        operation = self._operations.get(job.operation_id)
        _log_as(operation)
        with spans.span(f"operation {operation.kind}", parent=job.asked) as span:
            handle = Handle(self._operations, operation.id)
            try:
                await self._run(job, handle)
            finally:
                handle.over()
                if (failure := handle.operation.failure) is not None:
                    span.fail(f"{failure.reason}: {failure.message}")

    async def _run(self, job: _Job, handle: Handle) -> None:
        operation_id = job.operation_id
        operation = handle.operation
        log = self._log.bind(kind=operation.kind, target=operation.target)
        if operation.cancel_requested and not operation.resumable:
            await self._clean(job)
            await self._operations.finish(operation_id, error=_cancelled(operation))
            return
        begun = False
        try:
            await job.saved
            for kinds, hook in self._before:
                if operation.kind in kinds:
                    await hook(operation.target)
            async with self.exclusive(operation.target) if job.exclusive else nullcontext():
                begun = True
                result = await job.work(handle)
        except JaildError as error:
            log.warning("operation failed", reason=error.reason, message=error.message)
            await self._operations.finish(operation_id, error=error)
        except asyncio.CancelledError:
            asked = handle.operation.cancel_requested
            log.warning("operation interrupted", cancelled=asked)
            if handle.is_left:
                await self._operations.save(operation_id)
                return
            await self._operations.finish(operation_id, error=_cancelled(operation) if asked else self._interruption())
        except Exception as error:
            log.exception("operation died of a defect")
            defect = InternalError(
                "INTERNAL",
                f"{operation.kind} died: {type(error).__name__}: {error}",
                hint="this is a defect of jaild: report it with the daemon's log",
                resource=operation.target,
            )
            await self._operations.finish(operation_id, error=defect)
        else:
            await self._operations.finish(operation_id, result=result)
        finally:
            if not begun:
                await self._clean(job)

    async def _clean(self, job: _Job) -> None:
        try:
            await job.unbegun()
        except JaildError as error:  # why it was not begun matters more
            self._log.warning("left behind", operation=job.operation_id, reason=error.reason, message=error.message)


def _log_as(operation: Operation) -> None:
    # The task was begun by whoever asked first of all that wait here: its ids are theirs.
    collection, _, name = operation.target.partition("/")
    jail = name if collection == "jails" else ""
    correlation.begin(operation=operation.id, request=operation.request_id, actor=operation.actor, jail=jail)


async def _nothing() -> None:
    """Take nothing away."""


def _cancelled(operation: Operation) -> JaildError:
    return CancelledError(
        "OPERATION_CANCELLED",
        f"{operation.kind} of {operation.target} was cancelled",
        hint="nothing was changed; ask again if you still want it",
        resource=operation.target,
    )


def _interrupted() -> JaildError:
    return UnavailableError(
        "DAEMON_STOPPED",
        "the daemon was stopped while this was under way",
        hint="ask again: what was begun has been undone, or is repaired at the daemon's start",
    )
