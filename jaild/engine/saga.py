"""A durable change as a list of phases, and what carries it out.

    before the pivot                                        the pivot         after it
    plan ──► stage ──► cutover ──► gate ──────────────────► commit ─────────► settle ──► done
      │ any error, a cancel,   │                              │ an error says   │ an error is told (`untidy`),
      │ the daemon's stop      │                              │ nothing: did    │ or the phase is tried again
      ▼                        ▼                              ▼ it happen?      ▼ (`retry`); nothing is undone
    undo ◄── undo ◄── undo ◄───┘ in reverse, of those      no: undo           done
      │      that had begun                                yes: go on
      ▼
    the first error is raised: all is as before            not known: asked until it is

Each phase is journalled before it begins, so that a crash can be told by it, and is timed. Until the pivot nothing
lasting has changed; the pivot is the one act (a `zfs set`) that makes the change, and the datasets know whether it
happened. A daemon that dies undoes nothing: what its successor makes of that is decided by the datasets as well
(`host/recovery.py`), so a phase's undo must be safe without the undo of the phases after it, and safe to do twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from jaild.engine.operations import Handle
from jaild.engine.supervisor import BackOff, Supervisor, Tell
from jaild.model.errors import DeadlineExceededError, JaildError
from jaild.model.phases import Outcome, Stop

_T = TypeVar("_T")


@dataclass(kw_only=True)
class Run:
    """One carrying-out of a saga. Subclasses add what its phases hand on to each other."""

    handle: Handle
    error: BaseException | None = None  # what it is undone for


_R = TypeVar("_R", bound=Run)
Act = Callable[[_R], Awaitable[None]]


def _always(_: Run) -> bool:
    return True


@dataclass(frozen=True)
class Phase(Generic[_R]):
    """What is done before the pivot, and can be undone.

    `undo` is called if `do` had begun, however far it came, and nothing of what it did may be there afterwards; it
    finds in `Run.error` why. `stop`: what may end the phase. `within`: seconds that it may take. `retry`: it is tried
    again until it is done, with these pauses. `when`: whether a run has this phase, known when its turn comes.
    """

    name: str
    do: Act[_R]
    undo: Act[_R] | None = None
    stop: Stop = Stop.NOW
    message: str = ""
    within: float | None = None
    retry: BackOff | None = None
    when: Callable[[_R], bool] = _always


@dataclass(frozen=True)
class Pivot(Generic[_R]):
    """The one act that makes the change. Nothing may end it but the end of the daemon.

    `happened` asks the datasets, whatever `do` raised, and takes the answer into memory. It raises what keeps them from
    answering, and is then asked again.
    """

    name: str
    do: Act[_R]
    happened: Callable[[_R], Awaitable[bool]]


@dataclass(frozen=True)
class Completion(Generic[_R]):
    """What is left to do after the pivot. It must be safe to do twice, and be repaired at the next start if it is not.

    A `JaildError` of it is told and fails nothing, unless it is to be tried again (`retry`) until it is done: then it
    ends only with the daemon.
    """

    name: str
    do: Act[_R]
    message: str = ""
    within: float | None = None
    retry: BackOff | None = None


@dataclass(frozen=True)
class Saga(Generic[_R]):
    """A durable change."""

    name: str
    before: tuple[Phase[_R], ...]
    pivot: Pivot[_R]
    after: tuple[Completion[_R], ...] = ()


class SagaRunner:
    """Carries sagas out. Runs in the target's driver only."""

    def __init__(self, supervisor: Supervisor, tell: Tell) -> None:
        self._supervisor = supervisor
        self._tell = tell
        self._log = structlog.get_logger("jaild.saga")

    async def carry_out(self, saga: Saga[_R], run: _R) -> None:
        """Do it. What this raises before the pivot has happened means that it is undone, as far as it could be."""
        begun: list[Phase[_R]] = []
        try:
            for phase in saga.before:
                if phase.when(run):
                    await self._phase(phase, run, begun)
            await run.handle.phase(saga.pivot.name, stop=Stop.NEVER)
        except BaseException as error:
            await _to_its_end(self._undo(saga, run, begun, error))
            raise
        await self._pivot(saga, run, begun)
        for completion in saga.after:
            await self._complete(saga, completion, run)

    async def _phase(self, phase: Phase[_R], run: _R, begun: list[Phase[_R]]) -> None:
        with nullcontext() if phase.stop is Stop.NEVER else run.handle.cancellable():
            await run.handle.phase(phase.name, phase.message, phase.stop)
            begun.append(phase)
            await self._do(phase, run)

    async def _pivot(self, saga: Saga[_R], run: _R, begun: list[Phase[_R]]) -> None:
        pivot = saga.pivot
        try:
            await pivot.do(run)
        except BaseException as error:
            if not await _to_its_end(self._happened(pivot, run)):
                await _to_its_end(self._undo(saga, run, begun, error))
                raise
            if not isinstance(error, Exception):
                raise  # the daemon ends; its successor goes on from here
            self._log.warning("done although it looked failed", saga=saga.name, phase=pivot.name, exc_info=error)

    async def _happened(self, pivot: Pivot[_R], run: _R) -> bool:
        """Ask until it is known. What this raises means that the daemon ends: its successor asks."""
        target = run.handle.operation.target
        return await self._supervisor.insist(f"{pivot.name} of {target}", lambda: pivot.happened(run), target=target)

    async def _undo(self, saga: Saga[_R], run: _R, begun: list[Phase[_R]], error: BaseException) -> None:
        run.error = error
        run.handle.failed()
        for phase in reversed(begun):
            if phase.undo is None:
                continue
            try:
                await phase.undo(run)
            except Exception as failure:  # noqa: BLE001 -- why it is undone matters more, and the others' undo too
                await self._untidy(run, phase.name, f"{saga.name}: {phase.name} could not be undone", failure)
            else:
                run.handle.came_out(phase.name, Outcome.UNDONE)

    async def _complete(self, saga: Saga[_R], completion: Completion[_R], run: _R) -> None:
        # In memory only: from the pivot on nothing of this host's memory may keep it from being completed.
        run.handle.enter(completion.name, completion.message, Stop.NEVER)
        try:
            await self._do(completion, run)
        except JaildError as error:
            if completion.retry is not None:
                raise
            await self._untidy(
                run, completion.name, f"{saga.name}, after its {saga.pivot.name}: {completion.name}", error
            )

    async def _untidy(self, run: _R, phase: str, what: str, error: Exception) -> None:
        target, message = run.handle.operation.target, f"{what}: {error}"
        run.handle.failed()
        run.handle.came_out(phase, Outcome.UNTIDY)
        run.handle.facts(untidy=message)
        self._log.warning(what, target=target, error=repr(error), exc_info=not isinstance(error, JaildError))
        try:
            await self._tell("jail.untidy", target, message)
        except Exception:  # noqa: BLE001 -- the store fails too: what is left to do goes on
            self._log.exception("cannot tell")

    async def _do(self, step: Phase[_R] | Completion[_R], run: _R) -> None:
        try:
            async with asyncio.timeout(step.within) as limit:
                await (step.do(run) if step.retry is None else self._until_done(step, run, step.retry))
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceededError(
                "PHASE_TIMED_OUT",
                f"{step.name} was not done within {step.within:g} s",
                remedy="see what keeps it; then ask again",
                resource=run.handle.operation.target,
            ) from None

    async def _until_done(self, step: Phase[_R] | Completion[_R], run: _R, pause: BackOff) -> None:
        target = run.handle.operation.target
        name = f"{step.name} of {target}"
        try:
            await self._supervisor.insist(name, lambda: step.do(run), pause=pause, target=target)
        finally:
            await _to_its_end(self._supervisor.end(name))  # one whose time is up, or that was cancelled, ends here


async def _to_its_end(work: Awaitable[_T]) -> _T:
    """Wait for `work`, however often this task is cancelled meanwhile: who ends the daemon waits for it."""
    task: asyncio.Future[Any] = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
    return task.result()  # type: ignore[no-any-return]
