"""Events in a real rsyslogd, by TCP, UDP and its local socket, as it takes RFC 5424 apart; it is killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.system.process import ProcessRunner
from jaild.model.sinks.settings import SinkSettings, Syslog
from tests.fakes.host import FakeHost
from tests.patience import patient

pytestmark = pytest.mark.real("rsyslogd")

ROUNDS = 5
CONFIG = """
module(load="imtcp")
module(load="imudp")
module(load="imuxsock" SysSock.Use="off")
input(type="imtcp" address="127.0.0.1" port="{port}")
input(type="imudp" address="127.0.0.1" port="{port}")
input(type="imuxsock" Socket="{folder}/log" CreatePath="on" UseSpecialParser="off" ParseHostname="on")
template(name="taken" type="list") {{
  property(name="jsonmesg") constant(value="\\n")
}}
action(type="omfile" file="{folder}/taken" template="taken" asyncWriting="off" flushOnTXEnd="on")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: a unix socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="jaild-rsyslog-", dir="/var/tmp") as made:
        yield Path(made)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def rsyslog(folder: Path, port: int) -> AsyncIterator[None]:
    """Run one that writes what it takes, a line of JSON each, to `taken`; at the end it is killed."""
    (folder / "rsyslog.conf").write_text(CONFIG.format(folder=folder, port=port))
    argv = ["rsyslogd", "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")]
    with subprocess.Popen(argv) as daemon:  # noqa: ASYNC220 -- its start takes no time, its being there is awaited
        try:
            await until(lambda: _listens(port) and (folder / "log").exists())
            yield
        finally:
            daemon.kill()


async def until(so: Callable[[], bool]) -> None:
    """Ask again: rsyslog tells nobody what it has done."""
    async with asyncio.timeout(patient(30.0)):
        while not so():  # noqa: ASYNC110 -- see above
            await asyncio.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def taken(folder: Path) -> list[dict[str, Any]]:
    path = folder / "taken"
    lines = path.read_text().splitlines() if path.exists() else []
    return [each for each in map(json.loads, lines) if each["programname"] == "jaild"]


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[FakeHost]:
    """One whose events go to where they are told to."""
    made = FakeHost(folder / "alpha")
    made.sinks = SinkAdapters(ProcessRunner())
    await made.start()
    yield made
    await made.stop()


def settings(address: str, facility: Any = "daemon") -> SinkSettings:
    to = Syslog(address=address, facility=facility, severity="warning")
    return SinkSettings(syslog=to, filter='target = "jails/*"')


async def test_a_message_is_taken_apart_as_it_was_meant_whichever_way_it_came(folder: Path, host: FakeHost) -> None:
    port = free_port()
    ways = {"local0": f"tcp://127.0.0.1:{port}", "local1": f"udp://127.0.0.1:{port}", "local2": f"unix:{folder}/log"}
    async with rsyslog(folder, port):
        sinks = {facility: settings(address, facility) for facility, address in ways.items()}
        await host.core.use_cases.sinks.run(sinks)
        await host.core.use_cases.events.emit("jail.exited", "jails/web", 'status 1, "Ümlaut"\n', jail="web")
        await until(lambda: len(taken(folder)) == len(ways))
    assert {each["syslogfacility"] for each in taken(folder)} == {"16", "17", "18"}  # local0 to local2
    for each in taken(folder):
        assert (each["syslogseverity"], each["hostname"], each["msgid"]) == ("4", "alpha", "jail.exited")
        assert each["structured-data"].startswith('[meta sequenceId="')
        told = json.loads(each["msg"])
        assert (told["message"], told["detail"]) == ('status 1, "Ümlaut"\n', {"jail": "web"})


async def test_by_tcp_every_event_arrives_in_order_however_often_the_receiver_is_killed(
    folder: Path, host: FakeHost
) -> None:
    port, sinks, events = free_port(), host.core.use_cases.sinks, host.core.use_cases.events
    await sinks.run({"log": settings(f"tcp://127.0.0.1:{port}")})
    for number in range(ROUNDS):
        await events.emit("jail.started", "jails/web", f"round {number}")  # while nobody listens
        async with rsyslog(folder, port):
            await until(lambda: sinks.get("log").row.delivered > number)  # noqa: B023 -- called here
            await until(lambda: f"round {number}" in (folder / "taken").read_text())  # noqa: B023
    found = [json.loads(each["msg"])["message"] for each in taken(folder)]
    assert list(dict.fromkeys(found)) == [f"round {number}" for number in range(ROUNDS)]
    assert sinks.get("log").failures > 0
