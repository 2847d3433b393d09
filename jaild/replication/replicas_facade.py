"""What other hosts ask about replicas and owners: the standby's side, the owner's, and whoever just knows."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
from jaild.replication.fencing import Fencing
from jaild.replication.replicas import ReplicaStore
from jaild.replication.service import Promotions


class Replicas:
    """Answers them."""

    def __init__(self, replica_store: ReplicaStore, fencing: Fencing, promotions: Promotions) -> None:
        self._replica_store = replica_store
        self._fencing = fencing
        self._promotions = promotions

    async def offer(self, offer: ReplicaOffer) -> ReplicaState:
        """Say whether a replica is kept, and what there is of it."""
        return await self._replica_store.offer(offer)

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Take one stream."""
        return await self._replica_store.receive(header, chunks)

    async def roll_back(self, wanted: RollBack) -> int:
        """Destroy what a replica has after a common snapshot."""
        return await self._replica_store.roll_back(wanted)

    async def complete(self, whole: WholeRound) -> None:
        """Let a round count."""
        await self._replica_store.complete(whole)

    async def withdraw(self, jail: str, uid: str, epoch: int) -> None:
        """Destroy a replica that is not wanted any more."""
        await self._replica_store.withdraw(jail, uid, epoch)

    async def ownership(self, jail: str, uid: str) -> Known:
        """Tell what there is of a jail."""
        return self._replica_store.known(jail, uid)

    async def hand_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Migrate a jail to the standby that asks."""
        return await self._promotions.hand_over(jail, uid, target, request_id)

    async def handing_over(self, target: str, jail: str, request_id: str) -> HandingOver:
        """Tell how a hand-over goes."""
        return self._promotions.handing_over(target, jail, request_id)

    async def supersede(self, told: Supersession) -> int:
        """Take note of a failover."""
        return await self._fencing.supersede(told)
