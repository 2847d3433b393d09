"""Names and addresses of jails' networks, and the host's bridge as arguments of ip(8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import HostNetwork
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import Mode, Network
from jaild.ports.runtime import RunSpec
from tests.contract.runtime_contract import run_spec

RUN_FOLDER = Path("/run/jaild")
HOST = HostNetwork(bridge="jaild0", address="10.0.0.1/24", uplink="eth1", shared="eth0")
NAMESPACE = oci_network.namespace(RUN_FOLDER, "web", 1)


def own(*addresses: str, gateway: str | None = None, bridge: str | None = None) -> RunSpec:
    return run_spec(network=Network(mode=Mode.VNET, addresses=addresses, gateway=gateway, bridge=bridge))


def shared(*addresses: str, interface: str | None = None) -> RunSpec:
    return run_spec(network=Network(mode=Mode.SHARED_IP, addresses=addresses, interface=interface))


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
    made = oci_network.prepare(HOST, RUN_FOLDER, bridge_exists=False, bridge_mac="02:00:00:00:00:01")
    assert [" ".join(argv) for argv in made] == [
        "ip link add name jaild0 address 02:00:00:00:00:01 type bridge stp_state 0 forward_delay 0",
        "ip link set dev jaild0 alias jaild /run/jaild",
        "ip addr replace 10.0.0.1/24 dev jaild0",
        "ip link set dev eth1 master jaild0 up",
        "ip link set dev jaild0 up",
    ]


def test_a_bridge_that_is_there_is_not_made_again() -> None:
    made = oci_network.prepare(
        HostNetwork(bridge="br0"), RUN_FOLDER, bridge_exists=True, bridge_mac="02:00:00:00:00:01"
    )
    assert [" ".join(argv) for argv in made] == ["ip link set dev br0 up"]


def test_a_host_without_a_bridge_is_left_alone() -> None:
    assert oci_network.prepare(HostNetwork(bridge=""), RUN_FOLDER, bridge_exists=False, bridge_mac="") == []


def test_the_jails_own_choice_of_bridge_and_interface_goes_before_the_hosts() -> None:
    assert oci_network.bridge(own(), HOST) == "jaild0"
    assert oci_network.bridge(own(bridge="br9"), HOST) == "br9"
    assert oci_network.interface(shared("192.0.2.7/24"), HOST) == "eth0"
    assert oci_network.interface(shared("192.0.2.7/24", interface="eth7"), HOST) == "eth7"


@pytest.mark.parametrize("run", [own(), shared("192.0.2.7/24")])
def test_a_network_that_the_host_has_not_is_refused(run: RunSpec) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        oci_network.needed(run, HostNetwork(bridge=""))
    assert refused.value.reason == "NETWORK_MISSING"


def test_the_hosts_own_address_on_its_bridge_is_no_jails() -> None:
    def refused(run: RunSpec, host: HostNetwork = HOST) -> list[tuple[str, str]]:
        return [(e.reason, e.detail["field"]) for e in oci_network.hosts_own(run, host, "jails/web")]

    assert refused(own("10.0.0.5/24", "10.0.0.1/32")) == [("ADDRESS_IN_USE", "$.network.addresses[1]")]
    assert refused(own("10.0.0.1/24", bridge="jaild0")) == [("ADDRESS_IN_USE", "$.network.addresses[0]")]
    assert refused(own("10.0.0.1/24", bridge="vlan20")) == []
    assert refused(own("10.0.0.5/24")) == []
    assert refused(own("10.0.0.1/24"), HostNetwork(bridge="jaild0")) == []
