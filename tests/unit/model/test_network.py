"""Ports of the host that lead into jails, CPUs by number, and what a jail can be allowed: the spec's rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import cpulist
from jaild.model.jails import network as netcheck
from jaild.model.jails import validation as speccheck
from jaild.model.jails.spec import PRIVILEGES, JailSpec, Limits, Mode, Network, Port


def own(*ports: Port, addresses: tuple[str, ...] = ("10.0.0.5/24", "2001:db8::5/64")) -> Network:
    return Network(mode=Mode.VNET, addresses=addresses, ports=ports)


def subjects(**fields: Any) -> list[str]:
    return [problem.subject for problem in speccheck.check(JailSpec(base="b", **fields))]


@pytest.mark.parametrize(
    ("network", "path"),
    [
        (Network(ports=(Port(host=80),)), "$.network.ports"),
        (Network(mode=Mode.NONE, ports=(Port(host=80),)), "$.network.ports"),
        (own(Port(host=80, address="localhost")), "$.network.ports[0].address"),
        (own(Port(host=80, address="192.0.2.7/24")), "$.network.ports[0].address"),
        (own(Port(host=80, address="0.0.0.0")), "$.network.ports[0].address"),
        (own(Port(host=80, address="192.0.2.7"), addresses=("2001:db8::5/64",)), "$.network.ports[0].address"),
        (own(Port(host=80), Port(host=80, jail=8080)), "$.network.ports[1]"),
        (own(Port(host=80, address="192.0.2.7"), Port(host=80)), "$.network.ports[1]"),
        (
            Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",), ports=(Port(host=80),)),
            "$.network.ports[0].address",
        ),
    ],
)
def test_a_broken_rule_of_the_ports_is_told_by_its_path(network: Network, path: str) -> None:
    assert subjects(network=network) == [path]


def test_the_same_number_is_another_port_with_another_protocol_or_address() -> None:
    ports = (
        Port(host=53),
        Port(host=53, protocol="udp", address="192.0.2.7"),
        Port(host=53, protocol="udp", address="192.0.2.8", jail=5353),
        Port(host=53, protocol="udp", address="2001:db8::7"),
    )
    assert subjects(network=own(*ports)) == []


def test_one_port_of_the_host_in_two_jails_is_an_error_that_names_the_other() -> None:
    mine = JailSpec(base="b", network=own(Port(host=8080, jail=80), Port(host=8443)))
    others = {
        "me": mine,
        "free": JailSpec(base="b", network=own(Port(host=8080, protocol="udp"), addresses=("10.0.0.7/24",))),
        "taken": JailSpec(base="b", network=own(Port(host=8443, address="192.0.2.7"), addresses=("10.0.0.8/24",))),
    }
    (problem,) = netcheck.conflicts("me", mine, others)
    assert (problem.code, problem.subject) == ("PORT_IN_USE", "$.network.ports[1]")
    assert "jail taken" in problem.message
    assert problem.evidence == ("jails/taken: tcp/8443 at 192.0.2.7",)


def test_addresses_are_the_same_however_they_are_written() -> None:
    assert netcheck.ports_overlap(Port(host=1, address="2001:db8::7"), Port(host=1, address="2001:DB8:0::7"))
    assert not netcheck.ports_overlap(Port(host=1, address="192.0.2.7"), Port(host=1, address="192.0.2.8"))


def test_a_port_leads_to_the_jails_first_address_of_each_family_that_it_has() -> None:
    network = own(
        Port(host=80), Port(host=81, address="192.0.2.7"), addresses=("10.0.0.5/24", "10.0.0.6/24", "fd00::5/64")
    )
    found = [(port.host, str(address)) for port, address in netcheck.port_targets(network)]
    assert found == [(80, "10.0.0.5"), (80, "fd00::5"), (81, "10.0.0.5")]


# -- CPUs


@given(st.sets(st.integers(0, 255), min_size=1))
def test_a_list_of_cpus_that_is_written_is_read_as_the_same(numbers: set[int]) -> None:
    assert cpulist.parse(cpulist.render(numbers)) == tuple(sorted(numbers))


def test_ranges_are_read_and_may_overlap() -> None:
    assert cpulist.parse("0-3,2,6") == (0, 1, 2, 3, 6)


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,", "-1", "1 2", "0-3-5", "99999"])
def test_what_is_no_list_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        cpulist.parse(text)
    assert refused.value.reason == "INVALID_CPUSET"
    assert subjects(limits=Limits(cpuset=text or ",")) == ["$.limits.cpuset"]


# -- allow, devfs_ruleset


def test_what_is_not_on_the_reviewed_list_is_refused_with_the_list() -> None:
    (problem,) = speccheck.check(JailSpec(base="b", allow=("raw_sockets", "chflags")))
    assert problem.subject == "$.allow[1]"
    for allowed in PRIVILEGES:
        assert allowed in problem.message
    assert subjects(allow=tuple(PRIVILEGES)) == []
    assert subjects(allow=("mlock", "mlock")) == ["$.allow[1]"]


@pytest.mark.parametrize("name", ["4", "devfsrules jail", "a=4", "x]\n[y=5", ""])
def test_a_ruleset_is_named_as_devfs_rules_names_it(name: str) -> None:
    assert subjects(devfs_ruleset=name) == ["$.devfs_ruleset"]
    assert subjects(devfs_ruleset="devfsrules_jail_vnet") == []
