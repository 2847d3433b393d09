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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.process import ProcessRunner
from jaild.wire.tls import TlsFiles
from tests.demo.fleet import Answer, Who
from tests.demo.hosts import BRIDGE, Host, Topology, stop
from tests.demo.programs import environment
from tests.demo.remote import RemoteWriter

PORT = 8443
JAILCTL = Path(sys.executable).with_name("jailctl")
_GRANTS = {
    Who.PRODUCT: {"roles": ["product"], "apps": ["redis"]},
    Who.SOURCE: {"roles": ["source"]},
    Who.OPERATOR: {"roles": ["operator"]},
    "alpha": {"roles": ["peer"]},
    "beta": {"roles": ["peer"]},
}
_READY = 60.0  # seconds for a daemon to make its pool and answer
_LONGEST = 300.0  # seconds for one jailctl
_FAST = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]


class DaemonError(Exception):
    """A daemon did not start, or did not end well."""


class Daemons:
    """The two daemons (implements `tests.demo.fleet.Fleet`). `two_daemons` makes and ends it."""

    def __init__(self, topology: Topology, folder: Path, stack: ExitStack) -> None:
        self._topology = topology
        self._folder = folder
        self._stack = stack
        self._running: dict[str, subprocess.Popen[str]] = {}

    def jailctl(self, who: Who, host: str, *words: str) -> Answer:
        """Run jailctl on the client's machine, which sees this machine's files."""
        return self._jailctl("--context", f"{who}@{host}", "-o", "json", *words)

    def open_writer(self, address: str) -> RemoteWriter:
        """Start a client on its machine."""
        argv = [sys.executable, "-m", "tests.demo.client", address]
        process = self._topology.client.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        writer = RemoteWriter(process)
        self._stack.callback(writer.close)
        return writer

    def start(self) -> None:
        """Make certificates and configurations, start both, and return when both answer."""
        files = asyncio.run(self._certificates())
        for host in self._hosts:
            self._start(host, files)
        for host in self._hosts:
            self._await_ready(host.name)
            for who in Who:
                self._add_context(who, host, files[who])

    def retire(self) -> None:
        """End both as an administrator would, and destroy their pools. Raises `DaemonError`, `ProgramError`."""
        for host in self._hosts:
            status = stop(self._running.pop(host.name))
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
    def _hosts(self) -> tuple[Host, Host]:
        return self._topology.alpha, self._topology.beta

    async def _certificates(self) -> dict[str, TlsFiles]:
        authority = CertificateAuthority(ProcessRunner(), self._folder / "tls")
        hosts = {host.name: await authority.issue(host.name, [host.address]) for host in self._hosts}
        return {**hosts, **{who: await authority.issue(who) for who in Who}}

    def _start(self, host: Host, files: dict[str, TlsFiles]) -> None:
        config = self._folder / f"{host.name}.yaml"
        config.write_text(yaml.safe_dump(self._configuration(host, files[host.name]), sort_keys=False))
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            "jaild",
            "--embedded",
            self._folder / host.name,
            "--config",
            config,
        ]
        with self.log(host.name).open("w") as log:
            self._running[host.name] = host.start(argv, stdout=log, stderr=log)

    def _configuration(self, host: Host, files: TlsFiles) -> dict[str, Any]:
        own = {"certificate": str(files.certificate), "key": str(files.key), "authority": str(files.authority)}
        others = [other for other in self._hosts if other is not host]
        return {
            "name": host.name,
            "listen": {"address": f"{host.address}:{PORT}", "tls": own},
            "grants": {str(name): grant for name, grant in _GRANTS.items()},
            "peers": {other.name: {"address": f"{other.address}:{PORT}", "tls": own} for other in others},
            "network": {"bridge": BRIDGE},
            "cgroup": f"{self._folder.name}-{host.name}",
        }

    def _await_ready(self, name: str) -> None:
        request = health_pb2.HealthCheckRequest()
        until = time.monotonic() + _READY
        with grpc.insecure_channel(f"unix://{self._folder / name / 'jaild.sock'}", options=_FAST) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            while self._running[name].poll() is None and time.monotonic() < until:
                try:
                    if stub.Check(request, wait_for_ready=True, timeout=1.0).status == _serving():
                        return
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                        raise
        raise DaemonError(f"the daemon of {name} does not answer: {self._log_end(name)}")

    def _add_context(self, who: Who, host: Host, files: TlsFiles) -> None:
        words = ["--address", f"{host.address}:{PORT}", "--ca", str(files.authority)]
        words += ["--cert", str(files.certificate), "--key", str(files.key)]
        answer = self._jailctl("context", "add", f"{who}@{host.name}", *words)
        if answer.status != 0:
            raise DaemonError(answer.complaint)

    def _jailctl(self, *words: str) -> Answer:
        began = time.monotonic()
        done = subprocess.run(
            self._topology.client.argv([JAILCTL, *words]),
            env=environment(XDG_CONFIG_HOME=str(self._folder / "config"), NO_COLOR="1"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LONGEST,
            start_new_session=True,  # an interrupt at the terminal is the demo's to answer
        )
        return Answer(
            command=f"jailctl {' '.join(words)}",
            status=done.returncode,
            output=done.stdout,
            complaint=done.stderr,
            seconds=time.monotonic() - began,
        )

    def _log_end(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-2000:]


@contextmanager
def two_daemons(topology: Topology, folder: Path) -> Iterator[Daemons]:
    """Start a daemon on each host, with everything in `folder`. Whatever still runs at the end ends with its host."""
    with ExitStack() as stack:
        daemons = Daemons(topology, folder, stack)
        daemons.start()
        yield daemons


def _serving() -> int:
    return int(health_pb2.HealthCheckResponse.SERVING)
