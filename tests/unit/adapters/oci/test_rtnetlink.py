"""What is asked of the kernel's networks, byte by byte; that it does it: `test_runtime_oci_network.py`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaild.adapters.oci import links, rtnetlink
from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.rtnetlink import Request
from jaild.model.jails.spec import Mode, Network
from tests.contract.runtime_contract import run_spec

_MAC = "7a:3c:67:83:aa:8c"
_LINK, _ADDRESS, _ROUTE = 16, 8, 12  # bytes that a message of the kind begins with


def attributes(body: bytes) -> dict[int, bytes]:
    """Return what attributes hold, by their numbers (rtnetlink(7)): each begins at a multiple of four bytes."""
    found = {}
    while body:
        length, kind = struct.unpack_from("=HH", body)
        found[kind] = body[4:length]
        body = body[(length + 3) & ~3 :]
    return found


def head(request: Request, layout: str) -> tuple[Any, ...]:
    return struct.unpack_from(layout, request.body)


def at(found: Mapping[int, bytes], *path: int) -> dict[int, bytes]:
    """Return the attributes within attributes."""
    for kind in path[:-1]:
        found = attributes(found[kind])
    return attributes(found[path[-1]])


def test_a_veth_has_a_named_end_here_and_one_with_its_mac_address_in_an_open_namespace() -> None:
    request = rtnetlink.veth("jl0", "eth0", _MAC, 77)
    assert (request.kind, request.flags) == (16, 0x600)  # RTM_NEWLINK, made and not there before
    found = attributes(request.body[_LINK:])
    assert found[3] == b"jl0\0"
    assert at(found, 18)[1] == b"veth"
    peer = attributes(at(found, 18, 2)[1][_LINK:])
    assert peer == {3: b"eth0\0", 1: bytes.fromhex("7a3c6783aa8c"), 28: struct.pack("=I", 77)}


def test_only_the_flag_of_an_interface_that_is_brought_up_is_changed() -> None:
    request = rtnetlink.up("eth0")
    assert head(request, "=BxHiII") == (0, 0, 0, 1, 1)
    assert attributes(request.body[_LINK:]) == {3: b"eth0\0"}


def test_the_hosts_end_is_named_for_people_and_gets_no_address_of_the_kernels_own() -> None:
    found = attributes(rtnetlink.named("jl0", "web.1").body[_LINK:])
    assert (found[3], found[20]) == (b"jl0\0", b"web.1")
    assert at(found, 26, socket.AF_INET6) == {8: b"\1"}


def test_an_interface_is_on_the_bridge_of_an_index_and_on_none_with_0() -> None:
    assert attributes(rtnetlink.put_on("jl0", 5).body[_LINK:]) == {3: b"jl0\0", 10: struct.pack("=I", 5)}
    assert attributes(rtnetlink.put_on("jl0", 0).body[_LINK:])[10] == bytes(4)


def test_an_address_has_its_prefix_length_and_of_ipv6_nobody_waits_for_a_duplicate() -> None:
    v4, v6 = rtnetlink.address(3, "10.0.0.5/24"), rtnetlink.address(3, "2001:db8::5/64")
    assert (v4.kind, v4.flags) == (20, 0x500)  # RTM_NEWADDR, made or replaced
    assert head(v4, "=BBBBI") == (socket.AF_INET, 24, 0, 0, 3)
    assert attributes(v4.body[_ADDRESS:]) == {1: bytes([10, 0, 0, 5]), 2: bytes([10, 0, 0, 5])}
    assert head(v6, "=BBBBI") == (socket.AF_INET6, 64, 0x02, 0, 3)
    taken = rtnetlink.without_address(3, "10.0.0.5/24")
    assert (taken.kind, taken.flags, taken.body) == (21, 0, v4.body)


def test_a_default_route_leads_through_the_gateway_and_out_of_the_interface() -> None:
    request = rtnetlink.default_route(3, "10.0.0.1")
    assert request.kind == 24
    assert head(request, "=8BI") == (socket.AF_INET, 0, 0, 0, 254, 3, 0, 1, 0)
    assert attributes(request.body[_ROUTE:]) == {5: bytes([10, 0, 0, 1]), 4: struct.pack("=I", 3)}
    assert head(rtnetlink.default_route(3, "2001:db8::1"), "=B") == (socket.AF_INET6,)


def test_a_run_gets_all_its_addresses_and_its_route_when_its_network_is_made() -> None:
    network = Network(mode=Mode.VNET, addresses=("10.0.0.5/24", "2001:db8::5/64"), gateway="10.0.0.1")
    given = [request.what for request in links.inside(run_spec(network=network), 2)]
    assert given == ["address 10.0.0.5/24", "address 2001:db8::5/64", "default route by 10.0.0.1"]
    assert links.inside(run_spec(network=Network(mode=Mode.VNET)), 2) == []
    outer = oci_network.outer(Path("/run/jaild"), run_spec().uid, 1)
    made = [request.what for request in links.ends(run_spec(network=network), Path("/run/jaild"), 9)]
    assert made == [f"making {outer}", f"naming {outer}", f"bringing {outer} up"]


def test_of_shared_addresses_those_that_are_there_are_taken_away() -> None:
    network = Network(mode=Mode.SHARED_IP, addresses=("192.0.2.7/24", "192.0.2.8/24"))
    left = links.left(run_spec(network=network), 2, {"192.0.2.8/24", "192.0.2.1/24"})
    assert [request.what for request in left] == ["taking address 192.0.2.8/24 away"]
