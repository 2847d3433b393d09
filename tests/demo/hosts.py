"""Two hosts on one machine: network, mount and process namespaces of their own, joined by a bridge, and a client.

    <run>-net:  br0 ── alpha, beta, client          (a switch)
    <run>-alpha, <run>-beta:  br0 ── uplink          (address on br0; jails join br0)
    <run>-client:  uplink                            (address on uplink)

Names in the machine's own namespace carry the run's name, so runs do not meet. A host dies whole: its process 1 ends
with a pipe that the demo holds, so of a killed run only names are left, and `sweep` removes those.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.demo.programs import environment, run

RECORDS = Path("/run/jaild-demo")
NAMESPACES = Path("/run/netns")
BRIDGE = "br0"
PREFIX_LENGTH = 24
ADDRESSES = {"alpha": "10.77.0.11", "beta": "10.77.0.12", "client": "10.77.0.2"}
JAIL_ADDRESS = "10.77.0.100"
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Host:
    """A set of namespaces with a process 1. `address` is empty for the switch."""

    name: str
    namespace: str
    address: str
    keeper: subprocess.Popen[str]  # unshare; its child is the host's process 1

    @property
    def pid(self) -> int:
        """The host's process 1, as the machine numbers it."""
        return children_of(self.keeper.pid)[0]

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` in this host."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--", *map(str, argv)]

    def run(self, argv: Sequence[str | Path], *, timeout: float = 60.0) -> str:
        """Run to the end; `ProgramError` for a status other than 0."""
        return run(self.argv(argv), timeout=timeout)

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[Any] | None = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a program; `stop` ends it. This checkout's modules are found by its Python."""
        return subprocess.Popen(
            self.argv(argv),
            env=environment(PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1", **(env or {})),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def stop(self, process: subprocess.Popen[str]) -> int:
        """End a program that `start` started."""
        return stop(process)

    def kill(self, process: subprocess.Popen[str]) -> int:
        """The same by SIGKILL, at once."""
        return stop(process, how=signal.SIGKILL)

    def end(self) -> None:
        """Kill everything that runs in the host, at once, as a power cut would.

        With its stdin process 1 ends; the kernel kills the rest, and lets process 1 end when all are gone.
        """
        if self.keeper.stdin is not None:
            self.keeper.stdin.close()
        self.keeper.wait(timeout=60)
        if self.keeper.stdout is not None:
            self.keeper.stdout.close()


@dataclass(frozen=True, kw_only=True)
class Topology:
    """The running hosts of one run."""

    name: str
    alpha: Host
    beta: Host
    client: Host
    bridge: str = BRIDGE
    more: Mapping[str, Host] = field(default_factory=dict)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process 1 of each host, as the machine numbers them."""
        return tuple(host.pid for host in (self.alpha, self.beta, self.client))


def children_of(pid: int) -> list[int]:
    """The children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stop(process: subprocess.Popen[str], *, how: signal.Signals = signal.SIGTERM, timeout: float = 20.0) -> int:
    """Signal a program that `Host.start` started, wait for its end, return its status; SIGKILL after `timeout` seconds.

    The signal goes to the program: nsenter waits for it and passes on its status.
    """
    if process.poll() is None:
        _signal(process, how)
    try:
        return process.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        return process.wait(timeout=timeout)


def _signal(process: subprocess.Popen[str], how: signal.Signals) -> None:
    for pid in children_of(process.pid) or [process.pid]:
        with suppress(ProcessLookupError):  # it ended meanwhile: what was wanted
            os.kill(pid, how)


@contextmanager
def two_hosts(prefix: str = "jdemo", more: Mapping[str, str] | None = None) -> Iterator[Topology]:
    """Make the topology, and remove it with all that runs in it. Sweeps dead runs of `prefix` first.

    `more`: further hosts, by name with their address.
    """
    addresses = {**ADDRESSES, **(more or {})}
    sweep(prefix)
    name = f"{prefix}-{secrets.token_hex(3)}"
    with ExitStack() as stack:
        stack.callback(_forget, name)
        _record(name)
        made = {}
        for node in ("net", *addresses):
            namespace = f"{name}-{node}"
            run(["ip", "netns", "add", namespace])
            stack.callback(run, ["ip", "netns", "delete", namespace])
            made[node] = _boot(node, namespace, addresses.get(node, ""))
            stack.callback(made[node].end)
        _connect(made)
        further = {node: made[node] for node in more or {}}
        yield Topology(name=name, alpha=made["alpha"], beta=made["beta"], client=made["client"], more=further)


def sweep(prefix: str = "jdemo") -> list[str]:
    """Remove what killed runs of this prefix left; returns their names. Runs whose owner lives are left alone."""
    swept = []
    RECORDS.mkdir(exist_ok=True)
    with (RECORDS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two may sweep at once; one that is killed leaves the record to the next
        for record in sorted(RECORDS.glob(f"{prefix}-*.json")):
            owner = json.loads(record.read_text())
            if _started(owner["pid"]) == owner["started"]:
                continue
            for namespace in sorted(NAMESPACES.glob(f"{record.stem}-*")):
                run(["ip", "netns", "delete", namespace.name])
            record.unlink()
            swept.append(record.stem)
    return swept


def _record(name: str) -> None:
    RECORDS.mkdir(exist_ok=True)
    owner = {"pid": os.getpid(), "started": _started(os.getpid())}
    part = RECORDS / f".{name}"
    part.write_text(json.dumps(owner))
    part.rename(RECORDS / f"{name}.json")


def _forget(name: str) -> None:
    (RECORDS / f"{name}.json").unlink()


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks: with its number, who it is. None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _boot(node: str, namespace: str, address: str) -> Host:
    # Not `ip netns exec`: it puts a new /sys over the machine's, and the control groups would be gone.
    argv = ["nsenter", f"--net={NAMESPACES / namespace}"]
    argv += ["unshare", "--mount", "--propagation=slave", "--uts", "--pid", "--fork", "--mount-proc"]
    argv += [sys.executable, "-I", str(Path(__file__).with_name("init.py")), node]
    keeper = subprocess.Popen(
        argv,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # an interrupt at the terminal is the demo's to answer
    )
    host = Host(name=node, namespace=namespace, address=address, keeper=keeper)
    if keeper.stdout is None or keeper.stdout.readline() != "ready\n":
        host.end()
        raise RuntimeError(f"the namespaces of {node} could not be made: status {keeper.returncode}")
    return host


def _connect(made: Mapping[str, Host]) -> None:
    for host in made.values():
        _ip(host, "link", "set", "lo", "up")
        if host.name != "client":
            _ip(host, "link", "add", BRIDGE, "type", "bridge")
            _ip(host, "link", "set", BRIDGE, "up")
    switch = made["net"]
    for name, host in made.items():
        if host is switch:
            continue
        _ip(switch, "link", "add", name, "type", "veth", "peer", "name", "uplink", "netns", host.namespace)
        _ip(switch, "link", "set", name, "master", BRIDGE, "up")
        _ip(host, "link", "set", "uplink", "up")
        addressed = "uplink"
        if name != "client":
            addressed = BRIDGE
            mac = json.loads(_ip(host, "-json", "link", "show", "uplink"))[0]["address"]
            _ip(host, "link", "set", BRIDGE, "address", mac)  # else it changes with every jail that joins
            _ip(host, "link", "set", "uplink", "master", BRIDGE)
        _ip(host, "address", "add", f"{host.address}/{PREFIX_LENGTH}", "dev", addressed)


def _ip(host: Host, *words: str) -> str:
    return run(["ip", "-n", host.namespace, *words])
