"""An event loop of its own time: nothing waits, threads run at once, and what can never go on any more is told."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_MANY = 400_000  # turns of the loop in one run: more is a loop that never lets time go on


class StuckError(AssertionError):
    """Something waits for what can never come."""


class _Waiting(selectors.SelectSelector):
    """Nothing comes from outside: where a loop would wait, time is what goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.turns += 1
        if self.turns > _MANY:
            raise StuckError(f"{_MANY} turns of the loop without an end")
        if timeout is None:
            raise StuckError("everything waits, and nothing is due")
        self.time += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time moves on only while nothing is left to do at the present moment."""

    def __init__(self) -> None:
        self._waiting = _Waiting()
        super().__init__(self._waiting)

    def time(self) -> float:
        """Return the virtual time, in seconds from 0."""
        return self._waiting.time

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:  # type: ignore[override]  # noqa: ARG002
        """Call it now: what threads do is done in one order, always the same."""
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except StopIteration as error:
            future.set_exception(RuntimeError(str(error)))
        except Exception as error:  # noqa: BLE001 -- as an executor does
            future.set_exception(error)
        return future

    def carry_out(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run until it is done."""
        self._waiting.turns = 0
        return self.run_until_complete(work)


async def turns(count: int) -> None:
    """Let everybody get on by so many turns of the loop, in no time."""
    for _ in range(count):
        await asyncio.sleep(0)
