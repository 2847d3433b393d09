"""A host on real ZFS and a real OCI runtime whose daemon lives in this process, so that it can die at any call."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.oci.runtime import OciRuntime
from jaild.adapters.system.clock import SystemClock
from jaild.adapters.system.probe import SocketProbe
from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.cli import CliZfs
from jaild.model.errors import AlreadyExistsError
from jaild.model.snapshots import HOLDS, MIGRATION, of_migration
from jaild.ports.process import Child, Completed, Errors, Processes, TerminalSize
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs
from tests.fakes.faults import Life
from tests.fakes.host import InProcessHost
from tests.fakes.network import Network
from tests.faults import ledger
from tests.zfs_fuse import InNamespace, PrivateZfs

PROCESS = "process"  # what the name of a step begins with that is the start of a program by the runtime
_LONGEST_SLEEP = 0.1  # seconds: pauses between tries are for networks, and there is none here
_MIGRATION = "mig-"  # what names of migrations' snapshots begin with, where nobody else makes any
_TAG = re.compile(rf"\b({_MIGRATION}|{HOLDS[MIGRATION]}-|{of_migration('')})[0-9a-f]+")
_WORD = re.compile(r"[a-z]+")


class BriskClock(SystemClock):
    """The system's time, with short sleeps."""

    async def sleep(self, seconds: float) -> None:
        """Let at most a tenth of a second pass."""
        await asyncio.sleep(min(seconds, _LONGEST_SLEEP))


class MortalProcesses:
    """Programs of a daemon: none starts after its death, and one under way goes on. Implements `Processes`."""

    def __init__(self, inner: Processes, life: Life, *, counted: bool) -> None:
        self._inner = inner
        self._life = life
        self._counted = counted

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float = 120.0,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        output: Path | None = None,
    ) -> Completed:
        """Run to the end."""
        self._life.check()
        if self._counted:
            await self._life.step(f"{PROCESS} {_words(argv)}")
        with self._life.engaged():
            completed = await self._inner.run(
                argv, stdin=stdin, timeout=timeout, cwd=cwd, env=env, check=check, output=output
            )
        self._life.check()
        return completed

    @asynccontextmanager
    async def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_stderr: Errors | None = None,
        terminal: TerminalSize | None = None,
        raw: bool = False,
    ) -> AsyncIterator[Child]:
        """Start with pipes, or a terminal."""
        self._life.check()
        with self._life.engaged():
            started = self._inner.start(argv, cwd=cwd, env=env, on_stderr=on_stderr, terminal=terminal, raw=raw)
            async with started as child:
                yield child


def _words(argv: Sequence[str]) -> str:
    """Return the program and what it is to do, without names that differ from run to run."""
    return " ".join([Path(argv[0]).name, *(word for word in argv[1:] if _WORD.fullmatch(word))][:4])


class RealHost(InProcessHost):
    """One host of a pair. `label` makes names of its calls the same in every run."""

    patience = 240.0

    def __init__(self, folder: Path, name: str, network: Network, pool: PrivateZfs, cgroup: str) -> None:
        super().__init__(folder, name, network, f"{pool.pool}/jaild")
        self.pool = pool
        self.run_folder = folder / "run"
        self._cgroup = cgroup
        self._network_of_host = HostNetwork(bridge=f"jf-{name}"[:15])
        self.zfs: Zfs = pool.zfs
        self.runtime: Runtime = self._runtime(ProcessRunner())
        self.probe = SocketProbe()
        self.clock = BriskClock()

    def _runtime(self, processes: Processes) -> OciRuntime:
        return OciRuntime(processes, self.run_folder, network=self._network_of_host, cgroup_parent=self._cgroup)

    def ground(self, life: Life) -> tuple[Zfs, Runtime]:
        """Return a ZFS and a runtime whose programs a dead daemon does not start."""
        life.label = self.label
        zfs = MortalProcesses(ProcessRunner(), life, counted=False)
        return (
            CliZfs(InNamespace(zfs, self.pool.pid)),
            self._runtime(MortalProcesses(ProcessRunner(), life, counted=True)),
        )

    def label(self, call: str) -> str:
        """Return the name of a call without what is this host's or this migration's alone."""
        return _TAG.sub(r"\1*", call).replace(self.root, "").replace(str(self.folder), "").strip()

    async def make_root(self) -> None:
        """Make the dataset below the pool's own."""
        try:
            await self.zfs.create(self.root)
        except AlreadyExistsError:
            return

    def acknowledged(self, jail: str) -> list[int]:
        """Return what the jail has said here, on its stdout, to have on disk, in this order."""
        return ledger.acknowledged(self.folder / "logs" / f"{jail}.log")
