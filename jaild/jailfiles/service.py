"""Files copied out of jails and into them.

What a path lies in is told by the mounts of the jail's active generation, so a jail that is stopped has the same files
as one that runs, but for what it has in memory (tmpfs). Only data and volumes are written to: all else belongs to
generations. While records come nothing of the jail is held: each batch is written between two changes of it, and the
jail is looked at anew before each, so that what was taken for a migration is never written to afterwards.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.engine.inventory import JailEntry
from jaild.jails.build import JailParts
from jaild.model import access, layout, quantity
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.filerecords import Record, steps_of
from jaild.model.jails.authority import Intent
from jaild.model.jails.mounts import Mount, MountKind, mount_at, mounts_below
from jaild.model.views import Caller
from jaild.ports.jailtrees import Found, Look, Manner, Place, Tree, Writing

_LINKS = 40  # that are followed on the way, as Linux does


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a tree is to go: see `jaild.v1.WriteFilesStart`."""

    path: str
    base_name: bytes
    preserve: bool
    owner: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What was written."""

    path: str  # in the jail
    entries: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class _Spot:
    """A path in a jail, its links followed."""

    path: str
    mount: Mount
    place: Place
    look: Look
    mounts: tuple[Mount, ...]


@dataclass(frozen=True)
class _Jail:
    """What is written into: another jail may have the name by the next batch."""

    name: str
    uid: str


class JailFiles:
    """The use cases."""

    def __init__(self, engine: Engine, jails: JailParts) -> None:
        self._inventory = engine.inventory
        self._dispatcher = engine.dispatcher
        self._runs = jails.runs
        self._trees = engine.ports.jail_trees
        self._zfs = engine.ports.zfs
        self._recovery = engine.recovery
        self._writers = Counter[_Jail]()

    async def read(self, name: str, path: str, caller: Caller) -> AsyncIterator[list[Record]]:
        """Yield a file or a tree. INVALID_JAIL_PATH, PATH_NOT_IN_JAIL, PATH_IN_MEMORY; JAIL_MOVED and the like."""
        entry, _ = self._inventory.permitted(name, Intent.LOOK_INTO)
        access.require_own(caller, name, entry.generation)
        spot = await self._spot(entry, path)
        if spot.look.found in {Found.NOTHING, Found.NO_WAY}:
            raise _not_there(spot.path)
        below = mounts_below(spot.mounts, spot.path)
        skip = frozenset(below)
        trees = [Tree(place=spot.place, skip=skip)]
        for at, mount in sorted(below.items()):
            if mount.kind is MountKind.LAYER:
                trees.append(Tree(place=_place(mount, ()), at=at, skip=skip))
        async for batch in self._trees.read(trees):
            yield batch

    async def destination(self, name: str, wanted: Destination, caller: Caller) -> str:
        """Return where a tree would be written; raises what `write` would raise for that."""
        spot, last = await self._destination(name, wanted, caller)
        return _joined(spot, last)

    async def write(
        self, name: str, wanted: Destination, batches: AsyncIterator[list[Record]], caller: Caller
    ) -> Copied:
        """Write a tree as it comes. What has come stays where it ends with an error, but for a file that is not whole.

        PATH_OF_GENERATION, PATH_IN_MEMORY, PATH_NOT_IN_JAIL; of `Writing`; STREAM_TRUNCATED; JAIL_MOVED and the like.
        """
        async with self._dispatcher.exclusive(f"jails/{name}"):
            spot, last = await self._destination(name, wanted, caller)
            _, record = self._inventory.permitted(name, Intent.WRITE)
            to = _Jail(name, record.uid)
            if not self._writers[to]:  # what came with the jail from another host, or a write that ended badly
                await self._trees.sweep(spot.place.root)
            self._writers[to] += 1
        try:
            path = _joined(spot, last)
            closed = frozenset(mounts_below(spot.mounts, path))
            owner = None if wanted.preserve else (wanted.owner or (spot.look.uid, spot.look.gid))
            manner = Manner(name=last, owner=owner, preserve=wanted.preserve, closed=closed)
            writing = self._trees.write(spot.place, manner)
            async with undo_on_error(lambda: self._abandoned(to, writing)):
                async for records in batches:
                    await self._between_changes(to, writing, records, caller)
                await self._between_changes(to, writing, None, caller)
            return Copied(path=path, entries=writing.entries, bytes=writing.bytes)
        finally:
            self._writers -= Counter((to,))

    async def recover(self, entry: JailEntry) -> None:
        """Take away what never became whole since the daemon that wrote it ended."""
        if entry.generation is None or not self._inventory.may(entry, Intent.WRITE):
            return
        for root in _writable(entry):
            if count := await self._trees.sweep(root):
                await self._recovery.tell(f"{quantity.count(count, 'file')} of {entry.name}, never whole: removed")

    async def _between_changes(self, to: _Jail, writing: Writing, records: list[Record] | None, caller: Caller) -> None:
        """Write some records, or for None the end, while nothing else is done with the jail."""
        async with self._dispatcher.exclusive(f"jails/{to.name}"):
            entry, record = self._inventory.permitted(to.name, Intent.WRITE)
            access.require_own(caller, to.name, entry.generation)
            if record.uid != to.uid:
                raise _another(to.name)
            await (writing.close() if records is None else writing.take(records))

    async def _abandoned(self, to: _Jail, writing: Writing) -> None:
        async with self._dispatcher.exclusive(f"jails/{to.name}"):
            entry = self._inventory.jails.get(to.name)
            if entry is None or not self._inventory.may(entry, Intent.WRITE):
                return  # it is no longer ours to clean
            if entry.record is not None and entry.record.uid == to.uid:
                await writing.abandon()

    async def _destination(self, name: str, wanted: Destination, caller: Caller) -> tuple[_Spot, bytes]:
        """Return the folder that is written into, and the tree's name there; b'' for what is in a folder."""
        entry, _ = self._inventory.permitted(name, Intent.WRITE)
        access.require_own(caller, name, entry.generation)
        spot, last = await self._spot(entry, wanted.path), wanted.base_name
        if spot.look.found is Found.NO_WAY:
            raise _not_there(spot.path)
        if spot.look.found is not Found.FOLDER:
            if wanted.path.endswith("/"):
                raise _not_there(spot.path)
            parent, last_name = posixpath.split(spot.path)
            spot, last = await self._spot(entry, parent), last_name.encode()
        if len(steps_of(last)) > 1:
            raise InvalidArgumentError(
                "INVALID_JAIL_PATH", f"base_name {last!r} is no name", hint="give the last name of its path"
            )
        await self._require_writable(entry, spot, posixpath.join(spot.path, last.decode("utf-8", "replace")))
        return spot, last

    async def _require_writable(self, entry: JailEntry, spot: _Spot, path: str) -> None:
        mount = mount_at(spot.mounts, path)[0]
        if mount != spot.mount:  # a volume is mounted there: the tree's name is that of its folder
            raise FailedPreconditionError(
                "PATH_OF_VOLUME",
                f"{path}: something else is mounted there, such as a volume",
                hint=f"copy its contents into it: jailctl jail cp FOLDER/. {entry.name}:{path}",
                resource=f"jails/{entry.name}",
            )
        if mount.readonly or Path(mount.source) not in _writable(entry):
            raise _of_a_generation(entry.name, mount, path)
        if await self._zfs.mounted(Path(mount.source)) is None:
            raise FailedPreconditionError(
                "DATASET_NOT_MOUNTED",
                f"the dataset of {mount.target} is not mounted on {mount.source}",
                hint="start the jail, which mounts it: what is written to an empty mount point would be hidden then",
                resource=f"jails/{entry.name}",
            )

    async def _spot(self, entry: JailEntry, path: str) -> _Spot:
        """Return what a path is, links followed: each within the jail."""
        if entry.generation is None:
            raise FailedPreconditionError(
                "JAIL_NOT_READY",
                f"jail {entry.name} has no generation yet",
                hint="wait for its creation",
                resource=f"jails/{entry.name}",
            )
        if not path.startswith("/") or "\0" in path or ".." in PurePosixPath(path).parts:
            raise InvalidArgumentError(
                "INVALID_JAIL_PATH", f"{path!r} is no path in a jail", hint="give an absolute one without `..`"
            )
        mounts = self._runs.spec_of(entry, entry.generation).mounts
        inside = posixpath.normpath("/" + path.lstrip("/"))
        for _ in range(_LINKS):
            mount, steps = mount_at(mounts, inside)
            if mount.kind is not MountKind.LAYER:
                raise _in_memory(entry.name, inside)
            place = _place(mount, steps)
            look = await self._trees.look(place)
            if look.found is not Found.LINK:
                return _Spot(path=inside, mount=mount, place=place, look=look, mounts=mounts)
            at = look.depth - (len(place.steps) - len(steps)) - 1
            if at < 0:
                break
            before = posixpath.join(mount.target, *steps[:at])
            inside = posixpath.normpath(posixpath.join(before, look.target, *steps[at + 1 :]))
        raise InvalidArgumentError(
            "INVALID_JAIL_PATH", f"{path}: too many links, or one where none may be", hint="name where they lead to"
        )


