"""A jail's tree as mounts of the Linux kernel: put together parents first, taken apart children first.

The next generation's tree is mounted while the last one runs, and both share the data: whoever is root in the jail may
swap any folder there for a link at any moment. So a folder is opened step by step, and mounted on as it is open; what
is unmounted is what the mount table shows, from within the open folder that it is in.

Every mount is private: a bind mount of a shared source joins the source's peer group, and what is mounted over it
would then appear in the source (a base) and in every other namespace (mount_namespaces(7)).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from jaild.adapters.files.errors import explained
from jaild.adapters.oci import mount_syscalls as kernel
from jaild.adapters.runtime import refusals, treepaths
from jaild.adapters.system.own_thread import in_own_thread
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.mounts import Mount, MountKind
from jaild.trees.openat import CHANGED, reached

_T = TypeVar("_T")

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_SPECIAL = re.compile(r"[ \t\n\\]")  # what the kernel writes so in a path (show_mountinfo in fs/proc_namespace.c)
_RETRY = 0.2  # seconds: an open file makes a mount busy without any event when it is closed
_AGAIN = 0.005  # seconds: a folder on the way was swapped, and will be again
_GONE = CHANGED | {errno.EINVAL}  # of umount2: no longer mounted there


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    number: int
    parent: int  # the number of the mount that it is mounted in
    target: Path
    kind: str  # type of file system
    options: frozenset[str]  # of this mount
    super_options: frozenset[str]  # of the file system


def parse(text: str, root: Path | None = None) -> list[Mounted]:
    """Return what mountinfo says, in its order; with `root` only what `below` may find there.

    A host with a thousand jails has ten thousand lines: most are only looked at, not taken apart.
    """
    found = []
    for line in _lines(text) if root is None else _at(root, text):
        mount, _, filesystem = line.partition(" - ")
        fields, rest = mount.split(" "), filesystem.split(" ")
        found.append(
            Mounted(
                number=int(fields[0]),
                parent=int(fields[1]),
                target=Path(_unescaped(fields[4])),
                kind=rest[0],
                options=frozenset(fields[5].split(",")),
                super_options=frozenset(rest[2].split(",")),
            )
        )
    return found


def _at(root: Path, text: str) -> list[str]:
    """Return the lines of what is mounted at or below `root`, or in such a mount by whatever name."""
    place = _SPECIAL.sub(lambda special: f"\\{ord(special[0]):03o}", str(root))
    if place not in text:
        return []
    lines = _lines(text)
    ours = [line.split(" ", 5) for line in lines if place in line]
    numbers = {fields[0] for fields in ours if fields[4] == place or fields[4].startswith(f"{place}/")}
    parents = [line.split(" ", 2) for line in lines] if numbers else []
    while more := {number for number, parent, _ in parents if parent in numbers and number not in numbers}:
        numbers |= more
    return [line for line, (number, _, _) in zip(lines, parents, strict=False) if number in numbers]


def _lines(text: str) -> list[str]:
    # Nothing else ends a line, as str.splitlines() has it: whoever is root in a jail may have named a folder so.
    return text.rstrip("\n").split("\n") if text else []


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 8)), field) if "\\" in field else field


def mounted(root: Path | None = None) -> list[Mounted]:
    """Return what is mounted now in this process's namespace; with `root` only what `below` may find there.

    The table is of the whole host, so each look at it costs more the more jails there are.
    """
    return [] if root is not None and not _is_there(root) else parse(mountinfo(), root)


def _is_there(place: Path) -> bool:
    """Whether something can be mounted at a place. Its folder is asked: what is mounted there may not answer."""
    with contextlib.suppress(FileNotFoundError), os.scandir(place.parent) as entries:
        return any(entry.name == place.name for entry in entries)
    return False


def control_groups() -> list[Mounted]:
    """Return the mounts of control groups, of both kinds."""
    return parse("\n".join(line for line in _lines(mountinfo()) if " - cgroup" in line))


def mountinfo() -> str:
    """Return the mount table of this process's namespace as proc(5) has it."""
    return _MOUNTINFO.read_text("utf-8", "surrogateescape")


def below(root: Path, table: Sequence[Mounted]) -> list[Path]:
    """Return the mount points at and below `root`, children first; of two on one place the upper first."""
    return [mount.target for mount in _inside(root, table)]


def _inside(root: Path, table: Sequence[Mounted]) -> list[Mounted]:
    """Return what is mounted at `root`, or in such a mount by whatever name, children first."""
    found = [mount for mount in table if mount.target.is_relative_to(root)]
    numbers = {mount.number for mount in found}
    while more := [mount for mount in table if mount.parent in numbers and mount.number not in numbers]:
        found += more
        numbers |= {mount.number for mount in more}
    parents = {mount.number: mount.parent for mount in found}

    def depth(number: int) -> int:
        return 1 + depth(parents[number]) if number in parents and parents[number] != number else 0

    place = {mount.number: at for at, mount in enumerate(table)}
    return sorted(found, key=lambda m: (depth(m.number), len(m.target.parts), place[m.number]), reverse=True)


