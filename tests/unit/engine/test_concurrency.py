"""A lock that is shared or exclusive, works that are done together, blocks that take away what they have made."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from jaild.engine.concurrency import Memo, ReadWriteLock, for_each, gather_or_cancel, undo_on_error
from jaild.model.errors import InternalError


async def test_who_wants_it_exclusively_waits_for_those_that_are_in_and_keeps_later_ones_out() -> None:
    lock, both, leave, told = ReadWriteLock(), asyncio.Event(), asyncio.Event(), list[str]()

    async def shared(name: str) -> None:
        async with lock.shared():
            told.append(f"{name} in")
            if told == ["one in", "two in"]:
                both.set()
            await leave.wait()
            told.append(f"{name} out")

    async def exclusive() -> None:
        async with lock.exclusive():
            told.append("alone")
            await asyncio.sleep(0)
            told.append("not any more")

    tasks = [asyncio.create_task(each) for each in (shared("one"), shared("two"), exclusive(), shared("late"))]
    await both.wait()
    leave.set()
    await asyncio.gather(*tasks)
    assert told == ["one in", "two in", "one out", "two out", "alone", "not any more", "late in", "late out"]


async def test_who_gives_up_waiting_for_it_exclusively_keeps_nobody_out() -> None:
    lock = ReadWriteLock()
    async with lock.shared():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), lock.exclusive():
                raise AssertionError
        async with asyncio.timeout(10), lock.shared():
            pass
    async with asyncio.timeout(10), lock.exclusive():
        pass


async def test_one_that_fails_lets_go() -> None:
    lock = ReadWriteLock()
    for entering in (lock.shared, lock.exclusive):
        with pytest.raises(KeyError):
            async with entering():
                raise KeyError
    async with asyncio.timeout(10), lock.exclusive():
        pass


async def test_what_is_done_together_is_under_way_at_once() -> None:
    both = asyncio.Barrier(2)

    async def work() -> None:
        await both.wait()

    async with asyncio.timeout(10):
        await gather_or_cancel([work(), work()])


async def test_the_first_error_ends_the_others_and_is_raised_when_they_have_ended() -> None:
    ended = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("slow")

    async def bad() -> None:
        await asyncio.sleep(0)
        raise KeyError("bad")

    with pytest.raises(KeyError, match="bad"):
        await gather_or_cancel([slow(), bad(), slow()])
    assert ended == ["slow", "slow"]


async def test_who_is_cancelled_ends_all_that_it_does_together() -> None:
    begun, ended = asyncio.Event(), list[str]()

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("slow")

    task = asyncio.create_task(gather_or_cancel([slow(), slow()]))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["slow", "slow"]


# -- a block that takes away what it has made if it fails

FIRST = InternalError("COMMAND_FAILED", "the disk does not answer", hint="replace it")


class Place:
    """Where a thing is made and taken away; `slow`: only when it is let go on."""

    def __init__(self, *, slow: bool = False, sticks: bool = False) -> None:
        self.there = False
        self.sticks = sticks
        self.leaving, self.go_on = asyncio.Event(), asyncio.Event()
        if not slow:
            self.go_on.set()

    async def make(self, error: BaseException | None = None) -> None:
        async with undo_on_error(self.clear):
            self.there = True
            if error is not None:
                raise error

    async def wait(self) -> None:
        async with undo_on_error(self.clear):
            self.there = True
            await asyncio.Event().wait()

    async def clear(self) -> None:
        self.leaving.set()
        await self.go_on.wait()
        if self.sticks:
            raise InternalError("COMMAND_FAILED", "something holds it", hint="see what")
        self.there = False


async def test_what_a_block_has_made_stays_if_it_ends_well() -> None:
    place = Place()
    await place.make()
    assert place.there


async def test_a_block_that_fails_takes_away_what_it_has_made() -> None:
    place = Place()
    with pytest.raises(InternalError) as raised:
        await place.make(FIRST)
    assert raised.value is FIRST
    assert not place.there


async def test_what_cannot_be_taken_away_does_not_hide_why_it_had_to_go() -> None:
    place = Place(sticks=True)
    with pytest.raises(InternalError) as raised:
        await place.make(FIRST)
    assert raised.value is FIRST
    assert place.there


async def test_a_block_that_is_cancelled_again_and_again_is_undone_to_its_end_all_the_same() -> None:
    place = Place(slow=True)
    task = asyncio.create_task(place.wait(), name="block")
    await asyncio.sleep(0)
    task.cancel()
    await place.leaving.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    place.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not place.there


async def test_so_many_are_done_at_once_and_no_more_and_they_are_begun_in_their_order() -> None:
    begun, under_way, most = list[int](), 0, 0

    async def work(number: int) -> None:
        nonlocal under_way, most
        begun.append(number)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    await for_each(range(20), work, at_once=4)
    assert (begun, most) == (list(range(20)), 4)


async def test_the_first_error_ends_those_that_are_under_way_and_begins_no_more() -> None:
    begun, ended = list[int](), list[int]()

    async def work(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise InternalError("COMMAND_FAILED", "two")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(InternalError, match="two"):
        await for_each(range(20), work, at_once=3)
    assert (begun, ended) == ([0, 1, 2], [0, 1])


async def computed_in_turn(memo: Memo[str, str], calls: list[str], *asked: str) -> list[str]:
    async def compute(key: str) -> str:
        calls.append(key)
        await asyncio.sleep(0)
        return key.strip()

    return [await memo.get(key, partial(compute, key)) for key in asked]


async def test_what_many_ask_for_at_once_is_computed_once() -> None:
    memo, calls = Memo[str, str](9), list[str]()
    found = await asyncio.gather(*(computed_in_turn(memo, calls, "a") for _ in range(40)))
    assert found == [["a"]] * 40
    assert calls == ["a"]


async def test_those_used_last_are_kept_up_to_a_weight() -> None:
    memo, calls = Memo[str, str](5, len), list[str]()
    await computed_in_turn(memo, calls, "aa", "bb", "aa", "cc", "aa", "bb", "too large", "aa", "bb")
    assert calls == ["aa", "bb", "cc", "bb", "too large", "aa", "bb"]


async def test_what_is_empty_and_what_fails_is_computed_again() -> None:
    memo, calls = Memo[str, str](9), list[str]()
    await computed_in_turn(memo, calls, " ", " ")
    assert calls == [" ", " "]

    async def fail() -> str:
        raise InternalError("X", "told to")

    for _ in range(2):
        with pytest.raises(InternalError):
            await memo.get("a", fail)
    assert await computed_in_turn(memo, calls, "a") == ["a"]


async def test_who_waits_for_one_that_is_given_up_computes_it() -> None:
    memo, calls, never = Memo[str, str](9), list[str](), asyncio.Event()

    async def hang() -> str:
        await never.wait()
        return ""

    first = asyncio.ensure_future(memo.get("a", hang))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(computed_in_turn(memo, calls, "a"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ["a"]
