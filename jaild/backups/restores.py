"""Older data brought back into a jail: copied out of its snapshots, so that all of its history stays.

plan ── problems ──► refused
  │
drain, stop                       ◄── all of the data of a jail that runs; a single path is copied beside it
  │
snapshot                          ◄── of what is there now, for good: a restore of it undoes this one
  │
copy: the record says what from   ◄── error, crash: put back from that snapshot, by a rollback where nothing is newer;
  │                                   a jail that ran on over a crash has what it wrote in a snapshot `undone-`
start, health checks              ◄── unhealthy: stopped, put back, started
  │
commit: the record says so no more; the oldest of such snapshots go, of restores that failed their own

Nothing is rolled back to the wanted snapshot itself: that would destroy all newer ones, those of other tools as well,
and what standbys, migrations and backups go on from (docs/decisions/0405).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from jaild.backups.snapshots import JailSnapshots
from jaild.engine import saga
from jaild.engine.build import Engine
from jaild.engine.clones import readable
from jaild.engine.inventory import JailEntry, OwnedJail
from jaild.engine.operations import Handle
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.engine.saga import Completion, Phase, Pivot, Saga
from jaild.jails.build import JailParts
from jaild.model import access
from jaild.model.backups.points import point_of
from jaild.model.backups.restore import Restore, plan_of, restore_of
from jaild.model.jails import authority
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import JailRecord, Restoring
from jaild.model.operation import Operation, Stop
from jaild.model.problems import Plan
from jaild.model.replication.policy import moment
from jaild.model.snapshots import RESTORE, Snapshot
from jaild.model.views import Caller

KIND = "restore"
_KEPT = 3  # snapshots of what restores replaced: the oldest goes with the next


@dataclass(frozen=True)
class Wanted:
    """What is asked for: `at`: a snapshot's name, or a time in seconds since the epoch; `path`: '' for all."""

    at: str | float
    path: str = ""


@dataclass(kw_only=True)
class _Attempt(saga.Attempt):
    """One restore under way."""

    wanted: Wanted
    caller: Caller
    owned: OwnedJail = field(init=False)
    restore: Restore = field(init=False)
    committed: JailRecord = field(init=False)  # the record afterwards, which is the one before
    was_running: bool = False
    restoring: Restoring | None = None  # from when the record says so
    stopping_since: float = 0.0  # (monotonic)

    def stops(self) -> bool:
        """Whether the jail is stopped for it."""
        return self.was_running and not self.restore.path

    def drains(self) -> bool:
        """Whether it has hooks for that."""
        return self.stops() and bool(self.owned.generation.spec.hooks.before_stop)


