"""Another host's daemon, as far as replicas and failovers go (implements `jaild.ports.standby`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from jaild.model.migration.protocol import Received, ReceiveHeader
from jaild.model.replication.protocol import (
    HandingOver,
    Known,
    ReplicaOffer,
    ReplicaState,
    RollBack,
    Supersession,
    WholeRound,
)
from jaild.peer.v1 import standby_pb2
from jaild.rpc import structs
from jaild.rpc.messages import peers as peer_messages

_ASK = 5.0  # seconds: answered from memory, and somebody at night waits for it
_WORK = 120.0  # for what looks at, or destroys, datasets

Ask = Callable[[Any, Message, float], Awaitable[Any]]
Stream = Callable[[Any, ReceiveHeader, AsyncIterator[bytes]], Awaitable[Any]]


class GrpcStandbyPeer:
    """Asks by the means of a `GrpcPeer`."""

    def __init__(self, stub: Any, ask: Ask, stream: Stream) -> None:
        self._stub = stub
        self._ask = ask
        self._stream = stream

    async def offer(self, offer: ReplicaOffer) -> ReplicaState:
        """Ask whether it keeps a replica."""
        request = structs.message_of(offer, standby_pb2.OfferReplicaRequest)
        return peer_messages.replica_state_of(await self._ask(self._stub.OfferReplica, request, _WORK))

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Send one ZFS stream."""
        return peer_messages.struct_of(await self._stream(self._stub.ReceiveReplica, header, chunks), Received)

    async def roll_back(self, wanted: RollBack) -> int:
        """Make it destroy what this host does not have."""
        request = structs.message_of(wanted, standby_pb2.RollBackReplicaRequest)
        return int((await self._ask(self._stub.RollBackReplica, request, _WORK)).destroyed)

    async def complete(self, whole: WholeRound) -> None:
        """Tell it that a round is whole."""
        request = structs.message_of(whole, standby_pb2.CompleteRoundRequest)
        await self._ask(self._stub.CompleteRound, request, _WORK)

    async def withdraw(self, jail: str, uid: str, epoch: int) -> None:
        """Make it destroy its replica."""
        request = standby_pb2.WithdrawReplicaRequest(jail=jail, uid=uid, epoch=epoch)
        await self._ask(self._stub.WithdrawReplica, request, _WORK)

    async def ownership(self, jail: str, uid: str) -> Known:
        """Ask what it has of a jail."""
        request = standby_pb2.GetOwnershipRequest(jail=jail, uid=uid)
        return peer_messages.struct_of(await self._ask(self._stub.GetOwnership, request, _ASK), Known)

    async def hand_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Ask it to hand the jail over."""
        request = standby_pb2.HandOverRequest(jail=jail, uid=uid, target=target, request_id=request_id)
        return peer_messages.struct_of(await self._ask(self._stub.HandOver, request, _ASK), HandingOver)

    async def handing_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Ask how that goes."""
        request = standby_pb2.HandOverRequest(jail=jail, uid=uid, target=target, request_id=request_id)
        return peer_messages.struct_of(await self._ask(self._stub.GetHandOver, request, _ASK), HandingOver)

    async def supersede(self, told: Supersession) -> int:
        """Tell it of a failover."""
        request = structs.message_of(told, standby_pb2.SupersedeRequest)
        return int((await self._ask(self._stub.Supersede, request, _WORK)).epoch)
