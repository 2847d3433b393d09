"""A test's host on FreeBSD: a pool on a file, jail(8), a bridge with epairs; all on this machine (`tests.e2e.ground`).

All is found by the folder's name: jails by their paths, mounts, the processes that name the folder or its pool.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jaild.adapters.freebsd import network
from jaild.adapters.freebsd.records import Record
from jaild.adapters.runtime.records import Records
from jaild.adapters.zfs.embedded import pool_name_for
from tests.demo.programs import ProgramError, run
from tests.e2e.client import until
from tests.patience import patient

_DEADLINE = patient(60.0)  # seconds for what was killed to be gone
_PROGRAM = 2  # columns before a command in `ps -o pid,ppid,command`


class FreebsdGround:
    """Implements `tests.e2e.ground.Ground`."""

    def __init__(self, folder: Path, bridge: str) -> None:
        self._folder = folder
        self._bridge = bridge
        self._pool = pool_name_for(folder)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return it as it is: the kernel's ZFS is everybody's."""
        return [*argv]

    def seen(self, path: Path) -> Path:
        """Return it as it is."""
        return path

    def mounts(self) -> list[str]:
        """Those of mount(8), in their order."""
        points = (line.split()[1] for line in run(["mount", "-p"]).splitlines())
        return [point for point in points if point.startswith(f"{self._folder}/")]

    def jail_processes(self, name: str = "") -> list[int]:
        """Processes in jails whose path is a tree of ours."""
        jids = self._jails(name)
        rows = (row.split() for row in run(["ps", "-axo", "jid,pid"]).splitlines()[1:])
        return sorted(int(pid) for jid, pid in rows if jid in jids)

    def processes(self) -> list[int]:
        """Those of jails, and those that name the folder or its pool, but for our children."""
        rows = (row.split(maxsplit=_PROGRAM) for row in run(["ps", "-axwwo", "pid,ppid,command"]).splitlines()[1:])
        named = (row for row in rows if str(self._folder) in row[-1] or self._pool in row[-1])
        own = {str(os.getpid())}
        return sorted({*self.jail_processes(), *(int(row[0]) for row in named if not own & {row[0], row[1]})})

    def left(self) -> list[str]:
        """Jails, processes, mounts, the pool."""
        pools = [name for name in run(["zpool", "list", "-H", "-o", "name"]).split() if name == self._pool]
        return [*(f"jail {jid}" for jid in self._jails()), *map(str, self.processes()), *self.mounts(), *pools]

    def cut_power(self) -> None:
        """End jails and processes, take mounts and interfaces away, and export the pool.

        What a real loss of power loses is not lost: an export writes what was not yet written.
        """
        for jid in self._jails():
            with suppress(ProgramError):  # it ended meanwhile
                run(["jail", "-R", jid])
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes(), _DEADLINE)
        for point in reversed(self.mounts()):
            if point.startswith(f"{self._folder}/run/"):
                run(["umount", "-f", point])
        self._forget_interfaces()
        if self._pool in self.left():
            until(self._exported, _DEADLINE)

    def state(self) -> str:
        """What zpool(8) says of the pool."""
        try:
            return run(["zpool", "status", self._pool])
        except ProgramError as error:
            return str(error)

    def _jails(self, name: str = "") -> list[str]:
        trees = f"{(self._folder / 'run' / 'trees' / name).resolve()}/"
        rows = (row.split(maxsplit=1) for row in run(["jls", "jid", "path"]).splitlines())
        return [row[0] for row in rows if row[-1].startswith(trees)]

    def _forget_interfaces(self) -> None:
        there = set(run(["ifconfig", "-l"]).split())
        run_folder = (self._folder / "run").resolve()
        records = Records(run_folder / "runs", Record)
        known = [record.spec for name in records.names() if (record := records.read(name)) is not None]
        mine = {network.ends(run_folder, spec.uid, spec.generation)[0] for spec in known}
        for name in sorted((mine | {self._bridge}) & there):
            run(["ifconfig", name, "destroy"])

    def _exported(self) -> bool:
        try:
            run(["zpool", "export", "-f", self._pool])
        except ProgramError:  # busy: what used it is on its way out
            return False
        return True
