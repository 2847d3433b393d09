"""The Peer service: what another host's daemon asks of this one."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.model.access import Role
from jaild.model.migration.party import Arriving, Introduction, Leaving
from jaild.model.migration.protocol import Received, ReceiveHeader
from jaild.peer.v1 import peer_pb2
from jaild.rpc import auth, structs, uploads
from jaild.rpc.auth import Context
from jaild.rpc.messages import peers as peer_messages
from jaild.rpc.use_cases import Incoming, Parties


class PeerServicer:
    """Answers `jaild.peer.v1.Peer`. Each method asks first whether the caller may speak about it."""

    def __init__(self, incoming: Incoming, parties: Parties) -> None:
        self._incoming = incoming
        self._parties = parties

    async def Hello(self, request: peer_pb2.HelloRequest, _: Context) -> peer_pb2.HelloResponse:  # noqa: N802  # gRPC's
        """Introduce this host."""
        caller = auth.current()
        if Role.OPERATOR not in caller.roles or caller.actor == request.host_name:  # operators are no hosts: they ask
            await self._parties.require_party(caller.actor, Introduction(request.host_id, request.host_name))
        hello = await self._incoming.hello(request.host_id, request.host_name, request.protocol)
        return structs.message_of(hello, peer_pb2.HelloResponse)

    async def Preflight(self, request: peer_pb2.PreflightRequest, _: Context) -> peer_pb2.PreflightResponse:  # noqa: N802
        """Say whether a jail would be taken."""
        offer = peer_messages.offer_of(request)
        await self._parties.require_party(auth.speaker(), offer)
        return peer_messages.acceptance_message(await self._incoming.preflight(offer))

    async def Begin(self, request: peer_pb2.BeginRequest, _: Context) -> peer_pb2.BeginResponse:  # noqa: N802
        """Begin a migration."""
        offer = peer_messages.offer_of(request.offer)
        await self._parties.require_party(auth.speaker(), offer)
        return peer_pb2.BeginResponse(preflight=peer_messages.acceptance_message(await self._incoming.begin(offer)))

    async def Receive(  # noqa: N802
        self, requests: AsyncIterator[peer_pb2.ReceiveRequest], context: Context
    ) -> peer_pb2.ReceiveResponse:
        """Receive one ZFS stream."""
        header = peer_messages.struct_of(await uploads.first(requests), ReceiveHeader)
        await self._parties.require_party(auth.speaker(), Arriving(header.migration))

        async def receive(chunks: AsyncIterator[bytes]) -> Received:
            return await self._incoming.receive(header, chunks)

        return structs.message_of(await uploads.hand_on(requests, context, receive), peer_pb2.ReceiveResponse)

    async def Prepare(self, request: peer_pb2.PrepareRequest, _: Context) -> peer_pb2.PrepareResponse:  # noqa: N802
        """First half of the hand-over."""
        await self._parties.require_party(auth.speaker(), Arriving(request.migration))
        phase = await self._incoming.prepare(request.migration, request.epoch, dict(request.guids))
        return peer_pb2.PrepareResponse(phase=phase)

    async def Activate(self, request: peer_pb2.ActivateRequest, _: Context) -> peer_pb2.ActivateResponse:  # noqa: N802
        """Second half of the hand-over."""
        await self._parties.require_party(auth.speaker(), Arriving(request.migration))
        activation = await self._incoming.activate(request.migration, request.epoch)
        return structs.message_of(activation, peer_pb2.ActivateResponse)

    async def Abort(self, request: peer_pb2.AbortRequest, _: Context) -> peer_pb2.AbortResponse:  # noqa: N802
        """Throw away what was received."""
        source = auth.speaker()
        await self._parties.require_party(source, Arriving(request.migration))
        return peer_pb2.AbortResponse(phase=await self._incoming.abort(request.migration, source=source))

    async def Resolve(self, request: peer_pb2.ResolveRequest, _: Context) -> peer_pb2.ResolveResponse:  # noqa: N802
        """Say how a hand-over ended."""
        await self._parties.require_party(auth.speaker(), Leaving(request.migration))
        return structs.message_of(await self._incoming.resolve(request.migration), peer_pb2.ResolveResponse)
