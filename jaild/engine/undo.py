"""The way back of what is too small for a saga: one thing is made, and whatever goes wrong next takes it away again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

_T = TypeVar("_T")


class UndoOnError:
    """A block that is undone if it fails or is cancelled: to its end, and what the block raised is raised.

    An undo that fails is logged: what it leaves is repaired at the next start, and why it was needed matters more.
    """

    def __init__(self, undo: Callable[[], Awaitable[object]]) -> None:
        self._undo = undo

    async def __aenter__(self) -> None:
        """Begin it."""

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Undo it for an error."""
        if error is None:
            return
        try:
            await to_its_end(self._undo())
        except Exception as failure:  # noqa: BLE001 -- as above
            structlog.get_logger("jaild.undo").warning("not undone", error=repr(failure), why=repr(error))


async def to_its_end(work: Awaitable[_T]) -> _T:
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
