"""What hosts ask each other about replicas, over the fake network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from jaild.domain.peering import Received, ReceiveHeader
from jaild.domain.replication import (
    HandingOver,
    Known,
    ReplicaOffer,
    ReplicaState,
    RollBack,
    Supersession,
    WholeRound,
)
from jaild.ports.salvage import Written

if TYPE_CHECKING:
    from tests.fakes.network import Link


class StandbyLink:
    """Implements `jaild.ports.standby.StandbyPeer`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def offer(self, offer: ReplicaOffer) -> ReplicaState:
        """Ask whether it keeps a replica."""
        return await self._link.call("offer replica", lambda *_: self._link.replicas.offer(offer))

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Send one ZFS stream."""
        what = f"receive replica {header.layer or header.dataset or '.'}"
        return await self._link.stream(what, chunks, lambda _, arriving: self._link.replicas.receive(header, arriving))

    async def roll_back(self, wanted: RollBack) -> int:
        """Make it destroy what we do not have."""
        return await self._link.call("roll back", lambda *_: self._link.replicas.roll_back(wanted))

    async def complete(self, whole: WholeRound) -> None:
        """Tell it that a round is whole."""
        await self._link.call("complete round", lambda *_: self._link.replicas.complete(whole))

    async def withdraw(self, jail: str, uid: str, epoch: int) -> None:
        """Make it destroy its replica."""
        await self._link.call("withdraw", lambda *_: self._link.replicas.withdraw(jail, uid, epoch))

    async def ownership(self, jail: str, uid: str) -> Known:
        """Ask what it has of a jail."""
        return await self._link.call("ownership", lambda *_: self._link.replicas.ownership(jail, uid))

    async def hand_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Ask it to hand the jail over."""
        return await self._link.call(
            "hand over", lambda *_: self._link.replicas.hand_over(jail, uid, target, request_id)
        )

    async def handing_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:  # noqa: ARG002
        """Ask how that goes."""
        return await self._link.call(
            "hand over?", lambda *_: self._link.replicas.handing_over(target, jail, request_id)
        )

    async def supersede(self, told: Supersession) -> int:
        """Tell it of a take-over."""
        return await self._link.call("supersede", lambda *_: self._link.replicas.supersede(told))


class SalvageLink:
    """Implements `jaild.ports.salvage.SalvagePeer`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Written:
        """Send the files of one dataset."""
        what = f"receive files {header.dataset or '.'}"
        return await self._link.stream(what, chunks, lambda _, arriving: self._link.files.receive(header, arriving))

    async def finish(self, migration: str, report: str) -> dict[str, int]:
        """Tell it what is lost."""
        return await self._link.call("finish files", lambda *_: self._link.files.finish(migration, report))
