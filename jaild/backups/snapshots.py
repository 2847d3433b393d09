"""Snapshots of jails: seen, taken and removed by hand. Those of other tools are seen, and left to them."""

from __future__ import annotations

from datetime import UTC, datetime

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model import access, names, quantity
from jaild.model.backups.points import Point, point_of, points
from jaild.model.errors import AlreadyExistsError, FailedPreconditionError
from jaild.model.jails.authority import Intent
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.replication.policy import moment
from jaild.model.snapshots import BACKUP, MANUAL, RESTORE, SAFETY, SCHEDULE, Snapshot, by_hand, claimed, kind_of
from jaild.model.views import Caller, SnapshotView

TAKE = "snapshot"  # the kinds of the operations
REMOVE = "remove-snapshot"
_REMOVABLE = frozenset({MANUAL, SCHEDULE, RESTORE, SAFETY})  # the others are what a stream goes on from
_Views = list[SnapshotView]  # `list` is a method's name below


class JailSnapshots:
    """The snapshots of this host's jails."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._targets = engine.place.backups

    async def list(self, name: str) -> _Views:
        """Return those of a jail, oldest first: of a copy of another host's jail, too. ZFS is asked."""
        entry = self._inventory.jail(name)
        return [_view(name, point) for point in await self.points(entry)]

    async def points(self, entry: JailEntry) -> tuple[Point, ...]:
        """Return the moments that there are snapshots of, oldest first."""
        return points(entry.dataset, await self._zfs.snapshots(entry.dataset, recursive=True))

    async def take(self, name: str, tag: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Snapshot all of a jail at once; `tag`: its name, one with the time if empty. It stays until it is removed.

        `AlreadyExistsError` (SNAPSHOT_EXISTS), `PermissionDeniedError` (APP_REQUIRED).
        """
        duplicate = await self._operations.duplicate(caller, TAKE, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        tag = names.snapshot(tag) if tag else self._name("manual")
        entry = await self._require_free(name, tag, caller)
        plan = Plan(kind=TAKE, target=f"jails/{name}", steps=(f"zfs snapshot -r {entry.dataset}@{tag}",))
        if validate_only:
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            entry = await self._require_free(name, tag, caller)
            await handle.phase("snapshot")
            if entry.run is not None and entry.run.running:  # what is in mapped files only would not be in it
                await self._files.flush([entry.folder / path for path in entry.parts])
            await self._zfs.snapshot(entry.dataset, tag, recursive=True, purpose=by_hand(caller.actor))
            handle.facts(snapshot=tag)
            await self._events.emit("snapshot.taken", f"jails/{name}", tag, actor=caller.actor)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", TAKE, caller, work, plan=plan)

    def _name(self, what: str) -> str:
        return datetime.fromtimestamp(self._clock.now(), UTC).strftime(f"{what}-%Y%m%dT%H%M%SZ")

    async def _require_free(self, name: str, tag: str, caller: Caller) -> JailEntry:
        entry, _ = self._inventory.permitted(name, Intent.RUN_ON)
        access.require_own(caller, name, entry.generation)
        if any(s.tag == tag for s in await self._zfs.snapshots(entry.dataset, recursive=True)):
            raise AlreadyExistsError(
                "SNAPSHOT_EXISTS",
                f"jail {name} has a snapshot {tag}",
                hint=f"take another name; see which there are: jailctl jail snapshots {name}",
                resource=f"jails/{name}/snapshots/{tag}",
            )
        return entry

    async def remove(self, name: str, tag: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Destroy one that jaild made.

        `NotFoundError` (SNAPSHOT_NOT_FOUND), `FailedPreconditionError` (SNAPSHOT_NOT_OURS, SNAPSHOT_NEEDED,
        SNAPSHOTS_IN_USE), `PermissionDeniedError` (APP_REQUIRED).
        """
        duplicate = await self._operations.duplicate(caller, REMOVE, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, point = await self._removable(name, tag, caller)
        step = f"destroy {tag} of {moment(point.created)}: {quantity.size(point.used)} become free"
        plan = Plan(kind=REMOVE, target=f"jails/{name}", steps=(step,))
        if validate_only:
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            entry, point = await self._removable(name, tag, caller)
            await handle.phase("destroy")
            await OwnedSnapshots(self._zfs, entry.dataset).drop(_own(point))
            await self._events.emit("snapshot.removed", f"jails/{name}", tag, actor=caller.actor)
            return ""

        return await self._dispatcher.submit(f"jails/{name}", REMOVE, caller, work, plan=plan)

    async def _removable(self, name: str, tag: str, caller: Caller) -> tuple[JailEntry, Point]:
        entry = self._inventory.jail(name)
        access.require_own(caller, name, entry.generation)
        point, resource = point_of(await self.points(entry), tag), f"jails/{name}/snapshots/{tag}"
        if not (own := _own(point)):
            raise FailedPreconditionError(
                "SNAPSHOT_NOT_OURS",
                f"snapshot {tag} of jail {name} was not made by jaild",
                hint=f"ask whose it is; then zfs destroy -r {entry.dataset}@{tag}",
                resource=resource,
            )
        restoring = entry.record.restoring if entry.record is not None else None
        if restoring is not None and restoring.before == tag:
            raise FailedPreconditionError(
                "SNAPSHOT_NEEDED",
                f"snapshot {tag} is what the data of jail {name} are put back from: a restore of it was interrupted",
                hint="restart the daemon, which puts them back; then it may go",
                resource=resource,
            )
        if kind_of(point.purpose) not in _REMOVABLE and not self._is_of_a_former_target(entry, point):
            raise FailedPreconditionError(
                "SNAPSHOT_NEEDED",
                f"snapshot {tag} of jail {name} is of {point.purpose}: a stream is made of it, or starts from it",
                hint="it goes by itself when it is not needed any more",
                resource=resource,
            )
        if claims := await OwnedSnapshots(self._zfs, entry.dataset).claims(among=own):
            raise claimed(claims, f"removing snapshot {tag} of jail {name}", resource)
        return entry, point

    def _is_of_a_former_target(self, entry: JailEntry, point: Point) -> bool:
        """Whether it is of backups that the jail's spec does not ask for any more, so that nothing will drop it."""
        kind, _, target = point.purpose.partition("/")
        wanted = entry.generation.spec.backups if entry.generation is not None else {}
        return kind == BACKUP and not (target in wanted and target in self._targets)


def _own(point: Point) -> list[Snapshot]:
    return [snapshot for snapshot in point.parts.values() if snapshot.purpose]


def _view(jail: str, point: Point) -> SnapshotView:
    return SnapshotView(
        jail=jail,
        tag=point.tag,
        created=float(point.created),
        used=point.used,
        referenced=point.referenced,
        purpose=point.purpose,
        parts=tuple(sorted(path or "." for path in point.parts)),
        atomic=point.is_atomic,
        held=sum(snapshot.holds for snapshot in point.parts.values()),
    )