async def mount_tree(root: Path, mounts: Sequence[Mount]) -> None:
    """Mount `mounts`, parents first, with `root` as the jail's /.

    Each target is looked up in what is mounted so far, and no symlink below the root is followed: it could lead out
    of the tree. Raises `FailedPreconditionError` (MOUNT_TARGET_SYMLINK, MOUNT_TARGET_MISSING, MOUNT_SOURCE_SYMLINK,
    MOUNT_SOURCE_MISSING, MOUNT_MISPLACED), `UnavailableError` (RUNTIME_MISSING) before Linux 5.12,
    `DeadlineExceededError` (COMMAND_TIMEOUT). What was mounted before a failure stays: `unmount_tree` takes it away.
    """
    await _whole(partial(_mount_all, root, mounts), f"mount {root}")


def _mount_all(root: Path, mounts: Sequence[Mount], over: threading.Event) -> None:
    numbers = {}
    with explained(root):
        root.mkdir(parents=True, exist_ok=True)
        for mount in mounts:
            if over.is_set():
                return
            numbers[_mount(root, mount)] = _place(root, mount)
        there = {mount.number: mount.target for mount in _inside(root, mounted(root))}
    if there != numbers:
        raise refusals.misplaced(root, sorted(numbers.values()), sorted(there.values()))


def _mount(root: Path, mount: Mount) -> int:
    """Mount one of a tree; return its number in the mount table."""
    with treepaths.target(root, mount.target) as folder:
        if mount.kind is MountKind.TMPFS:
            size = {"size": str(mount.size)} if mount.size else {}
            flags, made = kernel.NO_DEVICES | kernel.NO_SUID, kernel.tmpfs({"mode": "1777", **size})
        else:
            with treepaths.source(mount) as source:
                flags, made = kernel.NO_DEVICES | (kernel.READ_ONLY if mount.readonly else 0), kernel.bind(source)
        try:
            kernel.place(made, folder, flags)
            return kernel.number(made)
        finally:
            os.close(made)


def require_whole(root: Path, mounts: Sequence[Mount], table: Sequence[Mounted]) -> None:
    """Raise `FailedPreconditionError` (MOUNT_MISPLACED) unless all of a tree is mounted where it belongs, and no more.

    It was when `mount_tree` returned. Since then the jail's last generation, which shares the data, may have moved or
    removed the folders that are mounted on here.
    """
    wanted, there = sorted(_place(root, mount) for mount in mounts), sorted(below(root, table))
    if wanted != there:
        raise refusals.misplaced(root, wanted, there)


async def unmount_tree(root: Path, *, patience: float = 5.0) -> None:
    """Unmount all at and below `root`, children first. No error if nothing is mounted there.

    What is busy is tried again whenever the mount table changes, for `patience` seconds; then
    `FailedPreconditionError` (TREE_BUSY) names the mounts that stayed.
    """
    deadline = time.monotonic() + patience
    while _is_there(root):
        busy, left = await _whole(partial(_unmount_what_can_be, root), f"unmount {root}")
        if not left:
            return
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise FailedPreconditionError(
                "TREE_BUSY",
                f"still in use: {', '.join(map(str, below(root, left)))}",
                hint="end the processes that use them (`fuser -vm PATH`), then try again",
                resource=str(root),
                detail={"stderr": busy},
            )
        await changed(min(rest, _RETRY if busy else _AGAIN))


def _unmount_what_can_be(root: Path, over: threading.Event) -> tuple[str, list[Mounted]]:
    """Try each mount once; return what was said of one that is in use, and what is left."""
    said, there = "", _inside(root, mounted(root))
    for mount in there:
        if over.is_set():
            break
        if not mount.target.is_relative_to(root):  # the folder that it is on is in no tree any more
            said = f"{mount.target}: no longer below {root}"
            continue
        try:
            with reached(root.parent, mount.target.relative_to(root.parent).parts[:-1]) as folder:
                kernel.unmount(folder, mount.target.name)
        except OSError as error:
            if error.errno not in _GONE:
                said = f"{mount.target}: {error.strerror}"
    return said, mounted(root) if there else there


def _place(root: Path, mount: Mount) -> Path:
    return root / mount.target.lstrip("/")


async def _whole(work: Callable[[threading.Event], _T], what: str) -> _T:
    """Do blocking work in a thread of its own; given up while a call hangs, it makes no other after that one."""
    over = threading.Event()
    try:
        return await in_own_thread(partial(work, over), what)
    finally:
        over.set()


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
