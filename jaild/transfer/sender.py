"""Sending snapshots to a peer: which stream, counted, verified by guid on the other side.

A stream that a snapshot which others make there has overtaken, or that arrives damaged, is sent again as a whole. While
a jail is down, nothing is sent of those parts of it in which nothing was written since the round before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
import structlog

from jaild.engine.inventory import Inventory
from jaild.model import layout, quantity
from jaild.model.bandwidth import Bucket, take
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.migration.protocol import DatasetState, LayerOffer, ReceiveHeader
from jaild.model.migration.streams import (
    Conflict,
    Full,
    Increment,
    Nothing,
    Path,
    Resume,
    Version,
    incremental_path,
    next_stream,
)
from jaild.model.snapshots import HOLDS, MIGRATION, Snapshot
from jaild.ports.clock import Clock
from jaild.ports.peer import Receives
from jaild.ports.zfs import Zfs

# How often a stream is sent, by what its receive ends with. A tool makes snapshots of a copy every so often, and the
# next receive is most likely between two of them; what arrives damaged twice has another reason than chance.
_TRIES = {"RECEIVE_OVERTAKEN": 10, "STREAM_INVALID": 2}


class Route(Protocol):
    """Where streams go: a migration, or a replica's round."""

    @property
    def id(self) -> str:
        """What the streams' headers call it."""

    @property
    def jail(self) -> str:
        """The jail's name."""

    @property
    def peer(self) -> Receives:
        """The other host."""

    @property
    def attempt(self) -> int:
        """Which connection to the other host this is; 0 for what is not resumed."""

    @property
    def frozen_at(self) -> float | None:
        """When the jail was stopped for what is sent (monotonic); None while it serves."""

    def count(self, size: int) -> None:
        """Take note of bytes that were sent."""


