"""Ports of a real host that lead into a jail, and addresses that are not the jail's to take."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.oci import ports as oci_ports
from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.jails.spec import Mode, Network, Port
from jaild.ports.runtime import RunSpec
from tests.conftest import LINUX_HOST
from tests.contract.oci_rig import OciRig, hosted, started

pytestmark = pytest.mark.real(*LINUX_HOST)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[OciRig]:
    # What the host forwards is not a test's to change, and what it sends itself needs no forwarding.
    forwards = tmp_path / "sys/net/ipv4/ip_forward"
    forwards.parent.mkdir(parents=True)
    forwards.write_text("1\n")
    async with hosted(tmp_path, tmp_path / "sys") as rig:
        yield rig
        assert tables(rig) == []


def tables(rig: OciRig) -> list[str]:
    listed = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
    mine = oci_ports.table(rig.run_folder.resolve(), "web")
    return [line for line in listed.splitlines() if line.endswith(f" {mine}")]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def own(rig: OciRig, port: int, generation: int = 1) -> RunSpec:
    gateway = rig.host.partition("/")[0]
    network = Network(mode=Mode.VNET, addresses=(rig.inside,), gateway=gateway, ports=(Port(host=port, jail=80),))
    return replace(rig.spec(generation), command=("httpd", "-f", "-p", "80", "-h", "/usr/local"), network=network)


async def fetch(address: str, port: int) -> bytes:
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.01)  # it does not listen yet
                continue
            writer.write(b"GET /version HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer


async def test_a_port_of_the_host_leads_into_the_jail_in_every_generation_while_it_runs(rig: OciRig) -> None:
    port, address = free_port(), rig.host.partition("/")[0]
    runtime = await started(rig, own(rig, port, 1))
    await runtime.create(own(rig, port, 2))
    assert b"1.0" in await fetch(address, port)
    await runtime.stop("web", 1)
    assert tables(rig) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, port), timeout=5)
    await runtime.start("web", 2)
    await runtime.remove("web", 1)
    assert b"1.0" in await fetch(address, port)
    await runtime.stop("web", 2)


async def test_a_start_that_fails_leaves_no_port_that_leads_nowhere(rig: OciRig) -> None:
    (rig.release / "broken").write_text("#!/no/such/interpreter\n")
    (rig.release / "broken").chmod(0o755)
    await rig.runtime.create(replace(own(rig, free_port()), command=("/usr/local/broken",)))
    with pytest.raises(InternalError):
        await rig.runtime.start("web", 1)
    assert tables(rig) == []


async def test_a_new_daemon_clears_the_ports_of_what_crashed_while_none_ran(rig: OciRig) -> None:
    runtime = await started(rig, own(rig, free_port()))
    (run,) = await runtime.runs()
    await rig.crash(run)
    await runtime.wait("web", 1)
    assert tables(rig) != []
    adopted = rig.restarted()
    await adopted.remove("web", 1)
    assert tables(rig) == []


async def test_the_hosts_own_address_is_not_given_to_a_jail_that_would_take_it_along(rig: OciRig) -> None:
    bridge, mine = rig.network.bridge, rig.host.partition("/")[0]
    shared = Network(mode=Mode.SHARED_IP, addresses=(rig.host,), interface=bridge)
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), network=shared))
    assert refused.value.reason == "ADDRESS_IN_USE"
    with socket.socket() as still:
        still.bind((mine, 0))  # it can be had only while the host has it
