"""Layers that come from other hosts as ZFS streams: one at a time of each name, compared by guid before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.layers.sealing import Sealer
from jaild.model import layout
from jaild.model.errors import DataLossError
from jaild.model.layers.records import BaseRecord, ReleaseRecord, decode
from jaild.model.migration.protocol import LayerOffer

# Receives a stream into a dataset, cloned from a snapshot if one is given; returns the bytes that came.
Receive = Callable[[str, str | None], Awaitable[int]]


class Arrivals:
    """Takes them."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._events = engine.events
        self._sealer = sealer
        self._locks: dict[str, asyncio.Lock] = {}

    async def take(self, offer: LayerOffer, receive: Receive, sender: str, migration: str = "") -> int:
        """Have a layer received, if it is not here; return the bytes that came. Its origin has to be here.

        One that comes from several sides at once is taken from the first of them. `migration`: which brings it, if one.
        `DataLossError` (GUID_MISMATCH).
        """
        async with self._locks.setdefault(offer.path, asyncio.Lock()):
            known = self._inventory.layer(offer.path)
            if known is None:
                return await self._take(offer, receive, sender, migration)
            _require_guid(offer, known.guid)
            return 0

    async def _take(self, offer: LayerOffer, receive: Receive, sender: str, migration: str) -> int:
        dataset = self._inventory.where.layer(offer.path)
        kind, _, name = offer.path.partition("/")
        record: BaseRecord | ReleaseRecord
        if kind == "bases":
            record, prop = decode(offer.record, BaseRecord, offer.path), layout.BASE_PROPERTY
        else:
            record, prop = decode(offer.record, ReleaseRecord, offer.path), layout.RELEASE_PROPERTY
            await self._sealer.ensure_parent(dataset)
        origin = f"{self._inventory.where.layer(offer.origin_path)}@{layout.SEALED}" if offer.origin_path else None
        size = await receive(dataset, origin)
        async with undo_on_error(lambda: self._zfs.destroy(dataset, recursive=True)):
            await self._zfs.set(dataset, {prop: offer.record})
            await self._zfs.mount(dataset)
            layer = await self._sealer.layer(dataset, record)
            _require_guid(offer, layer.guid)
        into: Any = self._inventory.bases if kind == "bases" else self._inventory.releases  # of its record's kind
        into[name] = layer
        if migration:
            await self._events.emit("layer.received", offer.path, f"from {sender}", migration=migration)
        else:
            await self._events.emit("layer.received", offer.path, f"from {sender}")
        return size


def _require_guid(offer: LayerOffer, guid: int) -> None:
    if guid != offer.guid:
        raise DataLossError(
            "GUID_MISMATCH",
            f"{offer.path}@{layout.SEALED} is here with another guid than announced",
            hint="names of layers must mean the same on all hosts: delete or rename one of the two, and try again",
            detail={"announced": str(offer.guid), "there": str(guid)},
        )
