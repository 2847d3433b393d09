"""The Peer service: what another host's daemon asks of this one."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.api import auth, uploads
from jaild.api.auth import Context
from jaild.api.use_cases import Incoming
from jaild.domain.errors import PermissionDeniedError
from jaild.domain.peering import Received, ReceiveHeader
from jaild.peer.v1 import peer_pb2
from jaild.wire import peering, structs


class PeerServicer:
    """Answers `jaild.peer.v1.Peer`."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    async def Hello(self, request: peer_pb2.HelloRequest, _: Context) -> peer_pb2.HelloResponse:  # noqa: N802  # gRPC's
        """Introduce this host."""
        hello = await self._incoming.hello(request.host_id, request.host_name, request.protocol)
        return structs.message_of(hello, peer_pb2.HelloResponse)

    async def Preflight(self, request: peer_pb2.PreflightRequest, _: Context) -> peer_pb2.PreflightResponse:  # noqa: N802
        """Say whether a jail would be taken."""
        require_itself(request.source_name)
        return peering.acceptance_message(await self._incoming.preflight(peering.offer_of(request)))

    async def Begin(self, request: peer_pb2.BeginRequest, _: Context) -> peer_pb2.BeginResponse:  # noqa: N802
        """Begin a migration."""
        require_itself(request.offer.source_name)
        self._require_party(request.offer.migration)
        acceptance = await self._incoming.begin(peering.offer_of(request.offer))
        return peer_pb2.BeginResponse(preflight=peering.acceptance_message(acceptance))

    async def Receive(  # noqa: N802
        self, requests: AsyncIterator[peer_pb2.ReceiveRequest], context: Context
    ) -> peer_pb2.ReceiveResponse:
        """Receive one ZFS stream."""
        header = peering.struct_of(await uploads.first(requests), ReceiveHeader)
        self._require_party(header.migration)

        async def receive(chunks: AsyncIterator[bytes]) -> Received:
            return await self._incoming.receive(header, chunks)

        return structs.message_of(await uploads.hand_on(requests, context, receive), peer_pb2.ReceiveResponse)

    async def Prepare(self, request: peer_pb2.PrepareRequest, _: Context) -> peer_pb2.PrepareResponse:  # noqa: N802
        """First half of the hand-over."""
        self._require_party(request.migration)
        phase = await self._incoming.prepare(request.migration, request.epoch, dict(request.guids))
        return peer_pb2.PrepareResponse(phase=phase)

    async def Activate(self, request: peer_pb2.ActivateRequest, _: Context) -> peer_pb2.ActivateResponse:  # noqa: N802
        """Second half of the hand-over."""
        self._require_party(request.migration)
        activation = await self._incoming.activate(request.migration, request.epoch)
        return structs.message_of(activation, peer_pb2.ActivateResponse)

    async def Abort(self, request: peer_pb2.AbortRequest, _: Context) -> peer_pb2.AbortResponse:  # noqa: N802
        """Throw away what was received."""
        self._require_party(request.migration)
        return peer_pb2.AbortResponse(phase=await self._incoming.abort(request.migration))

    async def Resolve(self, request: peer_pb2.ResolveRequest, _: Context) -> peer_pb2.ResolveResponse:  # noqa: N802
        """Say how a hand-over ended."""
        self._require_party(request.migration)
        return structs.message_of(await self._incoming.resolve(request.migration), peer_pb2.ResolveResponse)

    def _require_party(self, migration: str) -> None:
        require_party(self._incoming, migration)


def require_party(incoming: Incoming, migration: str) -> None:
    """Let only the two hosts of a migration act on it; one that is not known here answers for itself."""
    peer = incoming.peer_of(migration)
    if peer:
        require_itself(peer)


def require_itself(name: str) -> None:
    """Raise `PermissionDeniedError` (PEER_MISMATCH) unless the caller's certificate is that of the host `name`."""
    caller = auth.current()
    if caller.actor not in {name, auth.LOCAL}:
        raise PermissionDeniedError(
            "PEER_MISMATCH",
            f"{caller.actor} speaks of a migration of {name}",
            remedy="give each host a certificate with its own configured name",
            detail={"actor": caller.actor, "peer": name},
        )
