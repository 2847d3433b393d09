"""The interceptor's end of endless streams, stepped through as gRPC does it: it writes between two responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from jaild.rpc.auth import SocketAuthenticator
from jaild.rpc.interceptor import Interceptor
from jaild.v1 import events_pb2
from tests.fakes.use_cases.host import FakeAudit


class Details:
    method = "/jaild.v1.Events/WatchEvents"


class Connection:
    """A call's context, on the unix socket. `told` is what the caller is told at the end."""

    def __init__(self) -> None:
        self.told = ""

    def cancelled(self) -> bool:
        return False

    async def abort(self, code: grpc.StatusCode, message: str, _: object) -> None:
        self.told = f"{code.name}: {message}"
        raise grpc.aio.AbortError


async def watched(_: object, __: object) -> AsyncIterator[events_pb2.Event]:
    yield events_pb2.Event(sequence=1)
    yield events_pb2.Event(sequence=2)
    await asyncio.Event().wait()


async def opened(interceptor: Interceptor, connection: Connection) -> AsyncIterator[events_pb2.Event]:
    async def continuation(_: object) -> Any:
        return grpc.unary_stream_rpc_method_handler(watched)

    handler = await interceptor.intercept_service(continuation, Details())  # type: ignore[arg-type]
    responses: AsyncIterator[events_pb2.Event] = handler.unary_stream(events_pb2.WatchEventsRequest(), connection)
    return responses


async def test_a_stream_that_is_being_written_is_not_cut_off_but_told_the_end_after_that() -> None:
    interceptor, connection = Interceptor(SocketAuthenticator(), FakeAudit()), Connection()
    responses = await opened(interceptor, connection)
    writing, written = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        async for _ in responses:
            writing.set()
            await written.wait()

    task = asyncio.create_task(call())
    await writing.wait()
    interceptor.end_streams()
    written.set()
    with pytest.raises(grpc.aio.AbortError):
        await task
    assert connection.told == "UNAVAILABLE: the daemon is stopping"


async def test_a_stream_that_waits_for_something_to_say_ends_at_once() -> None:
    interceptor, connection = Interceptor(SocketAuthenticator(), FakeAudit()), Connection()
    responses = await opened(interceptor, connection)
    seen, second = [], asyncio.Event()

    async def call() -> None:
        async for response in responses:
            seen.append(response.sequence)
            if len(seen) == 2:
                second.set()

    task = asyncio.create_task(call())
    await second.wait()
    interceptor.end_streams()
    with pytest.raises(grpc.aio.AbortError):
        await task
    assert (seen, connection.told) == ([1, 2], "UNAVAILABLE: the daemon is stopping")
