"""A test's host on Linux: a zfs-fuse in a mount namespace of its own, runc, control groups (see `tests.e2e.ground`)."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jaild.adapters.zfs.private_namespace import running

CGROUPS = Path("/sys/fs/cgroup")
_SECONDS = 30.0


class LinuxGround:
    """Implements `tests.e2e.ground.Ground`."""

    def __init__(self, folder: Path, bridge: str, enter: Sequence[str]) -> None:
        self._folder = folder
        self._bridge = bridge
        self._enter = enter
        self._cgroup = f"jaild-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Enter the mount namespace."""
        return ["nsenter", f"--mount=/proc/{self._zfs()}/ns/mnt", "--", *argv]

    def seen(self, path: Path) -> Path:
        """Look through zfs-fuse's root."""
        return Path(f"/proc/{self._zfs()}/root") / str(path).lstrip("/")

    def mounts(self) -> list[str]:
        """Those of the mount namespace."""
        pid = running(self._folder)
        points = [line.split()[4] for line in Path(f"/proc/{pid or 'self'}/mountinfo").read_text().splitlines()]
        return [point for point in points if point.startswith(f"{self._folder}/")]

    def jail_processes(self, name: str = "") -> list[int]:
        """The processes in the jails' control groups."""
        found: set[int] = set()
        for group in self._groups():
            for folder, _, _ in os.walk(group):  # which passes over those that go meanwhile
                file = Path(folder) / "cgroup.procs"
                with suppress(FileNotFoundError, OSError):
                    if not name or file.parent.name.startswith(f"{name}."):
                        found |= {int(pid) for pid in file.read_text().split()}
        return sorted(found)

    def processes(self) -> list[int]:
        """Those of jails, and those in the mount namespace."""
        found = set(self.jail_processes())
        pid = running(self._folder)
        if pid is not None:
            namespace = Path(f"/proc/{pid}/ns/mnt").readlink()
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # of other users and namespaces
                    if (process / "ns/mnt").readlink() == namespace:
                        found.add(int(process.name))
        return sorted(found)

    def left(self) -> list[str]:
        """Processes and mounts, the bridge, control groups; a zfs-fuse is among the processes."""
        argv = [*self._enter, "ip", "link", "show", "dev", self._bridge]
        there = (
            self._bridge and subprocess.run(argv, check=False, capture_output=True, timeout=_SECONDS).returncode == 0
        )
        bridges = [self._bridge] if there else []
        return [*map(str, self.processes()), *self.mounts(), *bridges, *map(str, self._groups())]

    def cut_power(self) -> None:
        """Kill ZFS and jails: mounts and network namespaces go with them."""
        _kill(self.processes())
        if self._bridge:
            argv = [*self._enter, "ip", "link", "delete", self._bridge]
            subprocess.run(argv, check=False, capture_output=True, timeout=_SECONDS)
        for group in self._groups():
            for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                with suppress(OSError):
                    folder.rmdir()
            with suppress(OSError):
                group.rmdir()

    def state(self) -> str:
        """Whether there is a zfs-fuse."""
        return f"zfs-fuse is {running(self._folder) or 'gone'}"

    def _zfs(self) -> int:
        pid = running(self._folder)
        assert pid is not None, "there is no zfs-fuse"
        return pid

    def _groups(self) -> list[Path]:
        return [found for found in (CGROUPS / self._cgroup, *CGROUPS.glob(f"*/{self._cgroup}")) if found.is_dir()]


def _kill(pids: Sequence[int]) -> None:
    """Kill processes that are not our children and wait until they are gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], _SECONDS)
            finally:
                os.close(handle)
