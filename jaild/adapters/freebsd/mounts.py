"""A jail's tree as mounts of FreeBSD: put together parents first, taken apart children first, by the mount table.

FreeBSD mounts by path only: mount(8) and mount_nullfs(8) resolve it by realpath(3), nmount(2) looks it up once more.
So no path may lead through what a jail can write to while anything of that jail runs. The next generation's tree, which
is mounted beside the running one and shares its data, stops above such places; the rest is mounted at its start, when
the last generation has ended (`complete_tree`), at each start anew.

What is unmounted is named by its fsid, never by a path: the mount table keeps the path that a mount was made with,
though folders on it were moved or swapped since.

jail.conf's own `mount` and fstab are not used: jail(8) would unmount at each stop, reads fstab again at that time, and
splits it on white space.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jaild.adapters.runtime import refusals, treepaths
from jaild.model.errors import FailedPreconditionError, InternalError, PermissionDeniedError
from jaild.model.jails.mounts import Mount, MountKind, below_writable

_RETRY = 0.2  # seconds: that a file is no longer in use is told by no event
_DEV = "/dev"


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """An entry of the mount table, which is in the order of mounting."""

    source: str
    target: Path
    kind: str  # type of file system
    fsid: str  # this very mount, in hexadecimal as `mount -v` shows it; '' if it has none


@dataclass(frozen=True, kw_only=True)
class NewMount:
    """What is to be mounted where."""

    kind: str  # type of file system
    source: str
    target: Path
    options: Mapping[str, str] = field(default_factory=dict)  # '' for one without a value


class Mounting(Protocol):
    """How this host is asked to mount: by its commands, or by the system calls themselves.

    All raise `DeadlineExceededError` (COMMAND_TIMEOUT) after two minutes.
    """

    async def table(self) -> list[Mounted]:
        """Return what is mounted now."""

    async def mount(self, new: NewMount) -> None:
        """Mount.

        Raises `FailedPreconditionError` (MOUNT_SOURCE_MISSING, MOUNT_TARGET_MISSING, TREE_BUSY); for all else what the
        system said, most likely as an `InternalError`. So does `unmount`, with what was said as detail `stderr`.
        """

    async def unmount(self, mount: Mounted, *, force: bool = False) -> None:
        """Unmount this very mount."""


def below(root: Path, table: Sequence[Mounted]) -> list[Path]:
    """Return the mount points at and below `root`, children first; of two on one place the upper first."""
    return [mount.target for mount in _inside(root, table)]


def _inside(root: Path, table: Sequence[Mounted]) -> list[Mounted]:
    # By text, not by parts: a host with a thousand jails has ten thousand mounts.
    place, below_it = str(root), f"{root}/"
    inside = [(at, m) for at, m in enumerate(table) if (name := str(m.target)) == place or name.startswith(below_it)]
    found = [(len(m.target.parts), at, m) for at, m in inside]
    return [mount for _, _, mount in sorted(found, key=lambda each: each[:2], reverse=True)]


def new(mount: Mount, target: Path) -> NewMount:
    """Return what mounts `mount` at `target` on the host."""
    if mount.kind is MountKind.TMPFS:
        size = {"size": str(mount.size)} if mount.size else {}
        return NewMount(kind="tmpfs", source="tmpfs", target=target, options={**size, "mode": "1777"})
    options = {"ro": ""} if mount.readonly else {}
    return NewMount(kind="nullfs", source=mount.folder, target=target, options=options)


def devfs(target: Path, ruleset: int) -> NewMount:
    """Return what mounts a jail's /dev."""
    return NewMount(kind="devfs", source="devfs", target=target, options={"ruleset": str(ruleset)})


async def mount_tree(
    mounting: Mounting, root: Path, mounts: Sequence[Mount], *, ruleset: int, before: Sequence[Mounted]
) -> None:
    """Mount `mounts`, parents first, with `root` as the jail's /, and devfs with `ruleset` at its /dev.

    `before` is what is mounted so far. What lies below what the jail can write to is only looked at: `complete_tree`
    mounts it. Each target is looked up in what is mounted by then, and no symlink below the root is followed: it could
    lead out of the tree. Raises `FailedPreconditionError` (MOUNT_TARGET_SYMLINK, MOUNT_TARGET_MISSING,
    MOUNT_SOURCE_SYMLINK, MOUNT_SOURCE_MISSING, MOUNT_MISPLACED). What was mounted before a
    failure stays: `unmount_tree` takes it away.
    """
    root.mkdir(parents=True, exist_ok=True)
    early, late = _parted(mounts)
    for mount in early:
        await _mount(mounting, root, mount)
    await mounting.mount(devfs(_at(root, _DEV), ruleset))
    for mount in late:
        _look(root, mount, late)
    await _require_whole(mounting, root, early, before)