class RateLimiter:
    """A cap of `rate` bytes per second over everything that passes; 0 for none."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._bucket = Bucket(rate) if rate else None
        self._clock = clock

    async def acquire(self, size: int, *, at_once: bool = False) -> None:
        """Return when `size` bytes may go. What has to go `at_once` is not held up; the others wait for it instead."""
        if self._bucket is None:
            return
        self._bucket, wait = take(self._bucket, self._clock.monotonic(), size)
        if wait and not at_once:
            await self._clock.sleep(wait)


Sent = Callable[[str, int, float], None]  # of what (layer, final, round), bytes, and seconds since the piece before


class Transfer:
    """Streams of migrations."""

    def __init__(self, inventory: Inventory, zfs: Zfs) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self.on_sent: list[Sent] = []  # told of each piece of a stream
        self._limiters: dict[str, RateLimiter] = {}  # of the jails whose streams share a cap, for an evacuation
        self._log = structlog.get_logger("jaild.transfer")

    def hold(self, jails: Iterable[str], limiter: RateLimiter) -> None:
        """Let these jails' streams share a cap, also those of moves that are under way."""
        self._limiters.update(dict.fromkeys(jails, limiter))

    def free(self, jails: Iterable[str]) -> None:
        """Let them go without one."""
        for jail in jails:
            self._limiters.pop(jail, None)

    @asynccontextmanager
    async def held_layers(self, migration: str, layers: Sequence[LayerOffer]) -> AsyncIterator[None]:
        """Keep layers from being destroyed while they are sent."""
        holds = self._layer_holds(migration, layers)
        try:
            await self._zfs.hold(*holds)
            yield
        finally:
            await self._zfs.release(*holds)

    async def release_layers(self, migration: str, layers: Sequence[LayerOffer]) -> None:
        """Let layers go, of which a crash may have left the holds."""
        await self._zfs.release(*self._layer_holds(migration, layers))

    def _layer_holds(self, migration: str, layers: Sequence[LayerOffer]) -> list[str]:
        """Return the tag of the holds, since two migrations may send one layer, and what they hold."""
        sealed = [f"{self._inventory.where.layer(layer.path)}@{layout.SEALED}" for layer in layers]
        return [f"{HOLDS[MIGRATION]}-{migration[:12]}", *sealed]

    async def layer(self, route: Route, offer: LayerOffer, token: str = "") -> None:
        """Send a base or release that the target does not have: as an increment if its origin is there by then.

        `token`: of an interrupted receive there, which is gone on with.
        """
        dataset = self._inventory.where.layer(offer.path)
        base = f"{self._inventory.where.layer(offer.origin_path)}@{layout.SEALED}" if offer.origin_path else None
        header = ReceiveHeader(
            migration=route.id,
            layer=offer.path,
            tag=layout.SEALED,
            guid=offer.guid,
            base_guid=offer.origin_guid,
            origin_path=offer.origin_path,
            attempt=route.attempt,
            resume_token=token,
        )
        await self._send(route, f"{dataset}@{layout.SEALED}", base, header)

    async def dataset(
        self,
        route: Route,
        path: str,
        wanted: Snapshot,
        target: DatasetState,
        *,
        before: Snapshot | None = None,
        urgent: bool = False,
    ) -> Snapshot:
        """Bring one of the jail's datasets to `wanted`; return the snapshot that it ends with there.

        `before` is a held snapshot here: while it is the target's newest too, no other base is looked for. It is what
        one of the jail's parts ends with if `wanted` has nothing else in it and the jail is down for it (`urgent`): a
        receive of nothing takes a program and several transaction groups. The jail's own dataset has every snapshot.
        `FailedPreconditionError` (TARGET_DIVERGED) if the target has writes of its own there, or another dataset.
        """
        known = before is not None and target.snapshot_guids[-1:] == (before.guid,)
        source: Sequence[Version] = [before] if before and known else []
        if target.snapshot_guids and not source:  # to a target that has nothing all is sent, whatever is here
            source = await self._versions(wanted.dataset)
        step = next_stream(source, target.snapshot_guids, wanted, target.resume_token)
        header = ReceiveHeader(
            migration=route.id,
            dataset=path,
            tag=wanted.tag,
            guid=wanted.guid,
            attempt=route.attempt,
            urgent=urgent,
        )
        match step:
            case Nothing():
                pass
            case Full():
                await self._send(route, wanted.name, None, header)
            case Increment(base, over):
                header = msgspec.structs.replace(header, base_guid=base.guid)
                if_changed = bool(urgent and path and known)
                try:
                    if not await self._send(route, wanted.name, base.name, header, if_changed=if_changed) and before:
                        return before
                except FailedPreconditionError as error:
                    if error.reason != "DATASET_MODIFIED" or not over:
                        raise
                    since = f"was written to after the common snapshot {base.tag}"
                    raise _diverged(route, path, since, over) from error
            case Resume(token):
                await self._send(route, wanted.name, None, msgspec.structs.replace(header, resume_token=token))
            case Conflict(newer):
                raise _diverged(route, path, "has no snapshot in common", newer)
        return wanted

    async def path(self, wanted: Snapshot, target: DatasetState) -> Path:
        """Return how a dataset gets to a target that has this of it."""
        versions = await self._versions(wanted.dataset)
        return incremental_path(versions, target.snapshot_guids, wanted)

    async def _versions(self, dataset: str) -> list[Version]:
        return [*await self._zfs.bookmarks(dataset), *await self._zfs.snapshots(dataset)]

    async def _send(
        self, route: Route, snapshot: str, base: str | None, header: ReceiveHeader, *, if_changed: bool = False
    ) -> bool:
        """Send a stream; return whether there was anything to send."""
        failed = dict.fromkeys(_TRIES, 0)
        while True:
            try:
                return await self._send_once(route, snapshot, base, header, if_changed=if_changed)
            except JaildError as error:
                # Nothing can go on from a token after this: whoever had it begins anew.
                if error.reason not in _TRIES or header.resume_token:
                    raise
                failed[error.reason] += 1
                if failed[error.reason] == _TRIES[error.reason]:
                    raise
                self._log.info("sent again", snapshot=snapshot, route=route.id, reason=error.reason)

    async def _send_once(
        self, route: Route, snapshot: str, base: str | None, header: ReceiveHeader, *, if_changed: bool
    ) -> bool:
        token = header.resume_token or None
        async with self._zfs.send(snapshot, base=None if token else base, token=token, if_changed=if_changed) as chunks:
            first = await anext(chunks, None) if if_changed else b""
            if first is not None:
                await route.peer.receive(header, self._counted(route, header, first, chunks))
        return first is not None

    async def _counted(
        self, route: Route, header: ReceiveHeader, first: bytes, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        loop, of = asyncio.get_running_loop(), header.of
        began = loop.time()
        async for chunk in _joined(first, chunks):
            # What the jail is down for is not held up: other jails' streams wait for it instead.
            if (limiter := self._limiters.get(route.jail)) is not None:
                await limiter.acquire(len(chunk), at_once=route.frozen_at is not None)
            yield chunk
            route.count(len(chunk))
            now = loop.time()
            for hear in self.on_sent:
                hear(of, len(chunk), now - began)
            began = now


async def _joined(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in chunks:
        yield chunk


def _diverged(route: Route, path: str, why: str, newer: Sequence[int]) -> FailedPreconditionError:
    return FailedPreconditionError(
        "TARGET_DIVERGED",
        f"the target's copy of {route.jail}/{path or '.'} {why}; "
        f"{quantity.count(len(newer), 'snapshot')} there of others",
        hint="look at the copy on the target; delete it there if it is not needed, then migrate again",
        resource=f"jails/{route.jail}",
        detail={"newer_guids": ",".join(map(str, newer))},
    )
