"""What is left of a run on this machine, found by its name: processes, mounts, namespaces, control groups, folders."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.demo.hosts import NAMESPACES, RECORDS

GROUPS = Path("/sys/fs/cgroup")
_GONE = (FileNotFoundError, ProcessLookupError)


class LeftoverError(Exception):
    """Something of a run is still there."""


@contextmanager
def pinned(pids: Iterable[int]) -> Iterator[frozenset[str]]:
    """The process namespaces of `pids`: `pid:[4026532201]`. Held open, so that no later one gets the same number."""
    with ExitStack() as stack:
        for pid in pids:
            stack.enter_context(Path(f"/proc/{pid}/ns/pid").open())
        yield frozenset(map(_namespace, pids))


def find(name: str, folder: Path, namespaces: frozenset[str] = frozenset()) -> list[str]:
    """Say what is left of the run `name`, of its `folder`, and in the namespaces `pinned`. Empty: nothing."""
    found = [f"process {pid}: {_command(pid)}" for pid in processes(name, namespaces)]
    found += [f"mount {line}" for line in sorted(mounts(name))]
    paths = [*NAMESPACES.glob(f"{name}*"), *RECORDS.glob(f"{name}*"), *groups(name), folder]
    return found + [f"{path}" for path in paths if path.exists()]


def processes(name: str, namespaces: frozenset[str] = frozenset()) -> list[int]:
    """Processes that have `name` in their command or control group, or that are in one of the namespaces `pinned`."""
    found = []
    for pid in _all_processes():
        if pid == os.getpid():
            continue
        try:
            about = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/cgroup").read_bytes()
            if name.encode() in about or _namespace(pid) in namespaces:
                found.append(pid)
        except (*_GONE, PermissionError):
            continue  # it ended meanwhile, or a container's keeper hides it: none that we started
    return found


def await_end(pids: Iterable[int], timeout: float) -> None:
    """Wait for processes that are ending. Raises `LeftoverError` after `timeout` seconds for each."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], timeout)[0]:
                raise LeftoverError(f"process {pid} does not end: {_command(pid)}")
        finally:
            os.close(handle)


def mounts(name: str) -> set[str]:
    """Mounts with `name` in them, in any mount namespace on the machine."""
    found: set[str] = set()
    for pid in _all_processes():
        try:
            lines = Path(f"/proc/{pid}/mountinfo").read_text(errors="replace").splitlines()
        except (*_GONE, OSError):  # EINVAL: a zombie has no mounts
            continue
        found.update(line.split()[4] for line in lines if name in line)
    return found


def groups(name: str) -> list[Path]:
    """The run's control groups, one for each hierarchy."""
    return [*GROUPS.glob(f"{name}*"), *GROUPS.glob(f"*/{name}*")]


def remove_groups(name: str) -> None:
    """Remove them; they must be empty of processes."""
    for group in groups(name):
        for inner, _, _ in os.walk(group, topdown=False):
            Path(inner).rmdir()  # a control group's files go with it


def _all_processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except _GONE:
        return "(ended)"