def has_late(mounts: Sequence[Mount]) -> bool:
    """Return whether anything of a tree is left to `complete_tree`."""
    return bool(_parted(mounts)[1])


async def complete_tree(mounting: Mounting, root: Path, mounts: Sequence[Mount], *, before: Sequence[Mounted]) -> None:
    """Mount what `mount_tree` left out, or mounted at an earlier start. Nothing of the jail may be running.

    `before` is what is mounted so far. Raises what `mount_tree` raises, and TREE_BUSY if what an earlier start mounted
    is in use.
    """
    early, late = _parted(mounts)
    places = {_place(root, mount) for mount in late}
    for old in _inside(root, before):
        if old.target in places:
            await mounting.unmount(old)
    for mount in late:
        await _mount(mounting, root, mount)
    await _require_whole(mounting, root, (*early, *late), before)


def _parted(mounts: Sequence[Mount]) -> tuple[list[Mount], list[Mount]]:
    """Return what can be mounted while the jail runs, and what cannot."""
    all_of_them = tuple(mounts)
    late = [mount for mount in mounts if below_writable(mount, all_of_them)]
    return [mount for mount in mounts if mount not in late], late


async def _mount(mounting: Mounting, root: Path, mount: Mount) -> None:
    if mount.kind is MountKind.LAYER:
        with treepaths.source(mount):
            pass
    await mounting.mount(new(mount, _at(root, mount.target)))


def _look(root: Path, mount: Mount, late: Sequence[Mount]) -> None:
    """Refuse now what would be refused when nothing serves any more."""
    if mount.kind is MountKind.LAYER:
        with treepaths.source(mount):
            pass
    place = Path(mount.target)
    if not any(place != Path(other.target) and place.is_relative_to(other.target) for other in late):
        _at(root, mount.target)


def _at(root: Path, target: str) -> Path:
    """Return the path of a mount target after looking at each step of the way to it."""
    with treepaths.target(root, target):
        return root / target.lstrip("/")


async def _require_whole(mounting: Mounting, root: Path, mounts: Sequence[Mount], before: Sequence[Mounted]) -> None:
    """Raise MOUNT_MISPLACED unless `mounts` are where they belong, and no more; take away what is outside the trees."""
    table = await mounting.table()
    layers = [mount for mount in mounts if mount.kind is MountKind.LAYER]
    sources = {_place(root, mount): os.path.realpath(mount.folder) for mount in layers}
    known = {mount.fsid for mount in before}
    trees = root.parent.parent
    astray = [
        mount
        for mount in table
        if mount.fsid not in known
        and mount.kind == "nullfs"
        and mount.source in sources.values()
        and not mount.target.is_relative_to(trees)
    ]
    for mount in reversed(astray):
        await mounting.unmount(mount)
    wanted = sorted([*(_place(root, mount) for mount in mounts), _place(root, _DEV)])
    there = _inside(root, table)
    shown = {mount.target: mount.source for mount in there}
    wrong = [place for place, source in sources.items() if shown.get(place) != source]
    if astray or wrong or sorted(mount.target for mount in there) != wanted:
        right = [mount.target for mount in there if mount.target not in wrong]
        raise refusals.misplaced(root, wanted, [*right, *(mount.target for mount in astray)])


def _place(root: Path, mount: Mount | str) -> Path:
    return root / (mount if isinstance(mount, str) else mount.target).lstrip("/")


async def unmount_tree(mounting: Mounting, root: Path, *, dying: bool = False, patience: float = 5.0) -> None:
    """Unmount all at and below `root`, children first. No error if nothing is mounted there.

    What is busy is tried again for `patience` seconds; then `FailedPreconditionError` (TREE_BUSY) names what stayed.
    By force only the root itself, when all else is off, of a jail that is `dying`: nothing runs in it, and all that
    it does with its root, a read-only layer, is to refer to it (decision 210).
    """
    deadline = time.monotonic() + patience
    said = ""
    while found := _inside(root, await mounting.table()):
        all_off = True
        for mount in found:
            force = dying and all_off and mount.target == root
            try:
                await mounting.unmount(mount, force=force)
            except (FailedPreconditionError, InternalError, PermissionDeniedError) as refused:
                said, all_off = refused.detail.get("stderr", refused.message), False
        left = below(root, await mounting.table())
        if not left:
            return
        if time.monotonic() >= deadline:
            raise FailedPreconditionError(
                "TREE_BUSY",
                f"still in use: {', '.join(map(str, left))}",
                hint="end the processes that use them (`fstat -f PATH`), then try again",
                resource=str(root),
                detail={"stderr": said},
            )
        await asyncio.sleep(_RETRY)
