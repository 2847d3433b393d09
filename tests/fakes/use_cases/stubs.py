"""Clients' stubs, and what an error's trailer says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2_grpc
from google.rpc import status_pb2

from jaild.model.errors import JaildError
from jaild.peer.v1 import peer_pb2_grpc
from jaild.rpc import status
from jaild.v1 import (
    apps_pb2_grpc,
    base_making_pb2_grpc,
    bases_pb2_grpc,
    builds_pb2_grpc,
    changes_pb2_grpc,
    channels_pb2_grpc,
    evacuations_pb2_grpc,
    event_sinks_pb2_grpc,
    events_pb2_grpc,
    host_pb2_grpc,
    jails_pb2_grpc,
    migrations_pb2_grpc,
    rollouts_pb2_grpc,
    snapshots_pb2_grpc,
)


def apps(channel: grpc.aio.Channel) -> Any:
    return apps_pb2_grpc.AppsStub(channel)


def bases(channel: grpc.aio.Channel) -> Any:
    return bases_pb2_grpc.BasesStub(channel)


def base_making(channel: grpc.aio.Channel) -> Any:
    return base_making_pb2_grpc.BaseMakingStub(channel)


def builds(channel: grpc.aio.Channel) -> Any:
    return builds_pb2_grpc.BuildsStub(channel)


def channels(channel: grpc.aio.Channel) -> Any:
    return channels_pb2_grpc.ChannelsStub(channel)


def changes(channel: grpc.aio.Channel) -> Any:
    return changes_pb2_grpc.ChangesStub(channel)


def snapshots(channel: grpc.aio.Channel) -> Any:
    return snapshots_pb2_grpc.JailSnapshotsStub(channel)


def event_sinks(channel: grpc.aio.Channel) -> Any:
    return event_sinks_pb2_grpc.EventSinksStub(channel)


def events(channel: grpc.aio.Channel) -> Any:
    return events_pb2_grpc.EventsStub(channel)


def host(channel: grpc.aio.Channel) -> Any:
    return host_pb2_grpc.HostStub(channel)


def evacuations(channel: grpc.aio.Channel) -> Any:
    return evacuations_pb2_grpc.EvacuationsStub(channel)


def rollouts(channel: grpc.aio.Channel) -> Any:
    return rollouts_pb2_grpc.RolloutsStub(channel)


def jails(channel: grpc.aio.Channel) -> Any:
    return jails_pb2_grpc.JailsStub(channel)


def migrations(channel: grpc.aio.Channel) -> Any:
    return migrations_pb2_grpc.MigrationsStub(channel)


def operations(channel: grpc.aio.Channel) -> Any:
    return operations_pb2_grpc.OperationsStub(channel)


def peer(channel: grpc.aio.Channel) -> Any:
    return peer_pb2_grpc.PeerStub(channel)


def error_in(error: grpc.aio.AioRpcError) -> JaildError:
    """Return the error that the daemon sent."""
    trailer: Any = error.trailing_metadata()
    details = next((value for key, value in trailer if key == status.DETAILS), None)  # grpcio 1.72: no dict of it
    assert isinstance(details, bytes), error
    sent = status_pb2.Status.FromString(details)
    assert sent.code == error.code().value[0]
    found = status.error_of(sent)
    assert found is not None
    return found


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """Expect the daemon's refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert error_in(caught.value).reason == reason


async def stream(*messages: Any) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def open_stream(*messages: Any) -> AsyncIterator[Any]:
    """These, and then nothing: it goes on until the call is ended."""
    for message in messages:
        yield message
    await asyncio.Event().wait()
