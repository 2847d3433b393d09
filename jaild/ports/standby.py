"""Port: another host's daemon, as far as replicas and failovers go. Part of `jaild.ports.peer.Peer`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

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


class StandbyPeer(Protocol):
    """One other host; its errors are those of `Peer`. Each call is idempotent."""

    async def offer(self, offer: ReplicaOffer) -> ReplicaState:
        """Ask whether it keeps a replica, and what it has of one. `FailedPreconditionError` (OWNER_SUPERSEDED)."""

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Send one ZFS stream, as `Peer.receive` does; `migration` is the jail's name."""

    async def roll_back(self, wanted: RollBack) -> int:
        """Make it destroy the snapshots of a replica that are newer than a common one; return how many."""

    async def complete(self, whole: WholeRound) -> None:
        """Tell it that a round is whole."""

    async def withdraw(self, jail: str, uid: str, epoch: int) -> None:
        """Make it destroy its replica; no error if it has none."""

    async def ownership(self, jail: str, uid: str) -> Known:
        """Ask what it has of a jail."""

    async def hand_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Ask the owner to migrate the jail to us (`target`)."""

    async def handing_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Ask how that goes; done with OPERATION_NOT_FOUND if it does not know of it (any more)."""

    async def supersede(self, told: Supersession) -> int:
        """Tell it that we took the jail over; return the highest epoch that it knows."""
