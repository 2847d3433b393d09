"""Threads that are done at once: what a hand-over between threads costs is most of a short test's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def done_at_once(
    loop: asyncio.AbstractEventLoop, executor: object, func: Callable[..., _T], *args: Any
) -> asyncio.Future[_T]:
    """Do a thread's work when it is begun, as `loop.run_in_executor`; who waits hears of it one turn later."""
    del executor
    future: asyncio.Future[_T] = loop.create_future()
    try:
        done = func(*args)
    except StopIteration as error:
        loop.call_soon(_tell, future, future.set_exception, RuntimeError(str(error)))
    except Exception as error:  # noqa: BLE001 -- as an executor does
        loop.call_soon(_tell, future, future.set_exception, error)
    else:
        loop.call_soon(_tell, future, future.set_result, done)
    return future


def _tell(future: asyncio.Future[Any], tell: Callable[[Any], None], what: object) -> None:
    if not future.done():  # cancelled meanwhile
        tell(what)
