"""A durable change as a list of phases, and what carries it out.

    plan ──► stage ──► cutover ──► check ─► COMMIT ──► settle ──► done
      └────────┴──────────┴──────────┘         │          └─ an error is told, or it is tried again (`retry`)
       an error, a cancel, the daemon's        │
       stop: what had begun is undone in       └─ the pivot; an error of it says nothing: did it happen?
       reverse, the first error is raised            no: undone, as before it        yes: gone on from here
                                                     not known: asked until it is

Each phase that can be undone is journalled before it begins, so that a crash can be told by it; all are timed. Until
the pivot nothing lasting has changed; the pivot is the one act (a `zfs set`) that makes the change, and the datasets
know whether it happened. A daemon that dies undoes nothing: what its successor makes of that is decided by the datasets
as well (`engine/recovery.py`), so a phase's undo must be safe without the undo of the phases after it, and safe to do
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from jaild.engine.concurrency import to_its_end
from jaild.engine.operations import Handle
from jaild.engine.supervisor import BackOff, Supervisor, Tell
from jaild.model.errors import DeadlineExceededError, JaildError
from jaild.model.operation import Outcome, Stop


@dataclass(kw_only=True)
class Attempt:
    """One attempt at a saga. Subclasses add what its phases hand on to each other."""

    handle: Handle
    error: BaseException | None = None  # what it is undone for

    @property
    def target(self) -> str:
        """The resource that is changed."""
        return self.handle.operation.target


_A = TypeVar("_A", bound=Attempt)
Act = Callable[[_A], Awaitable[None]]


Within = float | Callable[[_A], float | None]  # seconds, or what tells them when the phase begins; None: for ever

Message = str | Callable[[_A], str]  # for people, when the phase begins


def _always(_: Attempt) -> bool:
    return True


@dataclass(frozen=True)
class Back(Generic[_A]):
    """Which errors of a phase lead back to an earlier one: what has begun since is undone, and that one done again."""

    to: Phase[_A]
    on: str  # the errors' reason
    when: Callable[[_A], bool] = _always  # asked before anything is undone: whether it is worth another try


@dataclass(frozen=True)
class Phase(Generic[_A]):
    """What is done before the pivot, and can be undone.

    `undo` is called if `do` had begun, however far it came, and nothing of what it did may be there afterwards; it
    finds in `Attempt.error` why. `stop`: what may end the phase. `resumable`: the daemon's stop leaves it as it is, if
    the operation is resumable, and the next daemon goes on (`SagaRunner.carry_out`, `since`). `within`: the time that
    it may take; `late`: what is raised then. `back`: what leads back to an earlier phase. `retry`: it is tried again
    until it is done, with these pauses. `when`: whether an attempt has this phase, asked when its turn comes.
    `written`: its begin is on disk before it; False where the phase before it tells a successor enough, and a jail is
    down meanwhile.
    """

    name: str
    do: Act[_A]
    undo: Act[_A] | None = None
    stop: Stop = Stop.NOW
    message: Message[_A] = ""
    resumable: bool = False
    within: Within[_A] | None = None
    late: Callable[[_A], JaildError] | None = None
    back: Back[_A] | None = None
    retry: BackOff | None = None
    when: Callable[[_A], bool] = _always
    written: bool = True


@dataclass(frozen=True)
class Pivot(Generic[_A]):
    """The one act that makes the change. Nothing may end it but the end of the daemon.

    `happened` asks the datasets, whatever `do` raised, and takes the answer into memory. It raises what keeps them from
    answering, and is then asked again.
    """

    name: str
    do: Act[_A]
    happened: Callable[[_A], Awaitable[bool]]


@dataclass(frozen=True)
class Completion(Generic[_A]):
    """What is left to do after the pivot. It must be safe to do twice, and be repaired at the next start if it is not.

    A `JaildError` of it is told and fails nothing, unless it is to be tried again (`retry`) until it is done: then it
    ends only with the daemon.
    """

    name: str
    do: Act[_A]
    message: Message[_A] = ""
    within: float | None = None
    retry: BackOff | None = None


@dataclass(frozen=True)
class Saga(Generic[_A]):
    """A durable change; without a pivot a trial: undone in any case, without an `Attempt.error` if it went well."""

    name: str
    before: tuple[Phase[_A], ...]
    pivot: Pivot[_A] | None
    after: tuple[Completion[_A], ...] = ()


class SagaRunner:
    """Carries sagas out. Runs in the target's queue only."""

    def __init__(self, supervisor: Supervisor, tell: Tell) -> None:
        self._supervisor = supervisor
        self._tell = tell
        self._log = structlog.get_logger("jaild.saga")

    async def carry_out(self, saga: Saga[_A], attempt: _A, *, since: Phase[_A] | None = None) -> None:
        """Do it. What this raises before the pivot has happened means that it is undone, as far as it could be.

        `since`: the phase that a daemon before this one was in, which is done again: what it had begun is undone, too.
        """
        at = 0 if since is None else saga.before.index(since)
        begun = [] if since is None else list(saga.before[: at + 1])
        try:
            while at < len(saga.before):
                at = await self._next(saga, at, attempt, begun)
            attempt.handle.heed_cancel()
        except BaseException as error:
            if not _is_left(attempt, begun, error):
                await to_its_end(self._undo(saga, attempt, begun, error))
            raise
        if saga.pivot is None:
            await to_its_end(self._undo(saga, attempt, begun, None))
            return
        # In memory only: the datasets know whether it happened, and a jail may be down until it has.
        attempt.handle.enter(saga.pivot.name, stop=Stop.NEVER)
        await self._pivot(saga, saga.pivot, attempt, begun)
        await self.complete(saga, attempt)

    async def give_up(self, saga: Saga[_A], attempt: _A, error: JaildError, *, since: Phase[_A]) -> None:
        """Undo for this error what a daemon before this one had begun, up to the phase `since` that it was in."""
        await to_its_end(self._undo(saga, attempt, list(saga.before[: saga.before.index(since) + 1]), error))

    async def complete(self, saga: Saga[_A], attempt: _A) -> None:
        """Do what is left to do after the pivot, which is known to have happened."""
        for completion in saga.after:
            await self._complete(saga, completion, attempt)

    async def _next(self, saga: Saga[_A], at: int, attempt: _A, begun: list[Phase[_A]]) -> int:
        """Do the phase at this place, and return the place of the one that is next."""
        phase = saga.before[at]
        if not phase.when(attempt):
            return at + 1
        try:
            await self._phase(phase, attempt, begun)
        except JaildError as error:
            back = phase.back
            if back is None or error.reason != back.on or not back.when(attempt):
                raise
            undoing = asyncio.ensure_future(self._go_back(saga, saga.before.index(back.to), attempt, begun, error))
            try:
                return await asyncio.shield(undoing)
            except asyncio.CancelledError:  # the daemon ends: not in the middle of that
                await to_its_end(undoing)
                raise
        return at + 1

    async def _go_back(self, saga: Saga[_A], to: int, attempt: _A, begun: list[Phase[_A]], error: JaildError) -> int:
        """Undo what has begun after the phase at `to`. What cannot be undone ends the whole attempt."""
        attempt.error = error
        attempt.handle.failed()
        while begun and begun[-1] not in saga.before[: to + 1]:
            if (undo := begun[-1].undo) is not None:
                await undo(attempt)
                attempt.handle.came_out(begun[-1].name, Outcome.UNDONE)
            begun.pop()
        attempt.error = None
        return to

    async def _phase(self, phase: Phase[_A], attempt: _A, begun: list[Phase[_A]]) -> None:
        async with attempt.handle.in_phase(phase.name, _told(phase, attempt), phase.stop, written=phase.written):
            if begun[-1:] != [phase]:
                begun.append(phase)
            await self._do(phase, attempt)

    async def _pivot(self, saga: Saga[_A], pivot: Pivot[_A], attempt: _A, begun: list[Phase[_A]]) -> None:
        try:
            await pivot.do(attempt)
        except BaseException as error:
            if not await to_its_end(self._happened(pivot, attempt)):
                await to_its_end(self._undo(saga, attempt, begun, error))
                raise
            if not isinstance(error, Exception):
                raise  # the daemon ends; its successor goes on from here
            self._log.warning("done although it looked failed", saga=saga.name, phase=pivot.name, exc_info=error)

    async def _happened(self, pivot: Pivot[_A], attempt: _A) -> bool:
        """Ask until it is known. If the daemon ends before, its successor asks."""
        name = f"{pivot.name} of {attempt.target}"
        try:
            return await self._supervisor.insist(name, lambda: pivot.happened(attempt), target=attempt.target)
        except Exception as error:
            raise asyncio.CancelledError from error

    async def _undo(self, saga: Saga[_A], attempt: _A, begun: list[Phase[_A]], error: BaseException | None) -> None:
        attempt.error = error
        if error is not None:
            attempt.handle.failed()
        for phase in reversed(begun):
            if phase.undo is None:
                continue
            try:
                await phase.undo(attempt)
            except Exception as failure:  # noqa: BLE001 -- why it is undone matters more, and the others' undo too
                await self._cleanup_pending(
                    attempt, phase.name, f"{saga.name}: {phase.name} could not be undone", failure
                )
            else:
                attempt.handle.came_out(phase.name, Outcome.UNDONE)

    async def _complete(self, saga: Saga[_A], completion: Completion[_A], attempt: _A) -> None:
        # In memory only: from the pivot on nothing of this host's memory may keep it from being completed.
        attempt.handle.enter(completion.name, _told(completion, attempt), Stop.NEVER)
        try:
            await self._do(completion, attempt)
        except JaildError as error:
            pivot = "" if saga.pivot is None else saga.pivot.name
            what = f"{saga.name}, after its {pivot}: {completion.name}"
            await self._cleanup_pending(attempt, completion.name, what, error)

    async def _cleanup_pending(self, attempt: _A, phase: str, what: str, error: Exception) -> None:
        handle, message = attempt.handle, f"{what}: {error}"
        handle.failed()
        handle.came_out(phase, Outcome.CLEANUP_PENDING)
        handle.facts(cleanup_pending="; ".join(filter(None, (handle.operation.facts.get("cleanup_pending"), message))))
        self._log.warning(what, target=attempt.target, error=repr(error), exc_info=not isinstance(error, JaildError))
        try:
            await self._tell("jail.cleanup-pending", attempt.target, message)
        except Exception:  # noqa: BLE001 -- the store fails too: what is left to do goes on
            self._log.exception("cannot tell")

    async def _do(self, step: Phase[_A] | Completion[_A], attempt: _A) -> None:
        within = step.within(attempt) if callable(step.within) else step.within
        try:
            async with asyncio.timeout(within) as limit:
                await (step.do(attempt) if step.retry is None else self._until_done(step, attempt, step.retry))
        except TimeoutError:
            if not limit.expired():
                raise
            if isinstance(step, Phase) and step.late is not None:
                raise step.late(attempt) from None
            raise DeadlineExceededError(
                "PHASE_TIMED_OUT",
                f"{step.name} was not done within {within:g} s",
                hint="see what keeps it; then ask again",
                resource=attempt.target,
            ) from None

    async def _until_done(self, step: Phase[_A] | Completion[_A], attempt: _A, pause: BackOff) -> None:
        name = f"{step.name} of {attempt.target}"
        try:
            await self._supervisor.insist(name, lambda: step.do(attempt), pause=pause, target=attempt.target)
        except Exception as error:  # nothing but the end of the daemon ends it
            raise asyncio.CancelledError from error
        finally:
            await to_its_end(self._supervisor.end(name))  # one whose time is up, or that was cancelled, ends here


def _told(step: Phase[_A] | Completion[_A], attempt: _A) -> str:
    return step.message(attempt) if callable(step.message) else step.message


def _is_left(attempt: _A, begun: list[Phase[_A]], error: BaseException) -> bool:
    """Whether the daemon ends, and its successor goes on."""
    is_resumable = bool(begun) and begun[-1].resumable
    return isinstance(error, asyncio.CancelledError) and is_resumable and attempt.handle.is_left
