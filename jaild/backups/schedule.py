"""Snapshots that jails' specs ask for: taken when they are due, many at once, and dropped when nothing keeps them.

tick ─► due? ─► a stopped jail with nothing new ──► not needed
         └─► taken, 64 jails in one command ─► the oldest that no rule keeps are dropped
               └── fails: an event, `jail show` and a metric say so; each jail is tried again by itself
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from jaild.engine.build import Engine
from jaild.engine.concurrency import for_each
from jaild.engine.inventory import JailEntry
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model import duration
from jaild.model.backups.retention import Taken, expired, is_due
from jaild.model.errors import JaildError
from jaild.model.jails.authority import Intent
from jaild.model.jails.spec import Snapshots
from jaild.model.snapshots import SCHEDULE
from jaild.model.views import SnapshotStatus

_EVERY = 1.0  # seconds between looks at what is due
_AGAIN = 60.0  # seconds after which one that failed is tried again
_TOGETHER = 64  # jails in one `zfs snapshot`: it is one transaction of the pool
_AT_ONCE = 4  # commands side by side, where each jail has one of its own


@dataclass
class _Shelf:
    """What is known of one jail's snapshots of its schedule."""

    taken: list[Taken] | None = None  # oldest first; None: not looked at, or it is not sure any more
    newest: float | None = None  # when the last one was taken, or not needed (seconds since the epoch); None: never
    tried: float = 0.0  # when it failed last (monotonic)
    failing_since: float = 0.0  # seconds since the epoch; 0: it does not
    message: str = ""  # why


