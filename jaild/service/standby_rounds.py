"""One round of a jail's replicas: a snapshot of all its datasets at once, sent as increments, counted when it is whole.

    offer ─► snapshot ─► layers, increments ─► complete ─► older rounds dropped
      └── superseded: another host took the jail over ──► it is given up here

A round changes nothing of the jail but its snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from jaild.domain.errors import DataLossError, FailedPreconditionError, JaildError
from jaild.domain.findings import errors
from jaild.domain.migration import Increment, Path
from jaild.domain.ownedsnapshots import STANDBY
from jaild.domain.peering import DatasetState
from jaild.domain.records import Generation, JailRecord
from jaild.domain.replication import ReplicaOffer, ReplicaState, RollBack, WholeRound
from jaild.domain.standby import dropped, tag_of, wanted
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.ports.standby import StandbyPeer
from jaild.ports.zfs import Snapshot, Zfs
from jaild.service.fencing import Fencing, known_in
from jaild.service.index import Entry, Index
from jaild.service.offering import offer_of
from jaild.service.owned_snapshots import OwnedSnapshots
from jaild.service.transfer import Transfer


@dataclass
class Standing:
    """How a replica is, as its owner knows it."""

    since: float  # when it was first looked for
    taken: float = 0.0  # 0: not known, or nothing whole yet
    tried: float = 0.0
    behind: bool = False
    message: str = ""
    heard: bool = False
    has: frozenset[int] = frozenset()  # guids of the snapshots that it had when it was heard last, and got since

    @property
    def reference(self) -> float:
        """The time from which it counts as old."""
        return self.taken or self.since


@dataclass(frozen=True)
class _Route:
    """Where the streams of a round go."""

    id: str
    jail: str
    peer: StandbyPeer
    frozen_at: float | None = None
    attempt: int = 0

    def count(self, size: int) -> None:
        """Nobody waits for a round, so nobody counts its bytes."""


class Rounds:
    """Carries rounds out."""

    def __init__(
        self,
        index: Index,
        zfs: Zfs,
        owned: OwnedSnapshots,
        peers: Peers,
        transfer: Transfer,
        fencing: Fencing,
        clock: Clock,
    ) -> None:
        self._index = index
        self._zfs = zfs
        self._owned = owned
        self._peers = peers
        self._transfer = transfer
        self._fencing = fencing
        self._clock = clock
        self._old: dict[str, frozenset[int]] = {}  # rounds' snapshots that were there when a jail was first looked at
        self._log = structlog.get_logger("jaild.standby")

    async def carry_out(self, entry: Entry, standings: Mapping[str, Standing], everybody: Iterable[Standing]) -> None:
        """Bring the replicas on these hosts up to date; what went wrong stands in their standings.

        `everybody`: the standings of all hosts that are to have one, since what they need of old rounds is kept.
        """
        record, generation = entry.record, entry.generation
        if record is None or generation is None or not set(standings) <= set(record.standbys):
            return  # not written down yet
        await self._remember_old(entry)
        offers = {}
        for host, standing in standings.items():
            standing.tried = self._clock.now()
            answered = await self._offer(entry, record, generation, host, standing)
            if answered is not None:
                offers[host] = answered
        if not offers:
            return
        tag, taken = tag_of(record.epoch, self._clock.now()), self._clock.now()
        snapshots = await self._owned.take(self._index.where.jail(entry.name), tag, STANDBY)
        await self._owned.hold(snapshots)
        for host, (offer, state) in offers.items():
            try:
                await self._send(entry, host, offer, state, snapshots)
                await self._complete(entry, record, host, snapshots, taken)
            except JaildError as error:
                standings[host].message = str(error)
                self._log.warning("round failed", jail=entry.name, host=host, reason=error.reason, error=str(error))
            else:
                standings[host].taken, standings[host].message = taken, ""
                standings[host].has |= {snapshot.guid for snapshot in snapshots}
        await self._prune(entry, everybody)

    async def _remember_old(self, entry: Entry) -> None:
        if entry.name not in self._old:
            self._old[entry.name] = frozenset(snapshot.guid for snapshot in await self._rounds_of(entry))

    async def _rounds_of(self, entry: Entry) -> list[Snapshot]:
        return await self._owned.of(self._index.where.jail(entry.name), STANDBY)

    async def _offer(
        self, entry: Entry, record: JailRecord, generation: Generation, host: str, standing: Standing
    ) -> tuple[ReplicaOffer, ReplicaState] | None:
        spec = generation.spec
        offer = ReplicaOffer(
            source_id=self._index.host_id,
            source_name=self._index.host_name,
            jail=await offer_of(self._index, self._zfs, entry, record, generation),
            interval=spec.standby.interval if spec.standby is not None else 0.0,
            others=tuple(other for other in wanted(spec, self._index.host_name) if other != host),
        )
        try:
            state = await self._peers.get(host).standby.offer(offer)
        except JaildError as error:
            standing.message = str(error)
            if error.reason == "OWNER_SUPERSEDED" and isinstance(error, FailedPreconditionError):
                await self._fencing.fence(entry.name, known_in(error))
            return None
        if refused := errors(state.findings):
            standing.message = f"{refused[0].message} ({refused[0].code}); {refused[0].remedy}"
            return None
        standing.heard, standing.taken = True, state.taken
        standing.has = frozenset(guid for dataset in state.datasets for guid in dataset.snapshot_guids)
        return offer, state

    async def _send(
        self, entry: Entry, host: str, offer: ReplicaOffer, state: ReplicaState, snapshots: Sequence[Snapshot]
    ) -> None:
        peer = self._peers.get(host).standby
        route = _Route(entry.name, entry.name, peer)
        for layer in offer.jail.layers:
            if layer.path in state.missing_layers:
                await self._transfer.layer(route, layer)
        there = {dataset.path: dataset for dataset in state.datasets}
        root = self._index.where.jail(entry.name)
        for snapshot in sorted(snapshots, key=lambda s: s.dataset):
            path = snapshot.dataset.removeprefix(root).lstrip("/")
            await self._dataset(entry, route, snapshot, there.get(path, DatasetState(path=path)))

    async def _dataset(self, entry: Entry, route: _Route, snapshot: Snapshot, has: DatasetState) -> None:
        """Bring one dataset there. Snapshots of others are stepped over; what was written there besides is undone."""
        path: Path = await self._transfer.path(snapshot, has)
        try:
            await self._transfer.dataset(route, has.path, snapshot, has)
        except FailedPreconditionError as error:
            if error.reason != "TARGET_DIVERGED" or not isinstance(path, Increment) or entry.record is None:
                raise
            record, common = entry.record, path.base.guid
            wanted_back = RollBack(jail=entry.name, uid=record.uid, epoch=record.epoch, dataset=has.path, guid=common)
            await route.peer.roll_back(wanted_back)
            kept = has.snapshot_guids[: has.snapshot_guids.index(common) + 1]
            await self._transfer.dataset(route, has.path, snapshot, DatasetState(path=has.path, snapshot_guids=kept))

    async def _complete(
        self, entry: Entry, record: JailRecord, host: str, snapshots: Sequence[Snapshot], taken: float
    ) -> None:
        root = self._index.where.jail(entry.name)
        guids = {s.dataset.removeprefix(root).lstrip("/"): s.guid for s in snapshots}
        if not guids:
            raise DataLossError("SNAPSHOT_GONE", f"the round's snapshots of {entry.name} are gone", remedy="wait")
        tag = snapshots[0].tag
        whole = WholeRound(jail=entry.name, uid=record.uid, epoch=record.epoch, round=tag, taken=taken, guids=guids)
        await self._peers.get(host).standby.complete(whole)

    async def _prune(self, entry: Entry, standings: Iterable[Standing]) -> None:
        """Drop old rounds here. What a standby has in common with this host stays, whatever became of this round.

        What one that was not heard yet may need is all that was there at the start.
        """
        unheard = [frozenset({guid}) for guid in self._old[entry.name]]
        having = [there for s in standings for there in ([s.has] if s.heard else unheard)]
        by_dataset: dict[str, list[Snapshot]] = {}
        for snapshot in await self._rounds_of(entry):
            by_dataset.setdefault(snapshot.dataset, []).append(snapshot)
        for snapshots in by_dataset.values():
            tags = frozenset(dropped([(s.tag, s.guid) for s in snapshots], having))
            await self._owned.drop([s for s in snapshots if s.tag in tags])
