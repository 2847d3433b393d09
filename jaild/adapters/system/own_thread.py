"""Calls into the kernel that may block for long: each in a thread of its own.

A thread that waits in the kernel, for a disk or a host that does not answer, can be ended by nobody. Here it holds up
neither other calls, as a thread of a pool would, nor the end of the daemon: Python does not wait for daemon threads.
It keeps the daemon's lock, as a command would: the kernel closes a process's files when its last thread has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from jaild.model.errors import DeadlineExceededError

T = TypeVar("T")

_PATIENCE = 120.0  # seconds, as a command has by default
_SHOWN = 20  # of those that do not end
_given_up: dict[threading.Thread, float] = {}  # and hang: when they were begun (monotonic)


async def in_own_thread(call: Callable[[], T], what: str, *, patience: float = _PATIENCE) -> T:
    """Return what `call` returns, or raise what it raises.

    After `patience` seconds `DeadlineExceededError` (COMMAND_TIMEOUT) about `what`: it may still be done later. Whoever
    is cancelled waits for its end, so that it changes nothing any more, and for no longer than that.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    done.add_done_callback(lambda future: future.exception())  # also when nobody waits any more
    thread = threading.Thread(target=_carry_out, args=(call, done, loop), name=what, daemon=True)
    begun = time.monotonic()
    thread.start()
    try:
        await asyncio.wait({done}, timeout=patience)
    except asyncio.CancelledError:
        await asyncio.wait({done}, timeout=patience)
        raise
    finally:
        if not done.done():
            _given_up[thread] = begun
    if not done.done():
        raise DeadlineExceededError(
            "COMMAND_TIMEOUT",
            f"{what}: not done after {patience:g} s; it may still be done",
            hint="look at what it waits for: a disk or a host that does not answer; then try again",
        )
    return done.result()


def unended() -> tuple[str, ...]:
    """Return a sentence about each call that was given up and still hangs, oldest first; at most a few."""
    for thread in [thread for thread in _given_up if not thread.is_alive()]:
        del _given_up[thread]
    now = time.monotonic()
    return tuple(
        f"{thread.name} (a call into the kernel) does not end, {now - begun:.0f} s after its start: see what it waits"
        " for, a disk most likely"
        for thread, begun in sorted(_given_up.items(), key=lambda each: each[1])[:_SHOWN]
    )


def _carry_out(call: Callable[[], T], done: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    try:
        settle = partial(done.set_result, call())
    except BaseException as error:  # noqa: BLE001 -- it is raised where the result is awaited
        settle = partial(done.set_exception, error)
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)
