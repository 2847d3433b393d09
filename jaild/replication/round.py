"""One round of a jail's replicas: a snapshot of all its datasets at once, sent as increments, counted when it is whole.

    offer ─► snapshot ─► layers, increments ─► complete ─► older rounds dropped
      └── superseded: another host took the jail over ──► it is given up here

A round changes nothing of the jail but its snapshots.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model.errors import DataLossError, DeadlineExceededError, FailedPreconditionError, JaildError
from jaild.model.layers.records import Generation, JailRecord
from jaild.model.migration.protocol import DatasetState
from jaild.model.migration.received import standbys_of
from jaild.model.migration.streams import Increment, Path
from jaild.model.problems import errors
from jaild.model.replication.policy import dropped, tag_of
from jaild.model.replication.protocol import ReplicaOffer, ReplicaState, RollBack, WholeRound
from jaild.model.snapshots import STANDBY, Snapshot
from jaild.ports.clock import Clock
from jaild.ports.standby import StandbyPeer
from jaild.replication.fencing import Fencing, known_in
from jaild.transfer.build import TransferParts
from jaild.transfer.preflight import offer_of

STALLED = 60.0  # seconds without progress after which a round is given up
_AT_ONCE = 2  # rounds side by side to one host


@dataclass
class ReplicaStatus:
    """How a replica is, as its owner knows it."""

    since: float  # monotonic: when it was first looked for
    taken: float = 0.0  # wall clock, for people; 0: not known, or nothing whole yet
    taken_at: float | None = None  # the same moment, monotonic
    tried: float = -math.inf  # monotonic
    stalled: bool = False  # its last round made no progress: it gets rounds of its own, for which nobody waits
    behind: bool = False
    message: str = ""
    answered: bool = False
    has: frozenset[int] = frozenset()  # guids of the snapshots that it had when it was heard last, and got since

    @property
    def reference(self) -> float:
        """The (monotonic) time from which it counts as old."""
        return self.since if self.taken_at is None else self.taken_at

    def learn(self, taken: float, clock: Clock) -> None:
        """Note which round it has, as it says itself. A wall clock that jumps later changes nothing of its age."""
        if taken != self.taken:
            self.taken, self.taken_at = taken, clock.monotonic() - max(clock.now() - taken, 0.0) if taken else None


@dataclass(frozen=True)
class _Route:
    """Where the streams of a round go."""

    id: str
    jail: str
    peer: StandbyPeer
    limit: asyncio.Timeout
    frozen_at: float | None = None
    attempt: int = 0

    def count(self, size: int) -> None:  # noqa: ARG002 -- as routes have it: here only that something went counts
        """Give it its whole time again."""
        self.limit.reschedule(asyncio.get_running_loop().time() + STALLED)


class ReplicationRound:
    """Carries rounds out."""

    def __init__(self, engine: Engine, transfer: TransferParts, fencing: Fencing) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._peers = engine.ports.peers
        self._sender = transfer.sender
        self._fencing = fencing
        self._clock = engine.ports.clock
        self._slots: dict[str, asyncio.Semaphore] = {}  # by host: one that is sick keeps nobody else's
        self._under_way: dict[str, list[frozenset[int]]] = {}  # by jail: guids of the rounds that are being sent
        self._newest_tag = 0.0
        self._old: dict[str, frozenset[int]] = {}  # rounds' snapshots that were there when a jail was first looked at
        self._log = structlog.get_logger("jaild.standby")

    async def carry_out(
        self, entry: JailEntry, statuses: Mapping[str, ReplicaStatus], everybody: Iterable[ReplicaStatus]
    ) -> None:
        """Bring the replicas on these hosts up to date; what went wrong stands in their standings.

        `everybody`: the standings of all hosts that are to have one, since what they need of old rounds is kept.
        """
        record, generation = entry.record, entry.generation
        if record is None or generation is None or not set(statuses) <= set(record.standbys):
            return  # not written down yet
        await self._remember_old(entry)
        for status in statuses.values():
            status.tried = self._clock.monotonic()
        answers = await asyncio.gather(*(self._offer(entry, record, generation, *each) for each in statuses.items()))
        offers = {host: answer for host, answer in zip(statuses, answers, strict=True) if answer is not None}
        if not offers:
            return
        taken, taken_at = self._clock.now(), self._clock.monotonic()
        owned = OwnedSnapshots(self._zfs, entry.dataset)
        snapshots = await owned.take(self._tag(record, taken), STANDBY, hold=True)
        going = {self._inventory.where.part(entry.name, volume) for volume in record.removing}
        snapshots = [snapshot for snapshot in snapshots if snapshot.dataset not in going]
        guids = frozenset(snapshot.guid for snapshot in snapshots)
        under_way = self._under_way.setdefault(entry.name, [])
        under_way.append(guids)

        async def bring(host: str, offer: ReplicaOffer, state: ReplicaState) -> None:
            status = statuses[host]
            try:
                await self._bring(entry, record, host, offer, state, snapshots, taken)
            except Exception as error:
                status.message = str(error) if isinstance(error, JaildError) else repr(error)
                status.stalled = isinstance(error, DeadlineExceededError)
                self._log.warning("round failed", jail=entry.name, host=host, error=status.message)
                if not isinstance(error, JaildError):
                    raise
            else:
                status.taken, status.taken_at, status.message, status.stalled = taken, taken_at, "", False
                status.has |= guids

        try:
            done = await asyncio.gather(*(bring(h, *offers[h]) for h in offers), return_exceptions=True)
        finally:
            under_way.remove(guids)
        await self._prune(entry, everybody)
        for defect in done:
            if defect is not None:  # the others' rounds are whole all the same
                raise defect

    async def forget(self, entry: JailEntry) -> None:
        """Drop the rounds' snapshots of a jail that has no standby any more: nothing goes on from them."""
        owned = OwnedSnapshots(self._zfs, entry.dataset)
        await owned.drop(await owned.of(STANDBY))
        self._old.pop(entry.name, None)

    def _tag(self, record: JailRecord, now: float) -> str:
        """Return a tag that no other round has, also if the wall clock was put back."""
        self._newest_tag = max(now, self._newest_tag + 0.001)
        return tag_of(record.epoch, self._newest_tag)

    async def _bring(
        self,
        entry: JailEntry,
        record: JailRecord,
        host: str,
        offer: ReplicaOffer,
        state: ReplicaState,
        snapshots: Sequence[Snapshot],
        taken: float,
    ) -> None:
        """Send a round to one host. `DeadlineExceededError` (STANDBY_STALLED) if nothing of it goes on any more."""
        slots = self._slots.setdefault(host, asyncio.Semaphore(_AT_ONCE))
        try:
            async with asyncio.timeout(STALLED):
                await slots.acquire()
            try:
                async with asyncio.timeout(STALLED) as limit:
                    route = _Route(entry.name, entry.name, self._peers.get(host).standby, limit)
                    await self._send(entry, route, offer, state, snapshots)
                    route.count(0)
                    await self._complete(entry, record, host, snapshots, taken)
            finally:
                slots.release()
        except TimeoutError:
            raise DeadlineExceededError(
                "STANDBY_STALLED",
                f"nothing of jail {entry.name}'s round went on to {host} for {STALLED:g} s",
                hint=f"look at {host}: its disks, its zfs receive; it is tried again by itself",
                resource=f"jails/{entry.name}",
            ) from None

    async def _remember_old(self, entry: JailEntry) -> None:
        if entry.name not in self._old:
            rounds = await OwnedSnapshots(self._zfs, entry.dataset).of(STANDBY)
            self._old[entry.name] = frozenset(snapshot.guid for snapshot in rounds)

    async def _offer(
        self, entry: JailEntry, record: JailRecord, generation: Generation, host: str, status: ReplicaStatus
    ) -> tuple[ReplicaOffer, ReplicaState] | None:
        spec, jail = generation.spec, await offer_of(self._inventory, self._zfs, entry, record, generation)
        offer = ReplicaOffer(
            source_id=self._inventory.host_id,
            source_name=self._inventory.host_name,
            jail=jail,
            interval=spec.standby.interval if spec.standby is not None else 0.0,
            others=standbys_of(jail, host),
        )
        try:
            async with asyncio.timeout(STALLED):
                state = await self._peers.get(host).standby.offer(offer)
        except TimeoutError:
            status.message, status.stalled = f"{host} does not answer (STANDBY_STALLED)", True
            return None
        except JaildError as error:
            status.message = str(error)
            if error.reason == "OWNER_SUPERSEDED" and isinstance(error, FailedPreconditionError):
                await self._fencing.fence(entry.name, known_in(error))
            return None
        if refused := errors(state.problems):
            status.message = f"{refused[0].message} ({refused[0].code}); {refused[0].hint}"
            return None
        status.answered = True
        status.learn(state.taken, self._clock)
        status.has = frozenset(guid for dataset in state.datasets for guid in dataset.snapshot_guids)
        return offer, state

    async def _send(
        self,
        entry: JailEntry,
        route: _Route,
        offer: ReplicaOffer,
        state: ReplicaState,
        snapshots: Sequence[Snapshot],
    ) -> None:
        for layer in offer.jail.layers:
            if layer.path in state.missing_layers:
                await self._sender.layer(route, layer)
        there = {dataset.path: dataset for dataset in state.datasets}
        for snapshot in sorted(snapshots, key=lambda s: s.dataset):
            path = snapshot.dataset.removeprefix(entry.dataset).lstrip("/")
            await self._dataset(entry, route, snapshot, there.get(path, DatasetState(path=path)))

    async def _dataset(self, entry: JailEntry, route: _Route, snapshot: Snapshot, has: DatasetState) -> None:
        """Bring one dataset there. Snapshots of others are stepped over; what was written there besides is undone."""
        path: Path = await self._sender.path(snapshot, has)
        try:
            await self._sender.dataset(route, has.path, snapshot, has)
        except FailedPreconditionError as error:
            if error.reason != "TARGET_DIVERGED" or not isinstance(path, Increment) or entry.record is None:
                raise
            record, common = entry.record, path.base.guid
            wanted_back = RollBack(jail=entry.name, uid=record.uid, epoch=record.epoch, dataset=has.path, guid=common)
            await route.peer.roll_back(wanted_back)
            kept = has.snapshot_guids[: has.snapshot_guids.index(common) + 1]
            await self._sender.dataset(route, has.path, snapshot, DatasetState(path=has.path, snapshot_guids=kept))

    async def _complete(
        self, entry: JailEntry, record: JailRecord, host: str, snapshots: Sequence[Snapshot], taken: float
    ) -> None:
        guids = {s.dataset.removeprefix(entry.dataset).lstrip("/"): s.guid for s in snapshots}
        if not guids:
            raise DataLossError("SNAPSHOT_GONE", f"the round's snapshots of {entry.name} are gone", hint="wait")
        tag = snapshots[0].tag
        whole = WholeRound(jail=entry.name, uid=record.uid, epoch=record.epoch, round=tag, taken=taken, guids=guids)
        await self._peers.get(host).standby.complete(whole)

    async def _prune(self, entry: JailEntry, statuses: Iterable[ReplicaStatus]) -> None:
        """Drop old rounds here. What a standby has in common with this host stays, whatever became of this round.

        What one that was not heard yet may need is all that was there at the start.
        """
        unanswered = [frozenset({guid}) for guid in self._old[entry.name]]
        having = [there for s in statuses for there in ([s.has] if s.answered else unanswered)]
        having += self._under_way.get(entry.name, [])
        owned = OwnedSnapshots(self._zfs, entry.dataset)
        by_dataset: dict[str, list[Snapshot]] = {}
        for snapshot in await owned.of(STANDBY):
            by_dataset.setdefault(snapshot.dataset, []).append(snapshot)
        for snapshots in by_dataset.values():
            tags = frozenset(dropped([(s.tag, s.guid) for s in snapshots], having))
            await owned.drop([s for s in snapshots if s.tag in tags])
