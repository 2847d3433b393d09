"""A jail's network as arguments of ip(8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import Command, HostNetwork
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import Network
from jaild.ports.runtime import RunSpec
from tests.contract.runtime_contract import run_spec

RUN_FOLDER = Path("/run/jaild")
HOST = HostNetwork(bridge="jaild0", address="10.0.0.1/24", uplink="eth1", shared="eth0")
NAMESPACE = oci_network.namespace(RUN_FOLDER, "web", 1)
OUTER = oci_network.outer(RUN_FOLDER, run_spec().uid, 1)


def own(*addresses: str, gateway: str | None = None, bridge: str | None = None) -> RunSpec:
    return run_spec(network=Network(mode="own", addresses=addresses, gateway=gateway, bridge=bridge))


def shared(*addresses: str, interface: str | None = None) -> RunSpec:
    return run_spec(network=Network(mode="shared", addresses=addresses, interface=interface))


def test_a_mac_address_follows_the_jail_and_is_unicast_and_locally_administered() -> None:
    for uid in ("0198c0de-0000-7000-8000-00000000cafe", "a", "b", "c"):
        first = int(oci_network.mac(uid)[:2], 16)
        assert first & 0b11 == 0b10
    assert oci_network.mac("a") == "7a:3c:67:83:aa:8c"
    assert oci_network.mac("a") != oci_network.mac("b")


def test_interface_names_fit_the_kernel_and_differ_by_jail_generation_and_daemon() -> None:
    names = {
        oci_network.outer(folder, uid, generation)
        for folder in (RUN_FOLDER, Path("/run/other"))
        for uid in ("a", "b")
        for generation in (1, 123456)
    }
    assert len(names) == 8
    assert {len(name) for name in names} == {14}


def test_namespaces_of_two_daemons_differ_and_say_which_run_they_are() -> None:
    assert oci_network.prefix(RUN_FOLDER) + "web.1" == NAMESPACE
    assert oci_network.prefix(RUN_FOLDER) != oci_network.prefix(Path("/run/other"))


def test_a_bridge_is_made_with_an_address_that_its_ports_cannot_change() -> None:
    made = oci_network.prepare(HOST, bridge_exists=False, bridge_mac="02:00:00:00:00:01")
    assert [" ".join(c.argv) for c in made] == [
        "ip link add name jaild0 address 02:00:00:00:00:01 type bridge stp_state 0 forward_delay 0",
        "ip addr replace 10.0.0.1/24 dev jaild0",
        "ip link set dev eth1 master jaild0 up",
        "ip link set dev jaild0 up",
    ]


def test_a_bridge_that_is_there_is_not_made_again() -> None:
    made = oci_network.prepare(HostNetwork(bridge="br0"), bridge_exists=True, bridge_mac="02:00:00:00:00:01")
    assert [" ".join(c.argv) for c in made] == ["ip link set dev br0 up"]


def test_a_host_without_a_bridge_is_left_alone() -> None:
    assert oci_network.prepare(HostNetwork(bridge=""), bridge_exists=False, bridge_mac="") == []


def test_creating_attaches_to_nothing_and_gives_no_address() -> None:
    assert oci_network.create(own("10.0.0.5/24"), RUN_FOLDER) == [
        Command(argv=("ip", "netns", "add", NAMESPACE)),
        Command(
            argv=("ip", "-batch", "-"),
            script=f"link add name {OUTER} type veth peer name eth0 address {oci_network.mac(run_spec().uid)}"
            f" netns {NAMESPACE}\nlink set dev {OUTER} addrgenmode none alias web.1 up\n",
        ),
        Command(argv=("ip", "-netns", NAMESPACE, "-batch", "-"), script="link set dev lo up\nlink set dev eth0 up\n"),
    ]


def test_a_jail_without_a_network_has_its_addresses_on_its_loopback_interface() -> None:
    run = run_spec(network=Network(mode="none", addresses=("10.0.0.5/24", "2001:db8::5/64")))
    script = "addr replace 10.0.0.5/24 dev lo\naddr replace 2001:db8::5/64 dev lo nodad\n"
    assert oci_network.attach(run, HOST, RUN_FOLDER) == [Command(argv=("ip", "-batch", "-"), script=script)]
    assert oci_network.detach(run, HOST, RUN_FOLDER, present=frozenset()) == []


def test_attaching_gives_the_addresses_before_the_bridge_is_joined() -> None:
    run = own("10.0.0.5/24", "2001:db8::5/64", gateway="10.0.0.1")
    assert oci_network.attach(run, HOST, RUN_FOLDER) == [
        Command(
            argv=("ip", "-netns", NAMESPACE, "-batch", "-"),
            script="addr replace 10.0.0.5/24 dev eth0\n"
            "addr replace 2001:db8::5/64 dev eth0 nodad\n"
            "route replace default via 10.0.0.1 dev eth0\n",
        ),
        Command(argv=("ip", "link", "set", "dev", OUTER, "master", "jaild0")),
    ]


def test_the_jails_own_choice_of_bridge_goes_before_the_hosts() -> None:
    (only,) = oci_network.attach(own(bridge="br9"), HOST, RUN_FOLDER)
    assert only.argv[-2:] == ("master", "br9")


def test_detaching_leaves_the_bridge() -> None:
    assert oci_network.detach(own(), HOST, RUN_FOLDER, present=frozenset({OUTER})) == [
        Command(argv=("ip", "link", "set", "dev", OUTER, "nomaster"))
    ]
    assert oci_network.detach(own(), HOST, RUN_FOLDER, present=frozenset()) == []


def test_shared_addresses_come_and_go_on_the_hosts_interface() -> None:
    run = shared("192.0.2.7/24", "192.0.2.8/24")
    assert oci_network.attach(run, HOST, RUN_FOLDER) == [
        Command(
            argv=("ip", "-batch", "-"),
            script="addr replace 192.0.2.7/24 dev eth0\naddr replace 192.0.2.8/24 dev eth0\n",
        )
    ]
    assert oci_network.detach(run, HOST, RUN_FOLDER, present=frozenset({"192.0.2.8/24"})) == [
        Command(argv=("ip", "-batch", "-"), script="addr del 192.0.2.8/24 dev eth0\n")
    ]


def test_a_run_on_the_hosts_network_changes_nothing() -> None:
    assert oci_network.attach(run_spec(), HOST, RUN_FOLDER) == []
    assert oci_network.detach(run_spec(), HOST, RUN_FOLDER, present=frozenset({OUTER})) == []


@pytest.mark.parametrize("run", [own(), shared("192.0.2.7/24")])
def test_a_network_that_the_host_has_not_is_refused(run: RunSpec) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        oci_network.attach(run, HostNetwork(bridge=""), RUN_FOLDER)
    assert refused.value.reason == "NETWORK_MISSING"


def test_the_hosts_own_address_on_its_bridge_is_no_jails() -> None:
    def refused(run: RunSpec, host: HostNetwork = HOST) -> list[tuple[str, str]]:
        return [(e.reason, e.detail["field"]) for e in oci_network.hosts_own(run, host, "jails/web")]

    assert refused(own("10.0.0.5/24", "10.0.0.1/32")) == [("ADDRESS_IN_USE", "$.network.addresses[1]")]
    assert refused(own("10.0.0.1/24", bridge="jaild0")) == [("ADDRESS_IN_USE", "$.network.addresses[0]")]
    assert refused(own("10.0.0.1/24", bridge="vlan20")) == []
    assert refused(own("10.0.0.5/24")) == []
    assert refused(own("10.0.0.1/24"), HostNetwork(bridge="jaild0")) == []