class SnapshotSchedule:
    """Takes and drops the snapshots of this host's jails."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._shelves: dict[str, _Shelf] = {}  # by the jail's uid
        self._log = structlog.get_logger("jaild.schedule")

    def run(self) -> None:
        """Look at what is due for ever."""
        self._supervisor.run("snapshots of jails", self.tick, every=_EVERY)

    def view(self, entry: JailEntry) -> SnapshotStatus | None:
        """Return how far the schedule of a jail is; None for a jail without one, and one that is not this host's."""
        wanted = self._wanted(entry)
        if wanted is None:
            return None
        shelf = self._shelf(entry)
        return SnapshotStatus(
            taken=shelf.taken[-1][1] if shelf.taken else 0.0,
            interval=duration.parse(wanted.every),
            count=len(shelf.taken or ()),
            failing_since=shelf.failing_since,
            message=shelf.message,
        )

    async def tick(self) -> None:
        """Take what is due, and drop what nothing keeps."""
        self._forget_gone()
        due = [entry for entry in list(self._inventory.jails.values()) if self._is_due(entry)]
        if not due:
            return
        await for_each(due, self._look, at_once=_AT_ONCE)
        due = [entry for entry in due if self._is_due(entry)]
        needing = [entry for entry in due if not await self._is_unchanged(entry)]
        for at in range(0, len(needing), _TOGETHER):
            await self._take(needing[at : at + _TOGETHER])

    def _forget_gone(self) -> None:
        there = {entry.record.uid for entry in self._inventory.jails.values() if entry.record is not None}
        for uid in self._shelves.keys() - there:
            del self._shelves[uid]

    def _shelf(self, entry: JailEntry) -> _Shelf:
        return self._shelves.setdefault(entry.record.uid if entry.record is not None else "", _Shelf())

    def _wanted(self, entry: JailEntry) -> Snapshots | None:
        """Return what a jail's spec asks for, if it is this host's to do."""
        record, generation = entry.record, entry.generation
        if record is None or generation is None or record.generation == 0 or record.restoring is not None:
            return None  # half restored it is worth none, and an undo needs the newest to be its own
        return generation.spec.snapshots if self._inventory.may(entry, Intent.RUN_ON) else None

    def _is_due(self, entry: JailEntry) -> bool:
        wanted = self._wanted(entry)
        if wanted is None or self._inventory.jails.get(entry.name) is not entry:
            return False
        shelf = self._shelf(entry)
        if shelf.failing_since and self._clock.monotonic() - shelf.tried < _AGAIN:
            return False
        return is_due(self._clock.now(), duration.parse(wanted.every), shelf.newest)

    async def _look(self, entry: JailEntry) -> None:
        """See which there are, where that is not known."""
        shelf = self._shelf(entry)
        if shelf.taken is None:
            await self._tried(entry, self._settle(entry), takes=False)

    async def _is_unchanged(self, entry: JailEntry) -> bool:
        """Whether a stopped jail has had nothing written since its newest one, which then is as good as a new one."""
        shelf = self._shelf(entry)
        if not shelf.taken or (entry.run is not None and entry.run.running):
            return False
        if not (await self._zfs.capabilities()).written:
            return False
        try:
            written = await self._zfs.written(entry.dataset, shelf.taken[-1][0])
        except JaildError:  # told when it is taken, if it still fails then
            return False
        if any(written.values()) or len(written) <= len(entry.parts):  # a new volume has no such snapshot
            return False
        shelf.newest = self._clock.now()
        return True

    async def _take(self, entries: Sequence[JailEntry]) -> None:
        """Snapshot these jails in one command; if that fails, each by itself: one that is sick harms no other."""
        tag = _tag(self._clock.now())
        first, *others = [entry.dataset for entry in entries]
        try:
            await self._zfs.snapshot(first, tag, *others, recursive=True, purpose=SCHEDULE)
        except JaildError as error:
            self._log.info("not taken at once: each by itself", reason=error.reason)
            await for_each(entries, lambda entry: self._tried(entry, self._take_alone(entry, tag)), at_once=_AT_ONCE)
        else:
            await for_each(entries, lambda entry: self._tried(entry, self._settle(entry)), at_once=_AT_ONCE)

    async def _take_alone(self, entry: JailEntry, tag: str) -> None:
        owned = OwnedSnapshots(self._zfs, entry.dataset)
        if tag not in {snapshot.tag for snapshot in await owned.of(SCHEDULE)}:  # some of many may have been taken
            await owned.make(tag, SCHEDULE)
        await self._settle(entry)

    async def _settle(self, entry: JailEntry) -> None:
        """See which there are, and drop those that no rule keeps; what others hold goes another time."""
        shelf, wanted = self._shelf(entry), self._wanted(entry)
        found = await self._zfs.snapshots(entry.dataset, recursive=True)
        own = [snapshot for snapshot in found if snapshot.purpose == SCHEDULE]
        shelf.taken = [(s.tag, float(s.created)) for s in own if s.dataset == entry.dataset]
        shelf.newest = shelf.taken[-1][1] if shelf.taken else None
        if wanted is None:
            return
        there = {tag for tag, _ in shelf.taken}
        gone = {*expired(shelf.taken, wanted.keep), *(s.tag for s in own if s.tag not in there)}  # held when it went
        if not gone:
            return
        await OwnedSnapshots(self._zfs, entry.dataset).drop([s for s in own if s.tag in gone], among=found)
        shelf.taken = [each for each in shelf.taken if each[0] not in gone]

    async def _tried(self, entry: JailEntry, work: Awaitable[None], *, takes: bool = True) -> None:
        """Wait for `work`; keep and tell what it fails with, and, if it `takes` a snapshot, that it does no more."""
        shelf, target = self._shelf(entry), f"jails/{entry.name}"
        try:
            await work
        except JaildError as error:
            if self._inventory.jails.get(entry.name) is not entry:
                return  # it was deleted meanwhile
            shelf.taken, shelf.tried, shelf.message = None, self._clock.monotonic(), str(error)
            if not shelf.failing_since:
                shelf.failing_since = self._clock.now()
                await self._events.emit("snapshot.failed", target, f"no snapshot of its schedule: {error}")
            return
        if shelf.failing_since and takes:
            shelf.failing_since, shelf.message = 0.0, ""
            await self._events.emit("snapshot.recovered", target, "its schedule goes on")


def _tag(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("auto-%Y%m%dT%H%M%SZ")
