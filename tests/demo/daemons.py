"""A fleet on one machine: a real daemon in each of two hosts made of namespaces, reached by TLS from a third.

alpha: jaild --embedded FOLDER/alpha        beta: jaild --embedded FOLDER/beta
       10.77.0.11:8443  <──── peers, mutual TLS ────>  10.77.0.12:8443
                   ^                                   ^
                   └──── client: jailctl, and the writer
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jaild.rpc.tls import TlsFiles
from tests.demo.callers import Callers
from tests.demo.fleet import Answer, Who
from tests.demo.machines import Machine, Machines
from tests.demo.remote import RemoteWriter
from tests.patience import patient

WATCHER = "watcher"
_METRICS = 9464  # port
_READY = patient(60.0)  # seconds for a daemon to make its pool and answer
_FAST = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]


class DaemonError(Exception):
    """A daemon did not start, or did not end well."""


class Daemons:
    """The two daemons (implements `tests.demo.fleet.Fleet`). `two_daemons` makes and ends it."""

    CRASH: ClassVar = "kill -9"

    def __init__(self, topology: Machines, folder: Path, stack: ExitStack, *, metrics: bool) -> None:
        self._topology = topology
        self._metrics = metrics
        self._folder = folder
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.files: Mapping[str, TlsFiles] = {}
        addresses = {host.name: host.address for host in self._hosts}
        self._callers = Callers(topology.client, folder, addresses, stack)

    def jailctl(self, who: Who, host: str, *words: str) -> Answer:
        """Run jailctl on the client's machine, which sees this machine's files."""
        return self._callers.jailctl(who, host, *words)

    def open_writer(self, address: str) -> RemoteWriter:
        """Start a client on its machine."""
        return self._callers.open_writer(address)

    @property
    def environment(self) -> dict[str, str]:
        """What a jailctl on the client's machine needs to know both, by contexts."""
        return self._callers.environment

    def crash(self, host: str) -> None:
        """Kill a daemon with -9, and start the next one; its jails go on meanwhile."""
        machine = next(each for each in self._hosts if each.name == host)
        machine.kill(self.running.pop(host))
        self._start(machine)
        self._await_ready(host)

    def start(self) -> None:
        """Make certificates and configurations, start both, and return when both answer."""
        self.files = files = asyncio.run(self._callers.certificates(WATCHER))
        for host in self._hosts:
            self._configure(host, files[host.name])
            self._start(host)
        for host in self._hosts:
            self._await_ready(host.name)
        self._callers.add_contexts(files)

    def retire(self) -> None:
        """End both as an administrator would, and destroy their pools. Raises `DaemonError`, `ProgramError`."""
        for host in self._hosts:
            status = host.stop(self.running.pop(host.name))
            if status != 0:
                raise DaemonError(f"the daemon of {host.name} ended with status {status}: {self._log_end(host.name)}")
            folder = self._folder / host.name
            host.run([sys.executable, "-m", "jaild", "--embedded", folder, "--destroy"])
            if (folder / "vdevs").exists():
                raise DaemonError(f"the pool of {host.name} is still there")

    def log(self, name: str) -> Path:
        """Where a daemon's log is."""
        return self._folder / f"{name}.log"

    @property
    def _hosts(self) -> tuple[Machine, Machine]:
        return self._topology.alpha, self._topology.beta

    def _configure(self, host: Machine, files: TlsFiles) -> None:
        told = self._callers.configuration(host.name, files)
        told |= {"network": {"bridge": self._topology.bridge}, "cgroup": f"{self._folder.name}-{host.name}"}
        if self._metrics:
            told["metrics"] = {"address": self.metrics[host.name], "tls": told["listen"]["tls"], "every": 5}
            told["grants"][WATCHER] = {"roles": ["metrics"]}
        self._config(host.name).write_text(yaml.safe_dump(told, sort_keys=False))

    @property
    def metrics(self) -> dict[str, str]:
        """Where each host is asked for its metrics, if it is to answer."""
        return {host.name: f"{host.address}:{_METRICS}" for host in self._hosts}

    def _config(self, name: str) -> Path:
        return self._folder / f"{name}.yaml"

    def _start(self, host: Machine) -> None:
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            "jaild",
            "--embedded",
            self._folder / host.name,
            "--config",
            self._config(host.name),
        ]
        with self.log(host.name).open("a") as log:
            self.running[host.name] = host.start(argv, stdout=log, stderr=log)

    def _await_ready(self, name: str) -> None:
        request = health_pb2.HealthCheckRequest()
        until = time.monotonic() + _READY
        with grpc.insecure_channel(f"unix://{self._folder / name / 'jaild.sock'}", options=_FAST) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            while self.running[name].poll() is None and time.monotonic() < until:
                try:
                    if stub.Check(request, wait_for_ready=True, timeout=1.0).status == _serving():
                        return
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                        raise
        raise DaemonError(f"the daemon of {name} does not answer: {self._log_end(name)}")

    def _log_end(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-2000:]


@contextmanager
def two_daemons(topology: Machines, folder: Path, *, metrics: bool = False) -> Iterator[Daemons]:
    """Start a daemon on each host, with everything in `folder`. Whatever still runs at the end ends with its host.

    `metrics`: both tell them to whoever has the certificate WATCHER.
    """
    with ExitStack() as stack:
        daemons = Daemons(topology, folder, stack, metrics=metrics)
        daemons.start()
        yield daemons


def _serving() -> int:
    return int(health_pb2.HealthCheckResponse.SERVING)
