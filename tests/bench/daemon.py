"""A jaild that is measured: started, asked by its socket, looked at from outside by /proc, ended."""

from __future__ import annotations

import os
import socket as sockets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jaild.v1 import common_pb2, host_pb2_grpc, jails_pb2_grpc, rollouts_pb2_grpc

_COMES_UP = 300.0  # seconds that a daemon may take until it answers
_ANSWERS = 120.0  # seconds for one call
_ENDS = 60.0


class NotMeasuredError(Exception):
    """Something that is to be measured did not work."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """An operation that ended well: seconds from its request to its end, and what the daemon measured."""

    seconds: float
    downtime: float | None


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A running daemon. `answered` is how many seconds after its start it answered for the first time."""

    pid: int
    answered: float
    jails: Any
    rollouts: Any
    host: Any
    operations: Any

    def carried_out(self, method: Any, request: Any) -> Change:
        """Ask for a change and wait for its end."""
        began = time.perf_counter()
        operation = method(request, timeout=_ANSWERS)
        while not operation.done:
            wait = operations_pb2.WaitOperationRequest(name=operation.name)
            operation = self.operations.WaitOperation(wait, timeout=_ANSWERS)
        seconds = time.perf_counter() - began
        if operation.HasField("error"):
            raise NotMeasuredError(f"{type(request).__name__}: {operation.error.message}")
        told = common_pb2.OperationMetadata()
        operation.metadata.Unpack(told)
        downtime = told.downtime.ToTimedelta().total_seconds() if told.HasField("downtime") else None
        return Change(seconds=seconds, downtime=downtime)

    @property
    def resident(self) -> float:
        """Megabytes (10^6 bytes) of it that are in memory: VmRSS of proc(5)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6

    @property
    def spent(self) -> dict[str, float]:
        """Seconds of CPU: its own, and those of all programs that it ever waited for, with what they waited for."""
        own, programs = cpu_of(self.pid)
        return {"daemon": own, "programs": programs}

    @property
    def child_faults(self) -> int:
        """Page faults of all children that it ever waited for: grows with every process that it runs to its end.

        cminflt of proc(5). A process cannot run a program without a fault.
        """
        return int(_stat(self.pid)[8])

    @property
    def children(self) -> int:
        """How many processes it is the parent of now."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(len((task / "children").read_text().split()) for task in tasks)


def cpu_of(pid: int) -> tuple[float, float]:
    """Return a process's seconds of CPU, and those of the children that it waited for (proc_pid_stat(5))."""
    user, system, children_user, children_system = map(int, _stat(pid)[11:15])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + system) / ticks, (children_user + children_system) / ticks


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@contextmanager
def running(
    argv: Sequence[str], socket: Path, log: Path, surroundings: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """Start a daemon (in this environment, if it is not to have ours), yield it as soon as it answers, end it."""
    with log.open("ab") as output:
        began = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=surroundings)
    try:
        _await_listening(process, socket, log)
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_ANSWERS)
            yield Daemon(
                pid=process.pid,
                answered=time.perf_counter() - began,
                jails=jails_pb2_grpc.JailsStub(channel),
                rollouts=rollouts_pb2_grpc.RolloutsStub(channel),
                host=host_pb2_grpc.HostStub(channel),
                operations=operations_pb2_grpc.OperationsStub(channel),
            )
    finally:
        process.terminate()
        try:
            process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_listening(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + _COMES_UP
    while process.poll() is None and time.monotonic() < deadline:
        with sockets.socket(sockets.AF_UNIX) as probe, suppress(FileNotFoundError, ConnectionRefusedError):
            probe.connect(str(socket))
            return
        time.sleep(0.002)  # that a socket begins to listen is told by no event
    raise NotMeasuredError(f"the daemon does not come up: {log.read_text()[-2000:]}")
