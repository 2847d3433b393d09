"""Sending snapshots to a peer: which stream, counted, verified by guid on the other side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from jaild.domain import layout
from jaild.domain.errors import FailedPreconditionError
from jaild.domain.migration import Conflict, Full, Increment, Nothing, Version, incremental_path
from jaild.domain.peering import DatasetState, LayerOffer, ReceiveHeader
from jaild.ports.peer import Peer
from jaild.ports.zfs import Snapshot, Zfs
from jaild.service.index import Index

Count = Callable[[int], None]


@dataclass
class Sent:
    """What went over the wire."""

    bytes: int = 0


class Transfer:
    """Streams of one migration to one peer."""

    def __init__(self, index: Index, zfs: Zfs, peer: Peer, migration: str, count: Count) -> None:
        self._index = index
        self._zfs = zfs
        self._peer = peer
        self._migration = migration
        self._count = count

    async def layer(self, offer: LayerOffer) -> None:
        """Send a base or release that the target does not have: as an increment if its origin is there by then."""
        dataset = self._index.where.layer(offer.path)
        base = f"{self._index.where.layer(offer.origin_path)}@{layout.SEALED}" if offer.origin_path else None
        header = ReceiveHeader(
            migration=self._migration,
            layer=offer.path,
            tag=layout.SEALED,
            guid=offer.guid,
            base_guid=offer.origin_guid,
            origin_path=offer.origin_path,
        )
        await self._send(f"{dataset}@{layout.SEALED}", base, header)

    async def dataset(self, jail: str, path: str, wanted: Snapshot, target: DatasetState) -> int:
        """Bring one of the jail's datasets to `wanted`; return the bytes sent.

        `FailedPreconditionError` (TARGET_DIVERGED) if the target has writes or snapshots of its own there.
        """
        source = [Version(s.tag, s.guid) for s in await self._zfs.snapshots(wanted.dataset)]
        decision = incremental_path(source, target.snapshot_guids, Version(wanted.tag, wanted.guid))
        header = ReceiveHeader(migration=self._migration, dataset=path, tag=wanted.tag, guid=wanted.guid)
        match decision:
            case Nothing():
                return 0
            case Full():
                return await self._send(wanted.name, None, header)
            case Increment(base):
                header = ReceiveHeader(
                    migration=self._migration, dataset=path, tag=wanted.tag, guid=wanted.guid, base_guid=base.guid
                )
                return await self._send(wanted.name, f"{wanted.dataset}@{base.tag}", header)
            case Conflict(common, newer):
                since = f" after the common snapshot {common.tag}" if common else ""
                raise FailedPreconditionError(
                    "TARGET_DIVERGED",
                    f"the target has snapshots of its own of {jail}/{path or '.'}{since}: {len(newer)}",
                    remedy="look at the copy on the target; delete it there if it is not needed, then migrate again",
                    resource=f"jails/{jail}",
                    detail={"newer_guids": ",".join(map(str, newer))},
                )

    async def _send(self, snapshot: str, base: str | None, header: ReceiveHeader) -> int:
        sent = Sent()
        async with self._zfs.send(snapshot, base=base) as chunks:
            await self._peer.receive(header, self._counted(chunks, sent))
        return sent.bytes

    async def _counted(self, chunks: AsyncIterator[bytes], sent: Sent) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
            sent.bytes += len(chunk)
            self._count(len(chunk))
