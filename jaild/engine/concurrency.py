"""What asyncio has no word for: works done together or undone, waiting in spite of a cancel, a lock, a memo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import structlog

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


async def gather_or_cancel(works: Iterable[Awaitable[None]]) -> None:
    """Do all; the first error ends the others, and is raised when they have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def for_each(things: Iterable[_T], work: Callable[[_T], Awaitable[None]], *, at_once: int) -> None:
    """Do `work` for each, so many at once, begun in their order; the first error ends all, and is raised."""
    left = iter(things)

    async def worker() -> None:
        for thing in left:
            await work(thing)
            await asyncio.sleep(0)  # work that waits for nothing leaves others their turn, too

    await gather_or_cancel(worker() for _ in range(at_once))


@asynccontextmanager
async def undo_on_error(undo: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Undo the block if it fails or is cancelled: to its end, and what the block raised is raised.

    The way back of what is too small for a saga: one thing is made, and whatever goes wrong next takes it away again.
    An undo that fails is logged: what it leaves is repaired at the next start, and why it was needed matters more.
    """
    try:
        yield
    except BaseException as error:
        try:
            await to_its_end(undo())
        except Exception as failure:  # noqa: BLE001 -- as above
            structlog.get_logger("jaild.undo").warning("not undone", error=repr(failure), why=repr(error))
        raise


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


class ReadWriteLock:
    """A lock that some share. Who wants it exclusively waits for those that have it, and keeps later ones out."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Have it with others that share it."""
        async with self._door:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Have it with nobody else."""
        async with self._door:
            await self._empty.wait()
            yield


class Memo(Generic[_K, _T]):
    """What never changes, computed once for each key and kept: those used last, of `limit` in all by their weights.

    Forty who ask for one at the same time wait for whoever asked first. What it raises, or is cancelled by, is its own:
    the next computes it.
    """

    def __init__(self, limit: int, weight: Callable[[_T], int] = lambda _: 1) -> None:
        self._limit = limit
        self._weight = weight
        self._kept: dict[_K, tuple[_T, int]] = {}  # with their weights; least recently used first
        self._total = 0
        self._computing: WeakValueDictionary[_K, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: _K, compute: Callable[[], Awaitable[_T]], *, lasts: Callable[[_T], bool] = bool) -> _T:
        """Return it. What `lasts` denies, by default what is empty, is not kept: it may be for want of a mount."""
        if (lock := self._computing.get(key)) is None:
            lock = self._computing[key] = asyncio.Lock()
        async with lock:
            if (kept := self._kept.pop(key, None)) is None:
                value = await compute()
                if not lasts(value):
                    return value
                kept = value, self._weight(value)
                self._total += kept[1]
            self._kept[key] = kept  # the last used
            while self._total > self._limit:
                self._total -= self._kept.pop(next(iter(self._kept)))[1]
            return kept[0]
