"""A jail's tree as mounts of the Linux kernel: put together parents first, taken apart children first.

Every mount is private: a bind mount of a shared source joins the source's peer group, and what is mounted over it
would then appear in the source (a base) and in every other namespace (mount_namespaces(7)).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.runtime import treepaths
from jaild.domain.errors import FailedPreconditionError
from jaild.domain.tree import Mount, MountKind
from jaild.ports.process import Processes

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_RETRY = 0.2  # seconds: an open file makes a mount busy without any event when it is closed


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    target: Path
    kind: str  # type of file system
    options: frozenset[str]  # of this mount
    super_options: frozenset[str]  # of the file system


def parse(text: str) -> list[Mounted]:
    """Return what mountinfo says, in its order."""
    found = []
    for line in text.splitlines():
        mount, _, filesystem = line.partition(" - ")
        fields, rest = mount.split(" "), filesystem.split(" ")
        found.append(
            Mounted(
                target=Path(_ESCAPE.sub(lambda m: chr(int(m[1], 8)), fields[4])),
                kind=rest[0],
                options=frozenset(fields[5].split(",")),
                super_options=frozenset(rest[2].split(",")),
            )
        )
    return found


def mounted() -> list[Mounted]:
    """Return what is mounted now in this process's namespace."""
    return parse(_MOUNTINFO.read_text("utf-8", "surrogateescape"))


def below(root: Path, table: Sequence[Mounted]) -> list[Path]:
    """Return the mount points at and below `root`, children first; of two on one place the upper first."""
    found = [(len(m.target.parts), i, m.target) for i, m in enumerate(table) if m.target.is_relative_to(root)]
    return [target for _, _, target in sorted(found, reverse=True)]


def argv(mount: Mount, target: Path) -> tuple[str, ...]:
    """Return the command that mounts `mount` at `target` on the host."""
    if mount.kind is MountKind.TMPFS:
        size = (f"size={mount.size}",) if mount.size else ()
        options = ",".join(("nodev", "nosuid", "private", "mode=1777", *size))
        return ("mount", "-n", "-t", "tmpfs", "-o", options, "tmpfs", str(target))
    options = ",".join(("bind", "private", "nodev", *(("ro",) if mount.readonly else ())))
    return ("mount", "-n", "-o", options, "--", mount.source, str(target))


async def mount_tree(processes: Processes, root: Path, mounts: Sequence[Mount]) -> None:
    """Mount `mounts`, parents first, with `root` as the jail's /.

    Each target is looked up in what is mounted so far, and no symlink below the root is followed: it could lead out
    of the tree. Raises `FailedPreconditionError` (MOUNT_TARGET_SYMLINK, MOUNT_TARGET_MISSING). What was mounted before
    a failure stays: `unmount_tree` takes it away.
    """
    root.mkdir(parents=True, exist_ok=True)
    for mount in mounts:
        await processes.run(argv(mount, treepaths.target(root, mount.target)))


async def unmount_tree(processes: Processes, root: Path, *, patience: float = 5.0) -> None:
    """Unmount all at and below `root`, children first. No error if nothing is mounted there.

    What is busy is tried again whenever the mount table changes, for `patience` seconds; then
    `FailedPreconditionError` (TREE_BUSY) names the mounts that stayed.
    """
    deadline = time.monotonic() + patience
    while targets := below(root, mounted()):
        done = await processes.run(("umount", "-n", "-c", "--", *map(str, targets)), check=False)
        left = below(root, mounted())
        if not left:
            return
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise FailedPreconditionError(
                "TREE_BUSY",
                f"still in use: {', '.join(map(str, left))}",
                remedy="end the processes that use them (`fuser -vm PATH`), then try again",
                resource=str(root),
                detail={"stderr": done.error_text.strip()},
            )
        await changed(min(rest, _RETRY))


async def changed(timeout: float) -> None:
    """Return when the mount table changes, or after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    change = asyncio.Event()
    # mountinfo tells a change as POLLPRI|POLLERR (proc(5)), which asyncio does not ask for: an epoll in between does.
    with _MOUNTINFO.open("rb") as table, select.epoll() as poll:
        poll.register(table, select.EPOLLPRI | select.EPOLLERR)
        loop.add_reader(poll.fileno(), change.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await change.wait()
        finally:
            loop.remove_reader(poll.fileno())
