"""Calls that are cancelled inside the daemon: gRPC tells their caller nothing, so the interceptor does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2

from jaild.v1 import bases_pb2, events_pb2, jails_pb2
from tests.fakes.use_cases import made, stubs
from tests.fakes.use_cases.every import Fakes

Call = Callable[[grpc.aio.Channel], Awaitable[Any]]


async def started(channel: grpc.aio.Channel) -> Any:
    return await stubs.jails(channel).StartJail(jails_pb2.StartJailRequest(name="jails/web"))


async def waited(channel: grpc.aio.Channel) -> Any:
    return await stubs.operations(channel).WaitOperation(operations_pb2.WaitOperationRequest(name="operations/op-1"))


async def watched(channel: grpc.aio.Channel) -> Any:
    return await stubs.events(channel).WatchEvents(events_pb2.WatchEventsRequest()).read()


async def uploaded(channel: grpc.aio.Channel) -> Any:
    header = bases_pb2.ImportBaseRequest(header=bases_pb2.ImportBaseHeader(base_id="debian-12"))
    return await stubs.bases(channel).ImportBase(stubs.stream(header))


async def executed(channel: grpc.aio.Channel) -> Any:
    start = jails_pb2.ExecInJailRequest(start=jails_pb2.ExecStart(name="jails/web", command=["cat"]))
    return await stubs.jails(channel).ExecInJail(stubs.stream(start)).read()


@pytest.mark.parametrize("call", [started, waited, watched, uploaded, executed])
async def test_a_call_that_the_daemon_breaks_off_is_answered_and_does_not_wait_for_ever(
    fakes: Fakes, local: grpc.aio.Channel, call: Call
) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    for used in (fakes.jails, fakes.operations, fakes.events, fakes.bases):
        used.refusal = asyncio.CancelledError()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(10):
            await call(local)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert stubs.error_in(caught.value).reason == "INTERRUPTED"


async def test_the_audit_log_says_that_a_change_was_broken_off_and_not_that_its_caller_hung_up(
    fakes: Fakes, local: grpc.aio.Channel
) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    fakes.jails.refusal = asyncio.CancelledError()
    with stubs.refused("INTERRUPTED"):
        async with asyncio.timeout(10):
            await started(local)
    assert [entry.outcome for entry in fakes.audit.kept] == ["UNAVAILABLE INTERRUPTED"]