class Restores:
    """Restores jails in their queues."""

    def __init__(self, engine: Engine, jails: JailParts, snapshots: JailSnapshots) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._recovery = engine.recovery
        self._sagas = engine.sagas
        self._datasets, self._runs, self._keys = jails.datasets, jails.runs, engine.keys
        self._hooks, self._health_checks = jails.hooks, jails.health_checks
        self._snapshots = snapshots
        self._saga = Saga(
            KIND,
            before=(
                Phase("plan", self._plan),
                Phase("drain", self._drain, undo=self._serves_on, message="hooks before_stop", when=_Attempt.drains),
                Phase("stop", self._stop, undo=self._start_again, stop=Stop.NEVER, when=_Attempt.stops),
                Phase("snapshot", self._keep_what_is, undo=self._forget),
                Phase("copy", self._copy, undo=self._put_back, message=_what),
                Phase("copied", self._copied, when=_Attempt.stops),
                Phase("start", self._start, undo=self._end, when=_Attempt.stops),
                Phase("health-check", self._check, message="waiting for the health checks", when=_Attempt.stops),
            ),
            pivot=Pivot("commit", self._commit, happened=self._is_committed),
            after=(Completion("prune", self._prune),),
        )

    async def restore(self, name: str, wanted: Wanted, *, validate_only: bool, caller: Caller) -> Operation:
        """Bring older data back.

        `NotFoundError` (SNAPSHOT_NOT_FOUND, PATH_NOT_IN_SNAPSHOT), `InvalidArgumentError` (NOT_DATA),
        `PermissionDeniedError` (APP_REQUIRED), and what a change of the jail is refused with.
        """
        duplicate = await self._operations.duplicate(caller, KIND, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, _, plan = await self._planned(name, wanted, caller)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            attempt = _Attempt(handle=handle, wanted=wanted, caller=caller)
            await self._sagas.carry_out(self._saga, attempt)
            point = attempt.restore.point
            message = f"{attempt.restore.path or 'all data'} as of {moment(point.created)} ({point.tag})"
            before = attempt.restoring.before if attempt.restoring is not None else ""
            await self._events.emit("jail.restored", f"jails/{name}", message, actor=caller.actor, snapshot=before)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", KIND, caller, work, plan=plan)

    async def _planned(self, name: str, wanted: Wanted, caller: Caller) -> tuple[OwnedJail, Restore, Plan]:
        owned = self._inventory.owned(name, Intent.CHANGE)
        access.require_own(caller, name, owned.generation)
        spec, entry = owned.generation.spec, owned.entry
        point = point_of(await self._snapshots.points(entry), wanted.at)
        restore = restore_of(name, spec, point, wanted.path)
        return (
            owned,
            restore,
            plan_of(restore, spec, entry.parts, running=_runs(entry), generation=owned.generation.number),
        )

    # -- the phases

    async def _plan(self, attempt: _Attempt) -> None:
        name = attempt.target.removeprefix("jails/")
        attempt.owned, attempt.restore, plan = await self._planned(name, attempt.wanted, attempt.caller)
        attempt.handle.note(plan=plan)
        await self._keys.open(attempt.owned.entry, attempt.owned.generation.spec)
        attempt.was_running = _runs(attempt.owned.entry)
        attempt.committed = attempt.owned.record

    async def _drain(self, attempt: _Attempt) -> None:
        await self._hooks.before_stop(attempt.restore.jail, attempt.owned.generation)

    async def _serves_on(self, attempt: _Attempt) -> None:
        await self._hooks.serves_on(attempt.restore.jail, attempt.owned.generation)

    async def _stop(self, attempt: _Attempt) -> None:
        entry, number = attempt.owned.entry, attempt.owned.generation.number
        attempt.stopping_since = self._clock.monotonic()
        await self._runs.stop(entry, number)
        await self._runs.remove(entry, number)

    async def _start_again(self, attempt: _Attempt) -> None:
        """Start what was stopped, unless its data could not be put back: then it stays down."""
        entry = attempt.owned.entry
        authority.require_whole(self._inventory.claim(entry, entry.record or attempt.committed))
        await self._runs.ensure(entry, attempt.owned.generation)

    async def _keep_what_is(self, attempt: _Attempt) -> None:
        entry = attempt.owned.entry
        owned = OwnedSnapshots(self._zfs, entry.dataset)
        if _runs(entry):
            await self._files.flush([entry.folder / part for part in attempt.restore.parts])
        tag = await owned.make(f"before-{attempt.handle.id[:12]}", RESTORE)
        path = attempt.restore.path
        attempt.restoring = Restoring(before=tag, path=path, whole=bool(path))
        attempt.handle.facts(before=tag)

    async def _forget(self, attempt: _Attempt) -> None:
        """Drop that snapshot: all is as it was. Else restores that fail would push out what good ones replaced."""
        entry, restoring = attempt.owned.entry, attempt.restoring
        if restoring is not None and entry.record is not None and entry.record.restoring is None:
            owned = OwnedSnapshots(self._zfs, entry.dataset)
            await owned.drop(await owned.tagged(restoring.before, RESTORE))

    async def _prune(self, attempt: _Attempt) -> None:
        dataset = attempt.owned.entry.dataset
        found = await self._zfs.snapshots(dataset, recursive=True)
        own = [snapshot for snapshot in found if snapshot.purpose == RESTORE]
        kept = {s.tag for s in [s for s in own if s.dataset == dataset][-_KEPT:]} | {attempt.restore.point.tag}
        await OwnedSnapshots(self._zfs, dataset).drop([s for s in own if s.tag not in kept], among=found)

    async def _copy(self, attempt: _Attempt) -> None:
        entry, restore = attempt.owned.entry, attempt.restore
        await self._datasets.write(entry, msgspec.structs.replace(attempt.committed, restoring=attempt.restoring))
        written = await self._bring(entry, restore.parts, restore.point.parts, attempt.handle.id)
        attempt.handle.facts(written_bytes=written)

    async def _bring(
        self,
        entry: JailEntry,
        parts: Mapping[str, str],
        snapshots: Mapping[str, Snapshot],
        clone: str,
        *,
        undoes: bool = False,
    ) -> int:
        """Make what the jail has of these parts equal to what these snapshots have; return the bytes written.

        `undoes`: a path that the snapshot does not have goes; else it is an error.
        """
        written = 0
        for part, below in parts.items():
            snapshot = snapshots[part]
            await self._datasets.open(entry, part)  # else it would come into the folder that it is mounted on
            async with readable(self._inventory.where, self._zfs, self._files, snapshot.name, clone[:12]) as folder:
                there = entry.folder / part
                written += await self._files.bring_back(folder, there, below, snapshot.created, or_remove=undoes)
        return written

    async def _put_back(self, attempt: _Attempt) -> None:
        if attempt.restoring is not None:
            await self._undo(attempt.owned.entry, attempt.committed, attempt.restoring, attempt.restore.parts)

    async def _undo(self, entry: JailEntry, record: JailRecord, restoring: Restoring, parts: Mapping[str, str]) -> None:
        """Put the data back as it was before a restore. Done again, it does the same."""
        if not restoring.path:  # from here on nothing is started until all of it is back
            halfway = msgspec.structs.replace(record, restoring=msgspec.structs.replace(restoring, whole=False))
            if entry.record != halfway:
                await self._datasets.write(entry, halfway)
        found = await self._zfs.snapshots(entry.dataset, recursive=True)
        marks = await self._zfs.bookmarks(entry.dataset, recursive=True)
        for part, below in parts.items():
            dataset = self._inventory.where.part(entry.name, part)
            of_part = [snapshot for snapshot in found if snapshot.dataset == dataset]
            before = next(s for s in of_part if s.tag == restoring.before and s.purpose == RESTORE)
            newer = [m for m in marks if m.dataset == dataset and m.created >= before.created]
            if not restoring.path and of_part[-1] is before and not newer:
                await self._zfs.rollback(before.name)
            else:  # others' snapshots came since, or a backup has left its bookmark, or the jail runs
                clone = restoring.before.removeprefix("before-")
                await self._bring(entry, {part: below}, {part: before}, clone, undoes=True)
        await self._datasets.write(entry, msgspec.structs.replace(record, restoring=None))

    async def _copied(self, attempt: _Attempt) -> None:
        """Let the jail be started: a daemon that comes after this one puts the data back all the same."""
        if attempt.restoring is not None:
            restoring = msgspec.structs.replace(attempt.restoring, whole=True)
            await self._datasets.write(
                attempt.owned.entry, msgspec.structs.replace(attempt.committed, restoring=restoring)
            )

    async def _start(self, attempt: _Attempt) -> None:
        started = await self._runs.ensure(attempt.owned.entry, attempt.owned.generation)
        attempt.handle.note(downtime=started - attempt.stopping_since)

    async def _end(self, attempt: _Attempt) -> None:
        await self._stop(attempt)

    async def _check(self, attempt: _Attempt) -> None:
        generation = attempt.owned.generation
        await self._health_checks.require_healthy(attempt.restore.jail, generation.number, generation.spec)
        if generation.spec.hooks.after_start:
            await self._hooks.after_start(attempt.restore.jail, generation)

    async def _commit(self, attempt: _Attempt) -> None:
        await self._datasets.write(attempt.owned.entry, attempt.committed)
        await self._datasets.measure(attempt.owned.entry)

    async def _is_committed(self, attempt: _Attempt) -> bool:
        entry = attempt.owned.entry
        recorded = await self._datasets.recorded(entry)
        if recorded == attempt.committed:
            entry.record = recorded
        return recorded == attempt.committed

    # -- what a crash left

    async def recover(self, entry: JailEntry, record: JailRecord) -> bool:
        """Put back what a restore had begun to replace. A jail that runs on half of it is stopped first."""
        if (restoring := record.restoring) is not None and self._inventory.may(entry, Intent.RUN_ON):
            message = f"put the data of jail {entry.name} back as it was before a restore that was interrupted"
            await self._recovery.attempt(message, self._recovered(entry, record, restoring))
        return False

    async def _recovered(self, entry: JailEntry, record: JailRecord, restoring: Restoring) -> None:
        if not restoring.path:
            ended = await self._runs.end_all(entry)
            self._recovery.ended.update((entry.name, number) for number in ended)
        point = point_of(await self._snapshots.points(entry), restoring.before)
        if entry.generation is None:
            return  # it cannot be read, and what cannot be read is not started
        parts = restore_of(entry.name, entry.generation.spec, point, restoring.path).parts
        if restoring.whole:  # it ran on meanwhile: what it wrote is kept, too
            await self._keep_interrupted(entry, restoring.before.replace("before-", "undone-", 1))
        await self._undo(entry, record, restoring, parts)

    async def _keep_interrupted(self, entry: JailEntry, tag: str) -> None:
        owned = OwnedSnapshots(self._zfs, entry.dataset)
        if not await owned.tagged(tag, RESTORE):
            await owned.make(tag, RESTORE)


def _runs(entry: JailEntry) -> bool:
    return entry.run is not None and entry.run.running


def _what(attempt: _Attempt) -> str:
    return f"copying out of {attempt.restore.point.tag}"
