"""What the liveness checks of a thousand jails that run cost a daemon: `python -m tests.bench.liveness FOLDER KIND`.

That prints the result of one kind of check as JSON, or of none (`none`). Real are the daemon's loop, its clock and its
sockets; ZFS and the runtime are the ports' fakes, as for the thousand jails that do not run. Who answers the checks is
another process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from jaild.adapters.system.clock import SystemClock
from jaild.adapters.system.probe import SocketProbe
from jaild.model import layout
from jaild.model.jails.spec import Limits, Network
from jaild.model.layers.records import Desired
from jaild.model.layout import Layout
from jaild.ports.runtime import RunSpec
from tests.bench.figures import Goal, Row
from tests.bench.thousand import COUNT, populate
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import run
from tests.fakes.host import ROOT, InProcessHost
from tests.fakes.network import Network as Hosts
from tests.fakes.runtime import FakeRun, FakeRuntime
from tests.fakes.zfs import FakeZfs

INTERVAL = 10.0  # seconds, of each jail's checks
KINDS = ("none", "process", "tcp", "http")
_MEASURED = 30.0  # seconds
_GOAL = 0.1  # CPU seconds for each second
_OWNER = "fedcba9876543210fedcba9876543210"
_ANSWER = b"HTTP/1.0 200 OK\r\n\r\n"
_CHECKS = {
    "process": "{kind: process}",
    "tcp": "{kind: tcp, address: 127.0.0.1, port: PORT}",
    "http": "{kind: http, address: 127.0.0.1, port: PORT}",
}


def _spec(kind: str, port: int) -> str:
    """Return what the jails' specs have besides, as a text in which braces are doubled."""
    if kind not in _CHECKS:
        return ""
    text = f"liveness: {{interval: {INTERVAL:g}, checks: [{_CHECKS[kind]}]}}\n".replace("PORT", str(port))
    return text.replace("{", "{{").replace("}", "}}")


class _CountingProbe(SocketProbe):
    """The real one, and how often it was asked and found something wrong."""

    def __init__(self) -> None:
        self.asked = self.failed = 0

    async def tcp(self, address: str, port: int, timeout: float) -> str:
        """Ask."""
        return self._counted(await super().tcp(address, port, timeout))

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:
        """Ask."""
        return self._counted(await super().http(address, port, path, timeout))

    def _counted(self, answer: str) -> str:
        self.asked += 1
        self.failed += bool(answer)
        return answer


class ThousandJails(InProcessHost):
    """A host on fakes of ZFS and the runtime, in real time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "bench", Hosts(), ROOT)
        self.clock = SystemClock()
        self.zfs: FakeZfs = FakeZfs(folder / "pool")
        self.runtime: FakeRuntime = FakeRuntime()
        self.probe: _CountingProbe = _CountingProbe()

    async def furnish(self, spec: str) -> None:
        """Make the jails, all of which run."""
        where = Layout(ROOT)
        await self.zfs.create(ROOT, {layout.HOST_PROPERTY: f'{{"id":"{_OWNER}","schema":1}}'})
        await self.zfs.create(where.jails)
        await populate(self.zfs, where, self.folder / "pool" / where.jails, _OWNER, more=spec, desired=Desired.RUNNING)
        for number in range(COUNT):
            run = FakeRun(spec=_run_of(f"edge-{number:05}", self.folder), pid=100 + number, started=time.time())
            self.runtime.by_name[run.spec.name] = run


def _run_of(jail: str, folder: Path) -> RunSpec:
    return RunSpec(
        jail=jail,
        generation=1,
        uid="",
        mounts=(),
        command=(),
        environment={},
        user="root",
        hostname=jail,
        network=Network(),
        limits=Limits(),
        osrelease="",
        osreldate=0,
        log=folder / "log",
        stop_signal="TERM",
        stop_timeout=1.0,
    )


async def _measured(folder: Path, kind: str, port: int) -> dict[str, Any]:
    host = ThousandJails(folder)
    await host.furnish(_spec(kind, port))
    await host.start()
    await asyncio.sleep(INTERVAL)  # then all of them were asked once, and the start is over
    asked, cpu, began = host.probe.asked, time.process_time(), time.perf_counter()
    await asyncio.sleep(_MEASURED)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    states = [host.core.use_cases.jails.get(name).health for name in host.core.inventory.jails]
    found = {
        "kind": kind,
        "jails": len(states),
        "healthy": sum(1 for status in states if status is not None and status.state == "healthy"),
        "interval": INTERVAL,
        "seconds": seconds,
        "cpu_per_second": used / seconds,
        "asked_per_second": (host.probe.asked - asked) / seconds,
        "failed": host.probe.failed,
    }
    await host.stop()
    return found


@contextmanager
def _answered() -> Iterator[int]:
    """Let another process answer whoever connects, and yield the port."""

    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    child = os.fork()  # before there is an event loop or a thread
    if child == 0:
        _answer(listening)
    port = listening.getsockname()[1]
    listening.close()
    try:
        yield port
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _answer(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(0.2)
            try:
                if connection.recv(4096):
                    connection.sendall(_ANSWER)
            except OSError:
                continue  # who asks by tcp says nothing


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each kind in a process of its own."""
    found = {}
    for kind in KINDS:
        say(f"liveness checks of {COUNT} jails: {kind}")
        with tempfile.TemporaryDirectory(prefix="jbench-") as folder:
            argv = [sys.executable, "-m", "tests.bench.liveness", folder, kind]
            found[kind] = json.loads(run(argv, cwd=CHECKOUT))  # the worker that asks is elsewhere
    return found


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """The goals of issue 15 for what was measured."""
    return [row.goal for row in rows(found) if row.goal is not None]


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    idle = found["none"]["cpu_per_second"]
    return [_row(found[kind], idle) for kind in KINDS if kind != "none" and kind in found]


def _row(one: Mapping[str, Any], idle: float) -> Row:
    name = f"{one['jails']} jails checked by {one['kind']} every {one['interval']:g} s: CPU for each second"
    goal = Goal(name=name, value=one["cpu_per_second"], limit=_GOAL, unit="s", below=True)
    return Row(what=name, measured=f"{goal.value:.3f} s", reference=f"{idle:.3f} s without checks", goal=goal)


def main(folder: str, kind: str) -> None:
    """Print what one kind costs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with _answered() as port:
        print(json.dumps(asyncio.run(_measured(Path(folder), kind, port))))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:3])
