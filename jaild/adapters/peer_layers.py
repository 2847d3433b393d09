"""What another host has of layers (implements `jaild.ports.peer.LayersPeer`), by the means of a `GrpcPeer`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from google.protobuf.message import Message

from jaild.model.migration.party import Introduction
from jaild.model.migration.protocol import LayerOffer
from jaild.peer.v1 import layers_pb2
from jaild.rpc import structs

_ASK = 15.0  # seconds, for what is answered from memory

Ask = Callable[[Any, Message, float], Awaitable[Any]]
Read = Callable[[Any, Message], AbstractAsyncContextManager[AsyncIterator[Any]]]


class GrpcLayersPeer:
    """One host's layers."""

    def __init__(self, stub: Any, ask: Ask, read: Read) -> None:
        self._stub = stub
        self._ask = ask
        self._read = read

    async def describe(self, path: str, us: Introduction) -> tuple[LayerOffer, ...]:
        """Ask what a layer is."""
        request = layers_pb2.GetLayerRequest(path=path, host_id=us.host_id, host_name=us.host_name)
        answer = await self._ask(self._stub.GetLayer, request, _ASK)
        return tuple(structs.struct_of(each, LayerOffer) for each in answer.layers)

    @asynccontextmanager
    async def read(
        self, path: str, guid: int, us: Introduction, token: str = ""
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open its stream."""
        request = layers_pb2.SendLayerRequest(
            path=path, guid=guid, resume_token=token, host_id=us.host_id, host_name=us.host_name
        )
        async with self._read(self._stub.SendLayer, request) as messages:
            yield (message.chunk async for message in messages)
