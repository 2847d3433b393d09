"""The services of replicas and failover: the operators', and what other hosts ask about replicas and owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from google.longrunning import operations_pb2

from jaild.engine.rpc import OperationMessages
from jaild.model.migration import party
from jaild.model.migration.party import Replicated, Wanted
from jaild.model.migration.protocol import ReceiveHeader
from jaild.model.replication.protocol import ReplicaOffer, RollBack, Supersession, WholeRound
from jaild.peer.v1 import peer_pb2, standby_pb2, standby_pb2_grpc
from jaild.replication.fencing import Fencing
from jaild.replication.replicas import ReplicaStore
from jaild.replication.service import Promotions
from jaild.rpc import auth, names, streams, structs
from jaild.rpc.auth import Context, PartyCheck, current
from jaild.rpc.services import Service
from jaild.v1 import promotions_pb2, promotions_pb2_grpc


class StandbyServicer:
    """Answers `jaild.peer.v1.Standby`. Methods ask first whether the caller may speak about the jail."""

    service = Service("jaild.peer.v1.Standby", standby_pb2_grpc.add_StandbyServicer_to_server)

    def __init__(
        self, replica_store: ReplicaStore, fencing: Fencing, promotions: Promotions, parties: PartyCheck
    ) -> None:
        self._replica_store = replica_store
        self._fencing = fencing
        self._promotions = promotions
        self._parties = parties

    async def OfferReplica(  # noqa: N802  # gRPC's names
        self, request: standby_pb2.OfferReplicaRequest, _: Context
    ) -> standby_pb2.OfferReplicaResponse:
        """Say whether a replica is kept."""
        offer = structs.struct_of(request, ReplicaOffer)
        await self._parties.require(offer)
        state = await self._replica_store.offer(offer)
        return structs.message_of(state, standby_pb2.OfferReplicaResponse, without="evidence")

    async def ReceiveReplica(  # noqa: N802
        self, requests: AsyncIterator[peer_pb2.ReceiveRequest], context: Context
    ) -> peer_pb2.ReceiveResponse:
        """Receive one ZFS stream."""
        header = structs.struct_of(await streams.first(requests), ReceiveHeader)
        await self._parties.require(Replicated(header.migration))
        received = await streams.hand_on(requests, context, partial(self._replica_store.receive, header))
        return structs.message_of(received, peer_pb2.ReceiveResponse)

    async def RollBackReplica(  # noqa: N802
        self, request: standby_pb2.RollBackReplicaRequest, _: Context
    ) -> standby_pb2.RollBackReplicaResponse:
        """Destroy what the owner does not have."""
        await self._parties.require(Replicated(request.jail))
        destroyed = await self._replica_store.roll_back(structs.struct_of(request, RollBack))
        return standby_pb2.RollBackReplicaResponse(destroyed=destroyed)

    async def CompleteRound(  # noqa: N802
        self, request: standby_pb2.CompleteRoundRequest, _: Context
    ) -> standby_pb2.CompleteRoundResponse:
        """Let a round count."""
        await self._parties.require(Replicated(request.jail))
        await self._replica_store.complete(structs.struct_of(request, WholeRound))
        return standby_pb2.CompleteRoundResponse()

    async def WithdrawReplica(  # noqa: N802
        self, request: standby_pb2.WithdrawReplicaRequest, _: Context
    ) -> standby_pb2.WithdrawReplicaResponse:
        """Destroy a replica."""
        await self._parties.require(Replicated(request.jail))
        await self._replica_store.withdraw(request.jail, request.uid, request.epoch)
        return standby_pb2.WithdrawReplicaResponse()

    async def GetOwnership(  # noqa: N802
        self, request: standby_pb2.GetOwnershipRequest, _: Context
    ) -> standby_pb2.GetOwnershipResponse:
        """Tell what there is of a jail, to any peer that knows its uid.

        A host asks before it starts or takes over a jail, also one that has no record of it yet (a pool in another
        chassis): if an owner kept silent to whom it does not know, that host would become a second one.
        """
        known = await self._replica_store.ownership(request.jail, request.uid)
        return structs.message_of(known, standby_pb2.GetOwnershipResponse)

    async def HandOver(  # noqa: N802
        self, request: standby_pb2.HandOverRequest, _: Context
    ) -> standby_pb2.HandOverResponse:
        """Migrate a jail to the standby that asks."""
        await self._parties.require(Wanted(request.jail, request.uid, request.target))
        told = await self._promotions.hand_over(request.jail, request.uid, request.target, request.request_id)
        return structs.message_of(told, standby_pb2.HandOverResponse)

    async def GetHandOver(  # noqa: N802
        self, request: standby_pb2.HandOverRequest, _: Context
    ) -> standby_pb2.HandOverResponse:
        """Tell how a hand-over goes: one that the caller itself has asked for, whatever the jail is by now."""
        party.require_itself(auth.speaker(), request.target)
        told = self._promotions.handing_over(request.target, request.jail, request.request_id)
        return structs.message_of(told, standby_pb2.HandOverResponse)

    async def Supersede(  # noqa: N802
        self, request: standby_pb2.SupersedeRequest, _: Context
    ) -> standby_pb2.SupersedeResponse:
        """Take note of a failover."""
        told = structs.struct_of(request, Supersession)
        await self._parties.require(told)
        epoch = await self._fencing.supersede(told)
        return standby_pb2.SupersedeResponse(epoch=epoch)


class PromotionsServicer:
    """Answers `jaild.v1.Promotions`."""

    service = Service("jaild.v1.Promotions", promotions_pb2_grpc.add_PromotionsServicer_to_server)

    def __init__(self, promotions: Promotions, messages: OperationMessages) -> None:
        self._promotions = promotions
        self._messages = messages

    async def PromoteJail(  # noqa: N802  # gRPC's names
        self, request: promotions_pb2.PromoteJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Make a standby the owner."""
        operation = await self._promotions.promote(
            names.jail(request.name),
            owner_is_down=request.owner_is_down,
            confirm=request.confirm,
            validate_only=request.validate_only,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)

    async def AdoptJail(  # noqa: N802
        self, request: promotions_pb2.AdoptJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Take over what a host that is gone left here."""
        operation = await self._promotions.adopt(
            names.jail(request.name),
            confirm=request.confirm,
            validate_only=request.validate_only,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)

    async def ForceStartJail(  # noqa: N802
        self, request: promotions_pb2.ForceStartJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Start a jail that waits for its standbys."""
        operation = await self._promotions.force_start(
            names.jail(request.name),
            request.confirm,
            validate_only=request.validate_only,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)
