"""One FreeBSD machine that passes for two hosts: two daemons, each with its own pool, on one bridge with addresses.

jail(8), pools and interfaces are the machine's: what a run made is looked for by its folder's name, and must be gone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from jaild.adapters.zfs.embedded import pool_name_for
from tests.demo.hosts import ADDRESSES, CHECKOUT
from tests.demo.programs import environment, run
from tests.patience import patient

GATEWAY = "10.77.0.1/24"  # the machine's own on the bridge: it is the client too


@dataclass(frozen=True, kw_only=True)
class LocalMachine:
    """A host that is this machine, by an address of its own (implements `tests.demo.machines.Machine`)."""

    name: str
    address: str
    patience: float = patient(20.0)  # seconds for a daemon to end after SIGTERM
    started: list[subprocess.Popen[str]] = field(default_factory=list, compare=False)

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """Return `argv` as it is."""
        return [*map(str, argv)]

    def run(self, argv: Sequence[str | Path], *, timeout: float = 60.0) -> str:
        """Run to the end; `ProgramError` for a status other than 0."""
        return run(self.argv(argv), timeout=patient(timeout), cwd=CHECKOUT)

    def start(
        self, argv: Sequence[str | Path], *, stdout: int | IO[Any] | None = None, stderr: int | IO[Any] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program."""
        process = subprocess.Popen(
            self.argv(argv),
            env=environment(PYTHONDONTWRITEBYTECODE="1"),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def stop(self, process: subprocess.Popen[str]) -> int:
        """End a program that `start` started."""
        process.terminate()
        try:
            return process.wait(timeout=self.patience)
        except subprocess.TimeoutExpired:
            return self.kill(process)

    def kill(self, process: subprocess.Popen[str]) -> int:
        """The same by SIGKILL, at once."""
        process.kill()
        return process.wait(timeout=self.patience)

    def end(self) -> None:
        """Kill what `start` started and still runs, as a host of its own would end with all that runs in it."""
        for process in self.started:
            if process.poll() is None:
                self.kill(process)


@dataclass(frozen=True, kw_only=True)
class LocalMachines:
    """Implements `tests.demo.machines.Machines`."""

    alpha: LocalMachine
    beta: LocalMachine
    client: LocalMachine
    bridge: str


@contextmanager
def one_machine() -> Iterator[LocalMachines]:
    """Make the bridge with the hosts' addresses on it; destroy it, and end what was started on the hosts."""
    with ExitStack() as stack:
        bridge = run(["ifconfig", "bridge", "create"]).strip()
        stack.callback(run, ["ifconfig", bridge, "destroy"])
        run(["ifconfig", bridge, "inet", GATEWAY, "up"])
        for address in ADDRESSES.values():
            run(["ifconfig", bridge, "inet", f"{address}/32", "alias"])
        made = {name: LocalMachine(name=name, address=address) for name, address in ADDRESSES.items()}
        for machine in made.values():
            stack.callback(machine.end)
        yield LocalMachines(bridge=bridge, alpha=made["alpha"], beta=made["beta"], client=made["client"])


@contextmanager
def workspace(root: Path = Path("/var/tmp")) -> Iterator[Path]:
    """Make a run's folder; at the end destroy the pools in it, whatever happened, and remove it."""
    folder = root / f"jdemo-{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        for pool in sorted(folder.glob("*/vdevs")):  # --destroy ends the jails first
            run([sys.executable, "-m", "jaild", "--embedded", str(pool.parent), "--destroy"], cwd=CHECKOUT)
        if not mounted(folder):  # never through a mount
            shutil.rmtree(folder)


def mounted(folder: Path) -> list[str]:
    """Return what is mounted in a folder, as mount(8) tells it."""
    return [line for line in run(["mount", "-p"]).splitlines() if folder.name in line]


def left(folder: Path) -> list[str]:
    """Say what is left of a run: mounts, jails, pools, processes, its folder. Empty: nothing."""
    found = [f"mount {line}" for line in mounted(folder)]
    found += [f"jail {line}" for line in run(["jls", "path"]).splitlines() if folder.name in line]
    pools = {pool_name_for(folder / host) for host in ADDRESSES}
    found += [f"pool {name}" for name in run(["zpool", "list", "-H", "-o", "name"]).split() if name in pools]
    shown = (line.split(maxsplit=1) for line in run(["ps", "-ax", "-o", "pid,command"]).splitlines()[1:])
    found += [f"process {row[0]}: {row[1]}" for row in shown if folder.name in row[-1] and int(row[0]) != os.getpid()]
    return found + ([f"{folder}"] if folder.exists() else [])
