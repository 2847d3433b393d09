"""The Standby service: what other hosts ask of this one about replicas and owners."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.api import uploads
from jaild.api.auth import Context
from jaild.api.peer import require_itself
from jaild.api.use_cases import Replicas
from jaild.domain.peering import Received, ReceiveHeader
from jaild.domain.replication import ReplicaOffer, RollBack, Supersession, WholeRound
from jaild.peer.v1 import peer_pb2, standby_pb2
from jaild.wire import peering, structs


class StandbyServicer:
    """Answers `jaild.peer.v1.Standby`."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    async def OfferReplica(  # noqa: N802  # gRPC's names
        self, request: standby_pb2.OfferReplicaRequest, _: Context
    ) -> standby_pb2.OfferReplicaResponse:
        """Say whether a replica is kept."""
        require_itself(request.source_name)
        state = await self._replicas.offer(peering.struct_of(request, ReplicaOffer))
        return peering.replica_state_message(state)

    async def ReceiveReplica(  # noqa: N802
        self, requests: AsyncIterator[peer_pb2.ReceiveRequest], context: Context
    ) -> peer_pb2.ReceiveResponse:
        """Receive one ZFS stream."""
        header = peering.struct_of(await uploads.first(requests), ReceiveHeader)
        require_itself(self._replicas.owner_of(header.migration))

        async def receive(chunks: AsyncIterator[bytes]) -> Received:
            return await self._replicas.receive(header, chunks)

        return structs.message_of(await uploads.hand_on(requests, context, receive), peer_pb2.ReceiveResponse)

    async def RollBackReplica(  # noqa: N802
        self, request: standby_pb2.RollBackReplicaRequest, _: Context
    ) -> standby_pb2.RollBackReplicaResponse:
        """Destroy what the owner does not have."""
        require_itself(self._replicas.owner_of(request.jail))
        destroyed = await self._replicas.roll_back(peering.struct_of(request, RollBack))
        return standby_pb2.RollBackReplicaResponse(destroyed=destroyed)

    async def CompleteRound(  # noqa: N802
        self, request: standby_pb2.CompleteRoundRequest, _: Context
    ) -> standby_pb2.CompleteRoundResponse:
        """Let a round count."""
        require_itself(self._replicas.owner_of(request.jail))
        await self._replicas.complete(peering.struct_of(request, WholeRound))
        return standby_pb2.CompleteRoundResponse()

    async def WithdrawReplica(  # noqa: N802
        self, request: standby_pb2.WithdrawReplicaRequest, _: Context
    ) -> standby_pb2.WithdrawReplicaResponse:
        """Destroy a replica."""
        if owner := self._replicas.owner_of(request.jail):
            require_itself(owner)
            await self._replicas.withdraw(request.jail, request.uid, request.epoch)
        return standby_pb2.WithdrawReplicaResponse()

    async def GetOwnership(  # noqa: N802
        self, request: standby_pb2.GetOwnershipRequest, _: Context
    ) -> standby_pb2.GetOwnershipResponse:
        """Tell what there is of a jail."""
        known = await self._replicas.ownership(request.jail, request.uid)
        return structs.message_of(known, standby_pb2.GetOwnershipResponse)

    async def HandOver(  # noqa: N802
        self, request: standby_pb2.HandOverRequest, _: Context
    ) -> standby_pb2.HandOverResponse:
        """Migrate a jail to the standby that asks."""
        require_itself(request.target)
        told = await self._replicas.hand_over(request.jail, request.uid, request.target, request.request_id)
        return structs.message_of(told, standby_pb2.HandOverResponse)

    async def GetHandOver(  # noqa: N802
        self, request: standby_pb2.HandOverRequest, _: Context
    ) -> standby_pb2.HandOverResponse:
        """Tell how a hand-over goes."""
        require_itself(request.target)
        told = await self._replicas.handing_over(request.target, request.jail, request.request_id)
        return structs.message_of(told, standby_pb2.HandOverResponse)

    async def Supersede(  # noqa: N802
        self, request: standby_pb2.SupersedeRequest, _: Context
    ) -> standby_pb2.SupersedeResponse:
        """Take note of a take-over."""
        require_itself(request.owner_name)
        epoch = await self._replicas.supersede(peering.struct_of(request, Supersession))
        return standby_pb2.SupersedeResponse(epoch=epoch)
