"""A block that takes away what it has made if it fails."""

from __future__ import annotations

import asyncio

import pytest

from jaild.engine.undo import UndoOnError
from jaild.model.errors import InternalError

FIRST = InternalError("COMMAND_FAILED", "the disk does not answer", remedy="replace it")


class Place:
    """Where a thing is made and taken away; `slow`: only when it is let go on."""

    def __init__(self, *, slow: bool = False, sticks: bool = False) -> None:
        self.there = False
        self.sticks = sticks
        self.leaving, self.go_on = asyncio.Event(), asyncio.Event()
        if not slow:
            self.go_on.set()

    async def make(self, error: BaseException | None = None) -> None:
        async with UndoOnError(self.clear):
            self.there = True
            if error is not None:
                raise error

    async def wait(self) -> None:
        async with UndoOnError(self.clear):
            self.there = True
            await asyncio.Event().wait()

    async def clear(self) -> None:
        self.leaving.set()
        await self.go_on.wait()
        if self.sticks:
            raise InternalError("COMMAND_FAILED", "something holds it", remedy="see what")
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
