"""A jail's tree as mounts of FreeBSD: put together parents first, taken apart children first, by what mount(8) shows.

jail.conf's own `mount` and fstab are not used: jail(8) would unmount at each stop, reads fstab again at that time, and
splits it on white space.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.runtime import treepaths
from jaild.adapters.runtime.freebsd_errors import explain
from jaild.domain.errors import FailedPreconditionError
from jaild.domain.tree import Mount, MountKind
from jaild.ports.process import Processes

# fstab(5)'s columns, as `mount -p` writes them: nothing is escaped. What is mounted may have blanks in its name, the
# places that jaild mounts on have none.
_LINE = re.compile(r"(.*?)[ \t]+(/\S*)[ \t]+(\S+)[ \t]+(\S+)[ \t]+\d+ \d+")
_RETRY = 0.2  # seconds: that a file is no longer in use is told by no event


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """A line of `mount -p`."""

    source: str
    target: Path
    kind: str  # type of file system
    options: frozenset[str]


def parse(text: str) -> list[Mounted]:
    """Return what `mount -p` says, in its order: that of mounting."""
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return [Mounted(source=m[1], target=Path(m[2]), kind=m[3], options=frozenset(m[4].split(","))) for m in found if m]


def below(root: Path, table: Sequence[Mounted]) -> list[Path]:
    """Return the mount points at and below `root`, children first; of two on one place the upper first."""
    found = [(len(m.target.parts), i, m.target) for i, m in enumerate(table) if m.target.is_relative_to(root)]
    return [target for _, _, target in sorted(found, reverse=True)]


def argv(mount: Mount, target: Path) -> tuple[str, ...]:
    """Return the command that mounts `mount` at `target` on the host."""
    if mount.kind is MountKind.TMPFS:
        size = (f"size={mount.size}",) if mount.size else ()
        return ("mount", "-t", "tmpfs", "-o", ",".join((*size, "mode=1777")), "tmpfs", str(target))
    options = ("-o", "ro") if mount.readonly else ()
    return ("mount", "-t", "nullfs", *options, mount.source, str(target))


def devfs(target: Path, ruleset: int) -> tuple[str, ...]:
    """Return the command that mounts a jail's /dev."""
    return ("mount", "-t", "devfs", "-o", f"ruleset={ruleset}", "devfs", str(target))


async def mounted(processes: Processes) -> list[Mounted]:
    """Return what is mounted now."""
    return parse((await processes.run(("mount", "-p"))).text)


async def mount_tree(processes: Processes, root: Path, mounts: Sequence[Mount], *, ruleset: int) -> None:
    """Mount `mounts`, parents first, with `root` as the jail's /, and devfs with `ruleset` at its /dev.

    Each target is looked up in what is mounted so far, and no symlink below the root is followed: it could lead out
    of the tree. Raises `FailedPreconditionError` (MOUNT_TARGET_SYMLINK, MOUNT_TARGET_MISSING, MOUNT_SOURCE_MISSING).
    What was mounted before a failure stays: `unmount_tree` takes it away.
    """
    root.mkdir(parents=True, exist_ok=True)
    for mount in mounts:
        await _run(processes, argv(mount, treepaths.target(root, mount.target)))
    await _run(processes, devfs(treepaths.target(root, "/dev"), ruleset))


async def unmount_tree(processes: Processes, root: Path, *, dying: bool = False, patience: float = 5.0) -> None:
    """Unmount all at and below `root`, children first. No error if nothing is mounted there.

    What is busy is tried again for `patience` seconds; then `FailedPreconditionError` (TREE_BUSY) names what stayed.
    By force only the root itself, when all else is off, of a jail that is `dying`: nothing runs in it, and all that
    it does with its root, a read-only layer, is to refer to it (decision 210).
    """
    deadline = time.monotonic() + patience
    said = ""
    while targets := below(root, await mounted(processes)):
        all_off = True
        for target in targets:
            force = ("-f",) if dying and all_off and target == root else ()
            done = await processes.run(("umount", *force, str(target)), check=False)
            said = done.error_text.strip() or said
            all_off = all_off and done.status == 0
        left = below(root, await mounted(processes))
        if not left:
            return
        if time.monotonic() >= deadline:
            raise FailedPreconditionError(
                "TREE_BUSY",
                f"still in use: {', '.join(map(str, left))}",
                remedy="end the processes that use them (`fstat -f PATH`), then try again",
                resource=str(root),
                detail={"stderr": said},
            )
        await asyncio.sleep(_RETRY)


async def _run(processes: Processes, command: tuple[str, ...]) -> None:
    completed = await processes.run(command, check=False)
    if completed.status != 0:
        raise explain(completed, command[-1])
