"""Another host's daemon, as far as salvaged files go (implements `jaild.ports.salvage.SalvagePeer`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from jaild.model.migration.protocol import ReceiveHeader
from jaild.peer.v1 import salvage_pb2
from jaild.ports.salvage import Written

_WORK = 600.0  # seconds: what came is made durable

Ask = Callable[[Any, Message, float], Awaitable[Any]]
Stream = Callable[[Any, ReceiveHeader, AsyncIterator[bytes]], Awaitable[Any]]


class GrpcSalvagePeer:
    """Asks by the means of a `GrpcPeer`."""

    def __init__(self, stub: Any, ask: Ask, stream: Stream) -> None:
        self._stub = stub
        self._ask = ask
        self._stream = stream

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Written:
        """Send the files of one dataset."""
        answer = await self._stream(self._stub.ReceiveFiles, header, chunks)
        return Written(entries=answer.entries, sha256=answer.sha256)

    async def finish(self, migration: str, report: str) -> dict[str, int]:
        """Tell it what is lost."""
        request = salvage_pb2.FinishFilesRequest(migration=migration, report=report)
        return dict((await self._ask(self._stub.FinishFiles, request, _WORK)).guids)
