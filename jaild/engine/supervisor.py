"""Every background task of the daemon: begun, tried again, told of and ended here, whatever it raises.

    attempt ─► returns ─► over (`retry`, `once`), or a pause and the next attempt (`run`)
       ▲  └─► raises, whatever it is: logged, told when it begins to fail, shown by `jailctl host show`
       └───────── back-off, longer each time ◄──┘

A name is one task: what is begun under the name of one that is under way is that one. Intervals are of the monotonic
clock, so no step of the wall clock stops or hurries anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog

from jaild.model.errors import JaildError, UnavailableError
from jaild.model.views import BackgroundTask
from jaild.ports.clock import Clock

_T = TypeVar("_T")
_GRACE = 30.0  # seconds that tasks are given to end when the daemon does
_TOLD = 500  # characters of an error that are kept for people


class Tell(Protocol):
    """What appends an event."""

    def __call__(self, kind: str, target: str, message: str) -> Awaitable[None]:
        """Append; it is on disk when this returns."""


@dataclass(frozen=True)
class BackOff:
    """Pauses in seconds after attempts that failed: the first, doubled after each up to the longest."""

    first: float = 0.5
    longest: float = 30.0

    def after(self, failures: int) -> float:
        """Return the pause after so many failures in a row (1 or more)."""
        return float(min(self.first * 2 ** min(failures - 1, 32), self.longest))


_USUAL = BackOff()


@dataclass
class _State:
    """What is known of one task. Times are monotonic."""

    name: str
    target: str
    lasting: bool
    attempts: int = 0
    failures: int = 0  # in a row
    error: str = ""
    failing_since: float = 0.0
    attempt_since: float | None = None  # None between attempts


class Supervisor:
    """Begins, watches and ends background tasks. Nothing that one raises ends it, makes it spin or silences it."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self._clock = clock
        self._tell = tell
        self._states: dict[str, _State] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._closed = False
        self._log = structlog.get_logger("jaild.supervisor")

    # -- beginning

    def run(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        every: float,
        back_off: BackOff = _USUAL,
        target: str = "host",
    ) -> None:
        """Do `work` for ever, `every` so many seconds; after a failure the back-off's pause, if that is longer.

        `target`: the resource that its events are about.
        """

        async def loop(state: _State) -> None:
            while True:
                done = await self._attempt(state, work)
                await self._clock.sleep(every if done else max(every, back_off.after(state.failures)))

        self._begin(_State(name, target, lasting=True), loop)

    def retry(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        pause: BackOff = _USUAL,
        after: float = 0.0,
        target: str = "host",
        lasting: bool = False,
    ) -> None:
        """Do `work` until it returns instead of raising; for the first time `after` so many seconds.

        What cannot be done yet raises a `JaildError` that says why. `lasting`: an attempt goes on for long in the best
        of cases (a run is watched until it ends), so `idle` does not wait for it.
        """

        async def loop(state: _State) -> None:
            if after:
                await self._clock.sleep(after)
            while not await self._attempt(state, work):
                await self._clock.sleep(pause.after(state.failures))

        self._begin(_State(name, target, lasting=lasting), loop)

    async def insist(
        self, name: str, work: Callable[[], Awaitable[_T]], *, pause: BackOff = _USUAL, target: str = "host"
    ) -> _T:
        """Do `work` until it returns, and return that: for what its caller cannot go on without.

        A caller that is cancelled leaves it behind. `UnavailableError` (SHUTTING_DOWN) if the supervisor is closed
        meanwhile; if it is closed already, `work` is done once, and raises what it raises.
        """

        async def loop(state: _State) -> _T:
            results: list[_T] = []

            async def keep() -> None:
                results.append(await work())

            while not await self._attempt(state, keep):
                await self._clock.sleep(pause.after(state.failures))
            return results[0]

        if self._closed and name not in self._tasks:
            return await work()
        self._begin(_State(name, target, lasting=False), loop)
        return await answer_of(self._tasks[name])

    def once(self, name: str, work: Callable[[], Coroutine[Any, Any, _T]], *, target: str = "host") -> asyncio.Task[_T]:
        """Do `work` once; what it raises is for whoever awaits the task, and is told if it is no `JaildError`.

        `UnavailableError` (SHUTTING_DOWN) when the supervisor is closed.
        """

        async def single(state: _State) -> _T:
            state.attempts, state.attempt_since = 1, self._clock.monotonic()
            try:
                return await work()
            except JaildError:
                raise
            except Exception as error:
                await self._failed(state, error)
                raise

        if self._closed and name not in self._tasks:
            raise shutting_down()
        self._begin(_State(name, target, lasting=False), single)
        return self._tasks[name]

    def _begin(self, state: _State, loop: Callable[[_State], Coroutine[Any, Any, object]]) -> None:
        name = state.name
        if name in self._tasks:
            return
        if self._closed:
            self._log.info("not begun: the daemon is stopping", task=name)
            return
        self._states[name] = state
        # What lasts is nobody's: it must not be told under the ids of whoever began it.
        context = Context() if state.lasting else None
        self._tasks[name] = asyncio.create_task(loop(state), name=name, context=context)
        self._tasks[name].add_done_callback(lambda task: self._over(name, task))

    def _over(self, name: str, task: asyncio.Task[Any]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name], self._states[name]
        if not task.cancelled():
            task.exception()  # it has been told, or is whoever's that awaits it

    # -- one attempt

    async def _attempt(self, state: _State, work: Callable[[], Awaitable[object]]) -> bool:
        """Return whether the work was done. A cancellation that nobody asked this task for is a failure as well."""
        state.attempts += 1
        state.attempt_since = self._clock.monotonic()
        try:
            await work()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            await self._failed(state, error)
            return False
        except Exception as error:  # noqa: BLE001 -- no kind of error ends a background task
            await self._failed(state, error)
            return False
        finally:
            state.attempt_since = None
        if state.failures:
            attempts, state.failures, state.error = state.failures + 1, 0, ""
            await self._told("task.recovered", state, f"{state.name}: done at attempt {attempts}")
        return True

    async def _failed(self, state: _State, error: BaseException) -> None:
        state.failures += 1
        expected = isinstance(error, JaildError)
        state.error = (str(error) if expected else f"{type(error).__name__}: {error}")[:_TOLD]
        if state.failures == 1:
            state.failing_since = self._clock.monotonic()
        log = self._log.bind(task=state.name, attempt=state.attempts)
        if isinstance(error, JaildError):
            log.warning("not done yet", reason=error.reason, error=str(error), exc_info=state.failures == 1)
        else:
            log.error("a background task failed: a defect of jaild, report it", exc_info=error)
        if state.failures == 1:
            await self._told("task.failed", state, f"{state.name}: {state.error}")

    async def _told(self, kind: str, state: _State, message: str) -> None:
        try:
            await self._tell(kind, state.target, message)
        except Exception:  # noqa: BLE001 -- the store fails too: the task goes on
            self._log.exception("cannot tell", task=state.name)

    # -- what is under way

    def is_under_way(self, name: str) -> bool:
        """Whether there is a task of that name, at work or in a pause."""
        return name in self._tasks

    async def over(self, name: str) -> None:
        """Wait until there is no task of that name."""
        while task := self._tasks.get(name):
            await asyncio.wait({task})

    async def end(self, name: str) -> None:
        """End a task and wait until it has ended; nothing if there is none of that name."""
        if task := self._tasks.get(name):
            task.cancel()
            await asyncio.wait({task})

    def drop(self, name: str) -> None:
        """End a task without waiting: another may be begun under its name at once."""
        if task := self._tasks.pop(name, None):
            del self._states[name]
            task.cancel()

    async def idle(self) -> None:
        """Wait until nothing is under way but what lasts: the tasks of `run`, and those that are said to be so."""
        while tasks := [task for name, task in self._tasks.items() if not self._states[name].lasting]:
            await asyncio.wait(tasks)

    def statistics(self) -> tuple[BackgroundTask, ...]:
        """Return what every task is doing, by name."""
        now, wall = self._clock.monotonic(), self._clock.now()
        return tuple(
            BackgroundTask(
                name=state.name,
                target=state.target,
                attempts=state.attempts,
                failures=state.failures,
                error=state.error,
                failing_since=wall - (now - state.failing_since) if state.failures else 0.0,
                at_work=0.0 if state.attempt_since is None else now - state.attempt_since,
            )
            for _, state in sorted(self._states.items())
        )

    async def close(self) -> None:
        """End all, and take no more: the next start goes on. What does not end in half a minute is left behind."""
        self._closed = True
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_GRACE)
            for task in late:
                self._log.error("does not end", task=task.get_name())


def shutting_down() -> UnavailableError:
    """Return what is answered while the daemon ends."""
    return UnavailableError("SHUTTING_DOWN", "the daemon is stopping", hint="try again when it is back")


async def answer_of(task: asyncio.Task[_T]) -> _T:
    """Wait for a task that goes on if its caller is cancelled. `UnavailableError` (SHUTTING_DOWN) if it is ended."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            raise shutting_down() from None
        raise
