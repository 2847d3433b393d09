"""What a jail asks of a FreeBSD host: ports by pf, devices by devfs rulesets, `allow`; and how each is refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.freebsd import devfs as freebsd_devfs
from jaild.adapters.freebsd import jailconf as freebsd_jailconf
from jaild.adapters.freebsd import pf as freebsd_pf
from jaild.adapters.freebsd.kernel_commands import KernelCommands
from jaild.adapters.freebsd.rctl import Rctl
from jaild.adapters.freebsd.records import Record
from jaild.adapters.oci import bundle as oci_bundle
from jaild.adapters.oci.network import HostNetwork
from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.jails.spec import PRIVILEGES, JailSpec, Limits, Mode, Network, Port
from tests import jailconf
from tests.contract.freebsd_rig import ToldRig
from tests.contract.runtime_contract import run_spec
from tests.fakes.processes import Said
from tests.freebsd_recordings import recordings

# What /etc/defaults/devfs.rules of FreeBSD has, and what an administrator adds.
DEFAULTS = """\
# Very basic and secure ruleset: Hide everything.
[devfsrules_hide_all=1]
add hide

[devfsrules_unhide_basic=2]
add path log unhide
[devfsrules_jail=4]
add include $devfsrules_hide_all
"""
OWN_RULES = "[ devfsrules_jail_bpf = 61 ] # for dhclient\nadd include $devfsrules_jail\nadd path 'bpf*' unhide\n"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ToldRig]:
    rig = ToldRig(tmp_path)
    (tmp_path / "host-etc/defaults").mkdir(parents=True)
    (tmp_path / "host-etc/defaults/devfs.rules").write_text(DEFAULTS)
    (tmp_path / "host-etc/devfs.rules").write_text(OWN_RULES)
    rig.host.rulesets[61] = "100 include 4\n200 path bpf* unhide\n"
    yield rig
    rig.host.kernel.close()


def own(*ports: Port) -> Network:
    return Network(mode=Mode.VNET, addresses=("10.0.0.5/24", "2001:db8::5/64"), gateway="10.0.0.1", ports=ports)


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as one:
        one.bind(("::", 0))
        return int(one.getsockname()[1])


async def codes(rig: ToldRig, **fields: object) -> list[tuple[str, str]]:
    found = await rig.runtime.examine(JailSpec(**({"base": "b"} | fields)), "jails/web")  # type: ignore[arg-type]
    assert all(problem.hint for problem in found)
    return [(problem.code, problem.subject) for problem in found]


# -- the bridge


async def test_a_bridge_whose_number_the_kernel_keeps_for_a_renamed_one_is_made_all_the_same(tmp_path: Path) -> None:
    rig = ToldRig(tmp_path, HostNetwork(bridge="bridge0"))
    del rig.host.interfaces["jaild0"]
    rig.host.create("bridge")
    rig.host.interfaces["jaild0"] = rig.host.interfaces.pop("bridge0")  # renamed: it is still unit 0
    await rig.runtime.prepare_host()
    assert {"jaild0", "bridge0"} <= set(rig.host.interfaces)
    rig.host.kernel.close()


# -- ports


def test_redirects_are_written_as_pf_conf_has_them() -> None:
    ports = (
        Port(host=8080, jail=80),
        Port(host=53, protocol="udp", address="192.0.2.7"),
        Port(host=443, address="2001:db8:1::7", jail=8443),
    )
    assert freebsd_pf.rules(own(*ports)) == (
        "rdr pass inet proto tcp from any to (self) port 8080 -> 10.0.0.5 port 80\n"
        "rdr pass inet6 proto tcp from any to (self) port 8080 -> 2001:db8::5 port 80\n"
        "rdr pass inet proto udp from any to 192.0.2.7 port 53 -> 10.0.0.5 port 53\n"
        "rdr pass inet6 proto tcp from any to 2001:db8:1::7 port 443 -> 2001:db8::5 port 8443\n"
    )


async def test_ports_lead_into_a_jail_while_it_runs_and_at_no_other_time(rig: ToldRig) -> None:
    network = own(Port(host=free_port(), jail=80))
    await rig.runtime.create(replace(rig.spec(), network=network))
    assert rig.host.anchors == {}
    await rig.runtime.start("web", 1)
    assert rig.host.anchors == {"jaild/web": freebsd_pf.rules(network)}
    await rig.runtime.stop("web", 1)
    assert rig.host.anchors == {}


@pytest.mark.parametrize("broken", ["ifconfig jaild0 addm", "jail -f", "daemon"])
async def test_a_start_that_fails_leaves_no_port_that_leads_nowhere(rig: ToldRig, broken: str) -> None:
    await rig.runtime.create(replace(rig.spec(), network=own(Port(host=free_port(), jail=80))))
    rig.host.refuse[broken] = Said(stderr="it: does not work\n", status=1)
    with pytest.raises(InternalError):
        await rig.runtime.start("web", 1)
    assert rig.host.anchors == {}


async def test_a_jail_without_ports_needs_no_pf(rig: ToldRig) -> None:
    rig.host.pf = {"info": "pfctl: /dev/pf: No such file or directory", "nat": ""}
    assert await codes(rig, network=own()) == []
    assert await codes(rig, network=own(Port(host=free_port()))) == [("PORTS_UNSUPPORTED", "$.network.ports")]


@pytest.mark.parametrize(
    "said", ["pfctl: /dev/pf: No such file or directory\n", "pfctl: DIOCGETRULES: Invalid argument\n"]
)
async def test_pf_or_an_anchor_that_is_gone_under_a_running_jail_does_not_keep_it_from_stopping(
    rig: ToldRig, said: str
) -> None:
    await rig.runtime.create(replace(rig.spec(), network=own(Port(host=free_port()))))
    await rig.runtime.start("web", 1)
    rig.host.refuse["pfctl"] = Said(stderr=said, status=1)
    await rig.runtime.stop("web", 1)
    assert rig.host.jails == {}


async def test_a_host_that_does_not_forward_or_has_no_anchor_is_told_with_what_to_do(rig: ToldRig) -> None:
    rig.host.sysctls["net.inet6.ip6.forwarding"] = "0"
    rig.host.pf["nat"] = 'rdr-anchor "ftp-proxy/*" all'
    network = own(Port(host=free_port()))
    anchor, forwarding = await rig.runtime.examine(JailSpec(base="b", network=network), "jails/web")
    assert 'rdr-anchor "jaild/*"' in anchor.message
    assert "ipv6_gateway_enable" in forwarding.hint


async def test_a_port_that_a_program_of_the_host_listens_on_is_not_taken_from_it(rig: ToldRig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        network = own(Port(host=free_port()), Port(host=port))
        assert await codes(rig, network=network) == [("PORT_TAKEN", "$.network.ports[1]")]
        with pytest.raises(FailedPreconditionError) as refused:
            await rig.runtime.create(replace(rig.spec(), network=network))
        assert refused.value.reason == "PORT_TAKEN"
        assert await codes(rig, network=own(Port(host=port, protocol="udp"))) == []


async def test_a_port_at_an_address_that_the_host_has_not_is_refused(rig: ToldRig) -> None:
    network = own(Port(host=free_port(), address="192.0.2.77"))
    assert await codes(rig, network=network) == [("NETWORK_MISSING", "$.network.ports[0]")]


async def test_a_firewall_that_fails_keeps_no_address_on_the_host(rig: ToldRig) -> None:
    port = Port(host=free_port(), address="127.0.0.1")
    shared = Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",), ports=(port,))
    await rig.runtime.create(replace(rig.spec(), network=shared))
    await rig.runtime.start("web", 1)
    rig.host.refuse["pfctl"] = Said(stderr="pfctl: DIOCXBEGIN: it does not work\n", status=1)
    rig.host.refuse["jail -f"] = Said(stderr="jail: web_1: something: failed\n", status=1)  # so that the aliases stay
    with pytest.raises(InternalError):
        await rig.runtime.stop("web", 1)
    assert rig.host.interfaces["em0"].lines == []
    assert rig.host.jails == {}


# -- addresses on the host's interface


async def test_an_address_of_the_host_itself_is_not_given_to_a_jail_that_would_take_it_along(rig: ToldRig) -> None:
    rig.host.interfaces["em0"].lines.append("\tinet 10.0.0.5 netmask 0xffffff00 broadcast 10.0.0.255")
    shared = Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",))
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), network=shared))
    assert refused.value.reason == "ADDRESS_IN_USE"
    assert rig.host.interfaces["em0"].lines != []


async def test_an_address_that_came_to_the_host_meanwhile_is_still_the_hosts_after_the_refusal(rig: ToldRig) -> None:
    await rig.runtime.create(replace(rig.spec(), network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",))))
    rig.host.interfaces["em0"].lines.append("\tinet 10.0.0.5 netmask 0xffffff00 broadcast 10.0.0.255")
    with pytest.raises(FailedPreconditionError):
        await rig.runtime.start("web", 1)
    await rig.runtime.remove("web", 1)
    assert len(rig.host.interfaces["em0"].lines) == 1


async def test_the_next_generation_is_made_while_the_old_one_has_the_address(rig: ToldRig) -> None:
    shared = Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",))
    await rig.runtime.create(replace(rig.spec(1), network=shared))
    await rig.runtime.start("web", 1)
    await rig.runtime.create(replace(rig.spec(2), network=shared))
    await rig.runtime.stop("web", 1)
    await rig.runtime.start("web", 2)


# -- devices


def test_rulesets_are_read_with_their_names() -> None:
    assert freebsd_devfs.parse(DEFAULTS + OWN_RULES) == {
        "devfsrules_hide_all": 1,
        "devfsrules_unhide_basic": 2,
        "devfsrules_jail": 4,
        "devfsrules_jail_bpf": 61,
    }


async def test_a_named_ruleset_is_mounted_by_its_number(rig: ToldRig) -> None:
    await rig.runtime.create(replace(rig.spec(), devfs_ruleset="devfsrules_jail_bpf"))
    (argv,) = [call.argv for call in rig.host.processes.calls if call.argv[:3] == ("mount", "-t", "devfs")]
    assert argv[4] == "ruleset=61"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("devfsrules_nobody_knows", "DEVFS_RULESET_UNKNOWN"),
        ("devfsrules_unhide_basic", "DEVFS_RULESET_OPEN"),
        ("devfsrules_jail_bpf", "DEVFS_RULESET_MISSING"),
    ],
)
async def test_a_ruleset_that_is_unknown_or_shows_everything_is_refused(rig: ToldRig, name: str, code: str) -> None:
    del rig.host.rulesets[61]  # known by name, and not loaded
    assert await codes(rig, devfs_ruleset=name) == [(code, "$.devfs_ruleset")]
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), devfs_ruleset=name))
    assert refused.value.reason == code
    assert rig.host.table.mounts == []


async def test_rulesets_that_include_each_other_are_no_endless_search(rig: ToldRig) -> None:
    rig.host.rulesets[61] = "100 include 61\n"
    assert await codes(rig, devfs_ruleset="devfsrules_jail_bpf") == [("DEVFS_RULESET_OPEN", "$.devfs_ruleset")]


def test_the_recorded_ruleset_for_jails_begins_by_including_the_one_that_hides_all() -> None:
    assert recordings()["devfs ruleset 4"].text.splitlines()[0].split() == ["100", "include", "1"]


# -- allow


def test_each_thing_that_can_be_allowed_has_its_parameters_on_both_systems() -> None:
    assert set(freebsd_jailconf.ALLOW) == set(oci_bundle.ALLOW) == set(PRIVILEGES)


def test_what_is_allowed_is_in_jail_conf_and_nothing_else_is() -> None:
    run = replace(run_spec(), allow=("raw_sockets", "sysvipc"))
    found = jailconf.read(freebsd_jailconf.config(run, "web_1", Path("/t"), {}, []))["web_1"]
    assert [name for name in found if name.startswith("allow.")] == ["allow.raw_sockets"]
    assert (found["sysvmsg"], found["sysvsem"], found["sysvshm"]) == (["new"], ["new"], ["new"])


# -- all at once


async def test_a_plan_shows_all_that_a_host_cannot_do_at_once(rig: ToldRig) -> None:
    rig.host.sysctls["kern.racct.enable"] = "0"
    rig.host.pf["info"] = "Status: Disabled"
    network = Network(mode=Mode.VNET, addresses=("10.0.0.5/24",), bridge="nobridge", ports=(Port(host=free_port()),))
    found = await codes(
        rig, network=network, limits=Limits(memory="1G", cpuset="7"), devfs_ruleset="devfsrules_nobody_knows"
    )
    assert found == [
        ("NETWORK_MISSING", "$.network"),
        ("PORTS_UNSUPPORTED", "$.network.ports"),
        ("LIMIT_UNSUPPORTED", "$.limits.memory"),
        ("LIMIT_UNSUPPORTED", "$.limits.cpuset"),
        ("DEVFS_RULESET_UNKNOWN", "$.devfs_ruleset"),
    ]


async def test_rules_are_never_taken_from_every_jail_at_once(rig: ToldRig) -> None:
    record = Record(spec=run_spec(limits=Limits(memory="1G")), attached=True)  # of a run that was never started
    await Rctl(rig.host.processes, KernelCommands(rig.host.processes)).lift(record)
    assert [call.argv for call in rig.host.processes.calls if call.argv[0] == "rctl"] == []
