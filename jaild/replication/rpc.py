"""The Standby service: what other hosts ask of this one about replicas and owners."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.model.migration import party
from jaild.model.migration.party import Replicated, Wanted
from jaild.model.migration.protocol import Received, ReceiveHeader
from jaild.model.replication.protocol import ReplicaOffer, RollBack, Supersession, WholeRound
from jaild.peer.v1 import peer_pb2, standby_pb2
from jaild.rpc import auth, structs, uploads
from jaild.rpc.auth import Context
from jaild.rpc.messages import peers as peer_messages
from jaild.rpc.use_cases import Parties, Replicas


class StandbyServicer:
    """Answers `jaild.peer.v1.Standby`. Methods ask first whether the caller may speak about the jail."""

    def __init__(self, replicas: Replicas, parties: Parties) -> None:
        self._replicas = replicas
        self._parties = parties

    async def OfferReplica(  # noqa: N802  # gRPC's names
        self, request: standby_pb2.OfferReplicaRequest, _: Context
    ) -> standby_pb2.OfferReplicaResponse:
        """Say whether a replica is kept."""
        offer = peer_messages.struct_of(request, ReplicaOffer)
        await self._parties.require_party(auth.speaker(), offer)
        state = await self._replicas.offer(offer)
        return peer_messages.replica_state_message(state)

    async def ReceiveReplica(  # noqa: N802
        self, requests: AsyncIterator[peer_pb2.ReceiveRequest], context: Context
    ) -> peer_pb2.ReceiveResponse:
        """Receive one ZFS stream."""
        header = peer_messages.struct_of(await uploads.first(requests), ReceiveHeader)
        await self._parties.require_party(auth.speaker(), Replicated(header.migration))

        async def receive(chunks: AsyncIterator[bytes]) -> Received:
            return await self._replicas.receive(header, chunks)

        return structs.message_of(await uploads.hand_on(requests, context, receive), peer_pb2.ReceiveResponse)

    async def RollBackReplica(  # noqa: N802
        self, request: standby_pb2.RollBackReplicaRequest, _: Context
    ) -> standby_pb2.RollBackReplicaResponse:
        """Destroy what the owner does not have."""
        await self._parties.require_party(auth.speaker(), Replicated(request.jail))
        destroyed = await self._replicas.roll_back(peer_messages.struct_of(request, RollBack))
        return standby_pb2.RollBackReplicaResponse(destroyed=destroyed)

    async def CompleteRound(  # noqa: N802
        self, request: standby_pb2.CompleteRoundRequest, _: Context
    ) -> standby_pb2.CompleteRoundResponse:
        """Let a round count."""
        await self._parties.require_party(auth.speaker(), Replicated(request.jail))
        await self._replicas.complete(peer_messages.struct_of(request, WholeRound))
        return standby_pb2.CompleteRoundResponse()

    async def WithdrawReplica(  # noqa: N802
        self, request: standby_pb2.WithdrawReplicaRequest, _: Context
    ) -> standby_pb2.WithdrawReplicaResponse:
        """Destroy a replica."""
        await self._parties.require_party(auth.speaker(), Replicated(request.jail))
        await self._replicas.withdraw(request.jail, request.uid, request.epoch)
        return standby_pb2.WithdrawReplicaResponse()

    async def GetOwnership(  # noqa: N802
        self, request: standby_pb2.GetOwnershipRequest, _: Context
    ) -> standby_pb2.GetOwnershipResponse:
        """Tell what there is of a jail, to any peer that knows its uid.

        A host asks before it starts or takes over a jail, also one that has no record of it yet (a pool in another
        chassis): if an owner kept silent to whom it does not know, that host would become a second one.
        """
        known = await self._replicas.ownership(request.jail, request.uid)
        return structs.message_of(known, standby_pb2.GetOwnershipResponse)

    async def HandOver(  # noqa: N802
        self, request: standby_pb2.HandOverRequest, _: Context
    ) -> standby_pb2.HandOverResponse:
        """Migrate a jail to the standby that asks."""
        await self._parties.require_party(auth.speaker(), Wanted(request.jail, request.uid, request.target))
        told = await self._replicas.hand_over(request.jail, request.uid, request.target, request.request_id)
        return structs.message_of(told, standby_pb2.HandOverResponse)

    async def GetHandOver(  # noqa: N802
        self, request: standby_pb2.HandOverRequest, _: Context
    ) -> standby_pb2.HandOverResponse:
        """Tell how a hand-over goes: one that the caller itself has asked for, whatever the jail is by now."""
        party.require_itself(auth.speaker(), request.target)
        told = await self._replicas.handing_over(request.target, request.jail, request.request_id)
        return structs.message_of(told, standby_pb2.HandOverResponse)

    async def Supersede(  # noqa: N802
        self, request: standby_pb2.SupersedeRequest, _: Context
    ) -> standby_pb2.SupersedeResponse:
        """Take note of a failover."""
        told = peer_messages.struct_of(request, Supersession)
        await self._parties.require_party(auth.speaker(), told)
        epoch = await self._replicas.supersede(told)
        return standby_pb2.SupersedeResponse(epoch=epoch)
