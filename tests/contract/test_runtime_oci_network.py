"""Networks of jails on a real host, seen from that host."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.oci import namespaces
from jaild.adapters.oci import network as oci_network
from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.jails.spec import HttpCheck, Mode, Network, TcpCheck
from jaild.ports.runtime import RunSpec
from tests.conftest import LINUX_HOST
from tests.contract.oci_rig import OciRig, hosted, hosts_of, leftovers, started
from tests.contract.runtime_contract import SERVE, output_of

pytestmark = pytest.mark.real(*LINUX_HOST)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[OciRig]:
    async with hosted(tmp_path) as rig:
        yield rig


def own(rig: OciRig, generation: int = 1) -> RunSpec:
    httpd = ("httpd", "-f", "-p", "80", "-h", "/usr/local")
    network = Network(mode=Mode.VNET, addresses=(rig.inside,), gateway=rig.host.partition("/")[0])
    return replace(rig.spec(generation), command=httpd, network=network)


async def fetch(rig: OciRig, path: str) -> bytes:
    """GET it once the server listens: refused connections are tried again."""
    address = rig.inside.partition("/")[0]
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_connection(address, 80)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer


def neighbour(rig: OciRig) -> str:
    shown = subprocess.run(
        ["ip", "neigh", "show", "dev", rig.network.bridge, rig.inside.partition("/")[0]],
        check=True,
        capture_output=True,
        text=True,
    )
    return shown.stdout


async def test_a_network_of_its_own_is_reached_over_the_bridge_by_one_mac_address_in_every_generation(
    rig: OciRig,
) -> None:
    runtime = await started(rig, own(rig, 1))
    await runtime.create(own(rig, 2))
    assert b"1.0" in await fetch(rig, "/version")
    mac = oci_network.mac(rig.spec().uid)
    assert mac in neighbour(rig)
    await runtime.stop("web", 1)
    await runtime.start("web", 2)
    assert b"1.0" in await fetch(rig, "/version")
    assert mac in neighbour(rig)
    await runtime.remove("web", 1)
    assert b"1.0" in await fetch(rig, "/version")


async def test_what_goes_over_a_network_of_its_own_is_counted_as_the_jail_sees_it(rig: OciRig) -> None:
    runtime = await started(rig, own(rig))
    await fetch(rig, "/version")
    before = (await runtime.traffic(await runtime.runs()))["web"]
    body = await fetch(rig, "/serve")
    after = (await runtime.traffic(await runtime.runs()))["web"]
    assert after.sent - before.sent > len(body)
    assert 0 < after.received - before.received < after.sent - before.sent
    await runtime.stop("web", 1)
    await runtime.remove("web", 1)
    assert await runtime.traffic([]) == {}


async def test_a_run_without_a_network_of_its_own_has_no_traffic(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    assert await runtime.traffic(await runtime.runs()) == {}


def shown(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-json", *words], check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


async def test_a_network_of_its_own_is_whole_before_the_run_is_started(rig: OciRig) -> None:
    network = Network(mode=Mode.VNET, addresses=(rig.inside, "2001:db8::5/64"), gateway=rig.host.partition("/")[0])
    spec = replace(rig.spec(), network=network)
    await rig.runtime.create(spec)
    namespace = oci_network.namespace(rig.run_folder.resolve(), "web", 1)
    eth0 = next(link for link in shown("-netns", namespace, "addr") if link["ifname"] == "eth0")
    assert (eth0["address"], eth0["operstate"]) == (oci_network.mac(spec.uid), "UP")
    given = {f"{a['local']}/{a['prefixlen']}": a for a in eth0["addr_info"] if a["scope"] == "global"}
    assert set(given) == {rig.inside, "2001:db8::5/64"}
    assert "tentative" not in given["2001:db8::5/64"]
    (route,) = [route for route in shown("-netns", namespace, "route") if route["dst"] == "default"]
    assert (route["gateway"], route["dev"]) == (network.gateway, "eth0")
    assert "UP" in next(link for link in shown("-netns", namespace, "link") if link["ifname"] == "lo")["flags"]
    outer = oci_network.outer(rig.run_folder.resolve(), spec.uid, 1)
    (host,) = shown("addr", "show", "dev", outer)
    assert Path(f"/sys/class/net/{outer}/ifalias").read_text() == "web.1\n"
    assert (host["operstate"], host["addr_info"]) == ("UP", [])  # not even a link-local one
    await rig.runtime.remove("web", 1)
    assert leftovers(rig) == {}


async def test_what_a_crash_left_of_a_namespace_is_taken_away_and_a_network_that_is_there_is_told(rig: OciRig) -> None:
    name = oci_network.namespace(rig.run_folder.resolve(), "web", 1)
    namespaces.FOLDER.mkdir(exist_ok=True)
    (namespaces.FOLDER / name).touch()  # it came no further
    with pytest.raises(InternalError, match="File exists") as refused:
        await rig.runtime.create(own(rig))
    assert refused.value.reason == "COMMAND_FAILED"
    assert leftovers(rig) == {}
    await rig.runtime.create(own(rig))
    assert oci_network.outer(rig.run_folder.resolve(), rig.spec().uid, 1) in {name for _, name in socket.if_nameindex()}


async def test_a_run_that_is_not_started_is_not_reached(rig: OciRig) -> None:
    await rig.runtime.create(own(rig))
    slaves = hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif"))
    assert slaves == []
    await rig.runtime.start("web", 1)
    assert len(hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif"))) == 1
    await rig.runtime.stop("web", 1)
    assert hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif")) == []


async def test_a_crashed_generation_loses_the_network_to_the_next(rig: OciRig) -> None:
    runtime = await started(rig, own(rig, 1))
    await rig.runtime.create(own(rig, 2))
    (running,) = [run for run in await runtime.runs() if run.running]
    await rig.crash(running)
    await runtime.wait("web", 1)
    await runtime.start("web", 2)
    assert len(hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif"))) == 1
    await runtime.remove("web", 1)
    assert b"1.0" in await fetch(rig, "/version")


async def test_announcing_tells_the_neighbours_by_gratuitous_arp(rig: OciRig) -> None:
    runtime = await started(rig, own(rig))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as listener:
        listener.bind((rig.network.bridge, 0x0806))
        listener.setblocking(False)
        await runtime.announce("web", 1)
        address = ipaddress.ip_interface(rig.inside).ip.packed
        mac = bytes.fromhex(oci_network.mac(rig.spec().uid).replace(":", ""))
        async with asyncio.timeout(5):
            while True:
                frame = await asyncio.get_running_loop().sock_recv(listener, 2048)
                if frame[6:12] == mac and frame[28:32] == address and frame[38:42] == address:
                    break


async def test_shared_addresses_are_on_the_hosts_interface_while_it_runs(rig: OciRig) -> None:
    network = Network(mode=Mode.SHARED_IP, addresses=(rig.other,), interface=rig.network.bridge)

    def addresses() -> str:
        shown = subprocess.run(
            ["ip", "-o", "addr", "show", "dev", rig.network.bridge], check=True, capture_output=True, text=True
        )
        return shown.stdout

    await rig.runtime.create(replace(rig.spec(1), network=network))
    await rig.runtime.create(replace(rig.spec(2), network=network))
    assert rig.other not in addresses()
    await rig.runtime.start("web", 1)
    assert rig.other in addresses()
    await rig.runtime.stop("web", 1)
    assert rig.other not in addresses()
    await rig.runtime.start("web", 2)
    await rig.runtime.remove("web", 1)
    assert rig.other in addresses()


async def test_a_bridge_that_is_not_there_is_told_before_anything_is_made(rig: OciRig) -> None:
    network = Network(mode=Mode.VNET, addresses=(rig.inside,), bridge="jl-none")
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), network=network))
    assert refused.value.reason == "NETWORK_MISSING"
    assert leftovers(rig) == {}


async def test_preparing_the_host_twice_changes_nothing(rig: OciRig) -> None:
    address = Path(f"/sys/class/net/{rig.network.bridge}/address")
    before = address.read_text()
    await rig.runtime.prepare_host()
    assert address.read_text() == before


async def test_a_cut_over_is_quick(rig: OciRig) -> None:
    runtime = await started(rig, replace(own(rig, 1), command=SERVE))
    await runtime.create(own(rig, 2))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await runtime.stop("web", 1)
    await runtime.start("web", 2)
    assert loop.time() - begun < 2


async def test_a_check_from_inside_reaches_a_server_that_nobody_outside_does(rig: OciRig) -> None:
    httpd = ("httpd", "-f", "-p", "80", "-h", "/usr/local")
    spec = replace(rig.spec(), command=httpd, network=Network(mode=Mode.NONE, addresses=(rig.inside,)))
    runtime = await started(rig, spec)
    address = rig.inside.partition("/")[0]
    async with asyncio.timeout(10):
        while problem := await runtime.probe("web", 1, HttpCheck(port=80, path="/version"), address):
            assert "Connect call failed" in problem
    assert await runtime.probe("web", 1, TcpCheck(port=80), address) == ""
    assert await runtime.probe("web", 1, TcpCheck(port=80), "127.0.0.1") == ""
    assert "404" in await runtime.probe("web", 1, HttpCheck(port=80, path="/nothing"), address)
    assert "Connect call failed" in await runtime.probe("web", 1, TcpCheck(port=81), address)
    with pytest.raises(OSError, match=r"unreachable|No route|Connect call failed"):
        await asyncio.open_connection(address, 80)


async def test_a_jail_without_a_network_has_its_loopback_interface_and_nothing_else(rig: OciRig) -> None:
    spec = replace(rig.spec(), network=Network(mode=Mode.NONE))
    await started(rig, spec)
    status, interfaces, _ = await output_of(rig.runtime, spec, "cat", "/proc/net/dev")
    assert status == 0
    assert [line.split(b":")[0].strip() for line in interfaces.splitlines()[2:]] == [b"lo"]
    addresses = await output_of(rig.runtime, spec, "ip", "addr", "show", "dev", "lo")
    assert b"127.0.0.1/8" in addresses[1]
