"""A call that blocks in the kernel holds up nobody but who asked for it, and that one not for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from jaild.adapters.system.own_thread import in_own_thread, unended
from jaild.model.errors import DeadlineExceededError

MANY = 70  # more than any pool of asyncio's has threads

HANGS = """
import asyncio, threading
from jaild.adapters.system.own_thread import in_own_thread
from jaild.model.errors import DeadlineExceededError

async def main():
    try:
        await in_own_thread(threading.Event().wait, "hang", patience=0.01)
    except DeadlineExceededError:
        print("given up")

asyncio.run(main())
"""


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """What a call of the test waits for."""
    event = threading.Event()
    yield event
    event.set()


async def test_what_a_call_returns_or_raises_is_had() -> None:
    assert await in_own_thread(lambda: 7, "seven") == 7
    for raised in (OSError(16, "Device busy"), TimeoutError("its own")):

        def fail(error: OSError = raised) -> None:
            raise error

        with pytest.raises(OSError) as failed:
            await in_own_thread(fail, "fail")
        assert failed.value is raised


async def test_a_call_that_hangs_is_given_up_after_its_time_and_holds_up_no_other(held: threading.Event) -> None:
    async def hang() -> str:
        with pytest.raises(DeadlineExceededError) as late:
            await in_own_thread(held.wait, "mount /x", patience=0.05)
        return late.value.reason + late.value.message

    hanging = [asyncio.create_task(hang()) for _ in range(MANY)]
    assert await in_own_thread(lambda: 7, "seven") == 7
    assert set(await asyncio.gather(*hanging)) == {
        "COMMAND_TIMEOUTmount /x: not done after 0.05 s; it may still be done"
    }


async def test_a_call_that_was_given_up_is_told_for_as_long_as_it_hangs(held: threading.Event) -> None:
    with pytest.raises(DeadlineExceededError):
        await in_own_thread(held.wait, "mount /told", patience=0.05)
    assert [each for each in unended() if each.startswith("mount /told (a call into the kernel) does not end, 0 s")]
    held.set()
    for thread in threading.enumerate():
        if thread.name == "mount /told":
            thread.join(5)
    assert not [each for each in unended() if each.startswith("mount /told")]


async def test_who_is_cancelled_waits_until_the_call_changes_nothing_any_more(held: threading.Event) -> None:
    changed: list[str] = []

    def change() -> None:
        held.wait()
        changed.append("late")

    waiting = asyncio.create_task(in_own_thread(change, "change"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    held.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert changed == ["late"]


async def test_who_is_cancelled_waits_no_longer_than_for_the_call(held: threading.Event) -> None:
    waiting = asyncio.create_task(in_own_thread(held.wait, "hang", patience=0.01))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 5)


def test_a_process_ends_although_a_call_of_it_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "given up\n"
