"""Pipes of programs: pieces that are whole, writes of any size, and an end that is always heard of."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import AsyncIterator

import pytest

from jaild.adapters.system.pipes import PipeReader, PipeWriter, make_pipe

_SIZE = 1 << 18


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[PipeReader, PipeWriter]]:
    reading, writing = make_pipe()
    reader, writer = PipeReader(reading), PipeWriter(writing)
    yield reader, writer
    reader.close()
    writer.close()


async def test_a_read_takes_what_is_there_and_does_not_wait_for_more(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    await writer.write(b"abc")
    assert await reader.read(2) == b"ab"
    assert await reader.read(100) == b"c"


async def test_what_is_filled_is_whole_whatever_came_at_a_time_and_the_last_is_the_rest(
    pipe: tuple[PipeReader, PipeWriter],
) -> None:
    reader, writer = pipe
    filling = asyncio.create_task(reader.fill(10))
    for part in (b"abc", b"defg", b"hijklm"):
        await writer.write(part)
        await asyncio.sleep(0)
    assert await filling == b"abcdefghij"
    writer.close()
    assert await reader.fill(10) == b"klm"
    assert await reader.fill(10) == b""


async def test_more_than_a_pipe_holds_arrives_in_order(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    data = os.urandom(5 * _SIZE + 7)

    async def write() -> None:
        await writer.write(data)
        writer.close()

    writing = asyncio.create_task(write())
    pieces = [await reader.fill(_SIZE) for _ in range(6)]
    await writing
    assert b"".join(pieces) == data
    assert [len(piece) for piece in pieces] == [_SIZE] * 5 + [7]


async def test_whoever_always_finds_something_lets_others_have_their_turn(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    for _ in range(20):
        await writer.write(b"x")
        await reader.read(1)
        await writer.write(b"x")
        await reader.fill(1)
    beside.cancel()
    assert turns >= 40


async def test_a_reader_that_goes_ends_a_write_that_waits(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    writing = asyncio.create_task(writer.write(bytes(4 << 20)))
    await asyncio.sleep(0)
    reader.close()
    with pytest.raises(BrokenPipeError):
        await writing
    with pytest.raises(BrokenPipeError):
        await writer.write(b"x")


async def test_whoever_waits_is_told_of_a_close_on_this_side(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    reading = asyncio.create_task(reader.fill(10))
    await writer.write(b"ab")
    await asyncio.sleep(0)
    reader.close()
    reader.close()
    assert await reading in {b"", b"ab"}
    assert await reader.read(1) == b""
    writer.close()
    with pytest.raises(BrokenPipeError):
        await writer.write(b"x")


async def test_a_write_that_is_given_up_leaves_nothing_that_waits(pipe: tuple[PipeReader, PipeWriter]) -> None:
    reader, writer = pipe
    writing = asyncio.create_task(writer.write(bytes(4 << 20)))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    writer.close()
    taken = 0
    while piece := await reader.read(_SIZE):
        taken += len(piece)
    assert 0 < taken < 4 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have one size here")
def test_a_pipe_that_may_not_be_large_is_an_ordinary_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError

    sizes = []
    for allowed in (True, False):
        with monkeypatch.context() as kernel:
            if not allowed:
                kernel.setattr(fcntl, "fcntl", refused)
            ends = make_pipe(large=True)
        sizes.append(fcntl.fcntl(ends[0], fcntl.F_GETPIPE_SZ))
        for end in ends:
            os.close(end)
    assert sizes[0] > sizes[1]
