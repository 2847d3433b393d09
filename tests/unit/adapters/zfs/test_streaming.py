"""Streams from a sender and into a receiver, of ordinary programs: which end is told of what, and what it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs import streaming
from jaild.adapters.zfs.streaming import PIECE
from jaild.model.errors import InternalError

_PIECES = 8


async def pieces(count: int, *, size: int = PIECE) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


async def silent() -> AsyncIterator[bytes]:
    yield b"x\n"
    await asyncio.Event().wait()


async def test_a_stream_comes_in_whole_pieces_and_a_bad_end_before_the_last() -> None:
    script = f"head -c {2 * PIECE + 5} /dev/zero; exit 3"
    async with ProcessRunner().start(["sh", "-c", script]) as child:
        stream = streaming.sent(child, "tank/a")
        assert [len(await anext(stream)) for _ in range(2)] == [PIECE, PIECE]
        with pytest.raises(InternalError):
            await anext(stream)


async def test_a_receiver_gets_all_and_then_the_end() -> None:
    async with ProcessRunner().start(["sh", "-c", f"test $(wc -c) = {_PIECES * PIECE}"]) as child:
        assert (await streaming.feed(child, pieces(_PIECES))).status == 0


async def test_a_receiver_that_ends_is_not_fed_though_its_sender_says_nothing() -> None:
    async with ProcessRunner().start(["sh", "-c", "read x; exit 4"]) as child, asyncio.timeout(20):
        assert (await streaming.feed(child, silent())).status == 4


async def test_a_receiver_that_ends_amid_a_piece_tells_why_by_its_status() -> None:
    async with ProcessRunner().start(["sh", "-c", "head -c 10 > /dev/null; exit 5"]) as child, asyncio.timeout(20):
        assert (await streaming.feed(child, pieces(1000))).status == 5


@pytest.mark.parametrize("error", [BrokenPipeError("theirs"), RuntimeError("theirs")])
async def test_what_the_sender_raises_comes_out_when_the_receiver_has_ended(error: Exception) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise error

    async with ProcessRunner().start(["sh", "-c", "cat > /dev/null; exit 6"]) as child:
        with pytest.raises(type(error), match="theirs"):
            await streaming.feed(child, broken())
        assert (await child.wait()).status == 6


async def test_a_receive_that_is_cancelled_lets_the_receiver_come_to_its_end() -> None:
    async with ProcessRunner().start(["sh", "-c", "cat > /dev/null; exit 7"]) as child:
        feeding = asyncio.create_task(streaming.feed(child, silent()))
        await asyncio.sleep(0)
        feeding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await feeding
        assert (await child.wait()).status == 7


async def test_a_stream_takes_no_task_for_each_piece() -> None:
    made = 0

    def counting(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> Any:
        nonlocal made
        made += 1
        return asyncio.Task(work, loop=loop, **how)

    async with ProcessRunner().start(["cat"]) as child, ProcessRunner().start(["cat"]) as sender:
        draining = asyncio.create_task(_drained(child.read()))
        filling = asyncio.create_task(_filled(sender))
        asyncio.get_running_loop().set_task_factory(counting)
        await streaming.feed(child, streaming.sent(sender, "tank/a"))
        asyncio.get_running_loop().set_task_factory(None)
        assert await draining == 100 * PIECE
        await filling
    assert made < 10


async def _filled(child: Any) -> None:
    for _ in range(100):
        await child.write(bytes(PIECE))
    await child.close_stdin()


async def _drained(stream: AsyncIterator[bytes]) -> int:
    return sum([len(piece) async for piece in stream])