def _writable(entry: JailEntry) -> tuple[Path, ...]:
    """Return the datasets of data and volumes."""
    return (entry.folder / layout.DATA, *(entry.folder / part for part in entry.parts if part))


def _joined(spot: _Spot, last: bytes) -> str:
    return posixpath.join(spot.path, last.decode("utf-8", "backslashreplace")) if last else spot.path


def _place(mount: Mount, steps: tuple[str, ...]) -> Place:
    return Place(root=Path(mount.source), steps=(*PurePosixPath(mount.within).parts, *steps))


def _another(name: str) -> NotFoundError:
    return NotFoundError(
        "JAIL_NOT_FOUND",
        f"the jail {name} that was written into is gone, and another one has its name",
        hint="copy again if that one is meant",
        resource=f"jails/{name}",
    )


def _not_there(path: str) -> NotFoundError:
    return NotFoundError(
        "PATH_NOT_IN_JAIL",
        f"{path} is not in the jail",
        hint="see what is there: jailctl jail exec NAME -- ls -la FOLDER; a folder to copy into has to be there",
        resource=path,
    )


def _in_memory(name: str, path: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "PATH_IN_MEMORY",
        f"{path} is in the jail's memory, and nowhere on disk",
        hint=f"by a command in it: jailctl jail exec {name} -- tar -cf - {path}; or by /var in the jail, and cp there",
        resource=f"jails/{name}",
    )


def _of_a_generation(name: str, mount: Mount, path: str) -> FailedPreconditionError:
    if mount.target == "/etc" or mount.target.endswith("/etc"):
        what = "the configuration, which each generation has its own copy of"
        hint = (
            f"change it in the jail (jailctl jail exec {name} -u root -- ...), which later generations keep; or ship it"
        )
    elif mount.target == "/":
        what, hint = "the base", f"it is the source team's: jailctl jail upgrade {name} BASE"
    else:
        what, hint = "the release", f"push one that has it, then: jailctl jail deploy {name} APP/VERSION"
    return FailedPreconditionError(
        "PATH_OF_GENERATION",
        f"{path} belongs to {what}: only data (/var, /root, /home) and volumes are written to",
        hint=hint,
        resource=f"jails/{name}",
        detail={"path": path},
    )
