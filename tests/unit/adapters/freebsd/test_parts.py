"""The pure parts of the FreeBSD runtime: jail.conf, names, commands, limits."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaild.adapters.freebsd import (
    command as freebsd_command,
)
from jaild.adapters.freebsd import (
    jailconf as freebsd_jailconf,
)
from jaild.adapters.freebsd import (
    limits as freebsd_limits,
)
from jaild.adapters.freebsd import (
    network as freebsd_network,
)
from jaild.adapters.freebsd.records import boots, jail_name
from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import HostNetwork, mac
from jaild.adapters.runtime.accounts import Account
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.spec import Limits, Mode, Network
from jaild.ports.runtime import RunSpec
from tests import jailconf
from tests.contract.runtime_contract import run_spec

RUN_FOLDER = Path("/var/run/jaild")
HOST = HostNetwork(bridge="jaild0", address="10.0.0.1/24", shared="em0")
# All that a program's argument can hold: no NUL. Surrogates stand for bytes that are no UTF-8.
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ARGUMENTS = st.text(st.characters(exclude_characters="\0"))


# -- jail.conf


@given(ARGUMENTS)
def test_any_string_that_goes_in_comes_out_as_the_same_parameter(value: str) -> None:
    text = freebsd_jailconf.render("web_1", {"host.hostname": value, "persist": None})
    assert jailconf.read(text) == {"web_1": {"host.hostname": [value], "persist": []}}


@given(st.lists(ARGUMENTS, min_size=1))
def test_a_list_comes_out_with_the_same_values_in_the_same_order(values: list[str]) -> None:
    assert jailconf.read(freebsd_jailconf.render("web_1", {"exec.start": values}))["web_1"]["exec.start"] == values


@pytest.mark.parametrize(
    "value", ["it's", "back\\slash", "two\nlines", "$name ${path}", "'; persist; #", '"', "\\'", ""]
)
def test_what_could_end_a_string_or_expand_in_it_does_neither(value: str) -> None:
    assert jailconf.read(freebsd_jailconf.render("web_1", {"path": value})) == {"web_1": {"path": [value]}}


def test_the_reader_knows_the_grammar_of_the_manual_page() -> None:
    text = r"""
    # shell, // and C comments
    foo { host.hostname = "foo.com"; ip4.addr = 10.1.1.1, 10.1.1.2; /* more */ ip4.addr += '10.1.1.3'; // end
          path = /var/jail/foo; exec.start = "a\tb\x41\101" 'c'"d"; persist; ; }
    """
    with pytest.raises(jailconf.JailConfError):  # two strings with white space between them are none
        jailconf.read(text)
    assert jailconf.read(text.replace(r"\101" + '" ', r"\101" + '"')) == {
        "foo": {
            "host.hostname": ["foo.com"],
            "ip4.addr": ["10.1.1.1", "10.1.1.2", "10.1.1.3"],
            "path": ["/var/jail/foo"],
            "exec.start": ["a\tbAAcd"],
            "persist": [],
        }
    }


@pytest.mark.parametrize("text", ["c7 { path = '/x' persist; }", 'a { b = "$c"; }', "a { 'b", "= 1;", "a { b = ; }"])
def test_the_reader_refuses_what_jail_would_or_what_would_expand(text: str) -> None:
    with pytest.raises((jailconf.JailConfError, IndexError)):
        jailconf.read(text)


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True), st.integers(1, 10**6))
def test_a_jails_name_is_neither_a_jid_nor_a_hierarchy_and_says_which_run_it_is(jail: str, generation: int) -> None:
    run = replace(run_spec(generation), jail=jail)
    name = jail_name(run)
    assert not name.isdecimal()
    assert "." not in name
    assert name.rsplit("_", 1) == [jail, str(generation)]
    assert jailconf.read(freebsd_jailconf.render(name, {}))[name] == {}
    assert jail_name(run, {name, f"{name}_2"}) == f"{name}_3"


def test_a_jail_has_persist_and_the_userlands_version_and_nothing_that_expands_its_rights() -> None:
    run = replace(run_spec(), osrelease="13.2-RELEASE-p1", osreldate=1302001)
    found = jailconf.read(freebsd_jailconf.config(run, "web_1", Path("/t"), {}, []))["web_1"]
    assert (found["osrelease"], found["osreldate"]) == (["13.2-RELEASE-p1"], ["1302001"])
    assert found["persist"] == []
    assert not [name for name in found if name.startswith("allow.") or "mount" in name]
    assert "osrelease" not in jailconf.read(freebsd_jailconf.config(run_spec(), "web_1", Path("/t"), {}, []))["web_1"]


def test_a_jail_with_a_release_has_the_linkers_hints_made_before_its_command_and_a_boot_makes_its_own() -> None:
    def starts(run: RunSpec) -> list[str]:
        return jailconf.read(freebsd_jailconf.config(run, "web_1", Path("/t"), {}, ["/sbin/ifconfig lo0 up"]))["web_1"][
            "exec.start"
        ]

    run = replace(run_spec(), linker_hints=True)
    assert starts(run) == ["/sbin/ifconfig lo0 up", "/bin/sh /etc/rc.d/ldconfig quietstart || :"]
    assert starts(replace(run, command=("/bin/sh", "/etc/rc"))) == ["/sbin/ifconfig lo0 up", "/bin/sh /etc/rc"]
    assert starts(run_spec()) == ["/sbin/ifconfig lo0 up"]


def test_only_freebsds_own_boot_is_jail_8s_to_start() -> None:
    for command in (("/bin/sh", "/etc/rc"), ("sh", "/etc/rc"), ("/etc/rc",)):
        run = replace(run_spec(), command=command)
        assert boots(run)
        found = jailconf.read(freebsd_jailconf.config(run, "web_1", Path("/t"), {}, ["/sbin/ifconfig lo0 up"]))["web_1"]
        assert found["exec.start"] == ["/sbin/ifconfig lo0 up", "/bin/sh /etc/rc"]
        assert found["exec.stop"] == ["/bin/sh /etc/rc.shutdown jail"]
        assert found["exec.consolelog"] == ["/dev/null"]
    assert not boots(run_spec(command=("/bin/sh", "/etc/rc.local")))
    assert "exec.start" not in jailconf.read(freebsd_jailconf.config(run_spec(), "web_1", Path("/t"), {}, []))["web_1"]


# -- network


def own(*addresses: str, gateway: str | None = None) -> Network:
    return Network(mode=Mode.VNET, addresses=addresses, gateway=gateway)


def test_names_of_an_epair_are_as_long_as_the_kernel_allows_and_differ_by_jail_generation_and_daemon() -> None:
    names = {
        name
        for folder in (RUN_FOLDER, Path("/other"))
        for uid in ("a", "b")
        for generation in (1, 123456)
        for name in freebsd_network.ends(folder, uid, generation)
    }
    assert len(names) == 16
    assert {len(name) for name in names} == {15}


def test_the_jails_mac_address_is_its_uids_on_every_host_and_the_hosts_end_has_another() -> None:
    commands = freebsd_network.epair_named("epair7a", run_spec(), RUN_FOLDER)
    outer, inner = freebsd_network.ends(RUN_FOLDER, run_spec().uid, 1)
    ethers = {argv[5]: argv[3] for argv in commands if argv[2] == "ether"}
    assert ethers[inner] == mac(run_spec().uid)
    assert ethers[outer] != ethers[inner]
    assert commands[1] == ("ifconfig", "epair7b", "ether", ethers[inner], "name", inner)


@pytest.mark.parametrize(
    ("addresses", "changes"),
    [
        ((), ["up"]),
        (("10.0.0.5/24",), ["inet 10.0.0.5/24 alias up"]),
        (
            ("2001:db8::5/64", "2001:db8::6/64"),
            ["inet6 -ifdisabled no_dad 2001:db8::5/64 alias", "inet6 2001:db8::6/64 alias up"],
        ),
        (
            ("10.0.0.5/24", "2001:db8::5/64"),
            ["inet 10.0.0.5/24 alias", "inet6 -ifdisabled no_dad 2001:db8::5/64 alias up"],
        ),
    ],
)
def test_a_vnet_jails_addresses_take_a_command_each_and_nothing_else_does(
    addresses: tuple[str, ...], changes: list[str]
) -> None:
    run = run_spec(network=Network(mode=Mode.VNET, addresses=addresses))
    interface = freebsd_network.ends(RUN_FOLDER, run.uid, 1)[1]
    lo0, *commands = freebsd_network.inside(run, RUN_FOLDER)
    assert lo0 == "/sbin/ifconfig lo0 inet 127.0.0.1/8 up"
    assert commands == [f"/sbin/ifconfig {interface} {change}" for change in changes]


def test_a_kernel_that_keeps_tags_is_told_whose_a_jail_is() -> None:
    found = jailconf.read(freebsd_jailconf.config(run_spec(), "web_1", Path("/t"), {}, [], tagged=True))["web_1"]
    assert found["meta.jaild"] == [f"web.1 {run_spec().uid}"]
    assert "meta" not in str(freebsd_jailconf.config(run_spec(), "web_1", Path("/t"), {}, []))


# What makes jail(8) give a command to a shell (usr.sbin/jail/command.c); else it is split on white space.
SHELL = set("!\"$&'()*;<>?[\\]`{|}~")


def test_a_vnet_jails_commands_need_no_shell() -> None:
    network = own("10.0.0.5/24", "2001:db8::5/64", gateway="fe80::1")
    commands = freebsd_network.inside(run_spec(network=network), RUN_FOLDER)
    assert [c for c in commands if SHELL & set(c)] == []
    assert all(PurePath(command.split()[0]).is_absolute() for command in commands)


def test_a_link_local_gateway_is_reached_by_the_jails_interface() -> None:
    run = run_spec(network=own("2001:db8::5/64", gateway="fe80::1"))
    inner = freebsd_network.ends(RUN_FOLDER, run.uid, 1)[1]
    assert freebsd_network.inside(run, RUN_FOLDER)[-1] == f"/sbin/route add -inet6 default fe80::1%{inner}"


def test_a_vnet_jail_has_no_addresses_in_jail_conf_and_others_no_vnet() -> None:
    shared = Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24", "10.0.0.6/24"), interface="igb1")
    parameters = freebsd_network.parameters
    assert "ip4.addr" not in parameters(run_spec(network=own("10.0.0.5/24")), HOST, RUN_FOLDER)
    assert parameters(run_spec(network=shared), HOST, RUN_FOLDER) == {
        "ip4.addr": ["igb1|10.0.0.5/24", "igb1|10.0.0.6/24"]
    }
    assert parameters(run_spec(), HOST, RUN_FOLDER) == {"ip4": "inherit", "ip6": "inherit"}


def test_a_jail_without_a_network_is_a_vnet_with_its_loopback_interface_alone() -> None:
    run = run_spec(network=Network(mode=Mode.NONE))
    assert freebsd_network.parameters(run, HOST, RUN_FOLDER) == {"vnet": None}
    assert freebsd_network.inside(run, RUN_FOLDER) == ["/sbin/ifconfig lo0 inet 127.0.0.1/8 up"]
    assert oci_network.missing(run, HostNetwork(bridge=""), (), "jails/web") == []
    tried = run_spec(network=Network(mode=Mode.NONE, addresses=("10.0.0.5/24", "2001:db8::5/64")))
    assert freebsd_network.inside(tried, RUN_FOLDER)[1:] == [
        "/sbin/ifconfig lo0 inet 10.0.0.5/24 alias",
        "/sbin/ifconfig lo0 inet6 2001:db8::5/64 alias",
    ]


def test_an_epair_takes_the_mtu_of_a_bridge_with_jumbo_frames_before_it_joins() -> None:
    def joined(mtu: str) -> list[tuple[str, ...]]:
        shown = f"jaild0: flags=8843<UP> metric 0 mtu {mtu}\n\tgroups: bridge\n"
        return freebsd_network.joined("a", "b", "jaild0", shown)

    assert joined("1500") == [("ifconfig", "jaild0", "addm", "a")]
    assert joined("9000") == [
        ("ifconfig", "a", "mtu", "9000"),
        ("ifconfig", "b", "mtu", "9000"),
        ("ifconfig", "jaild0", "addm", "a"),
    ]


def test_only_addresses_that_are_there_are_taken_off_an_interface_however_they_are_written() -> None:
    run = run_spec(network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24", "2001:DB8:0::5/64", "10.0.0.50/24")))
    shown = "em0: flags=8843<UP>\n\tinet 10.0.0.5 netmask 0xffffff00\n\tinet6 2001:db8::5 prefixlen 64\n"
    assert freebsd_network.left_aliases(run, HOST, shown) == [
        ("ifconfig", "em0", "inet", "10.0.0.5", "-alias"),
        ("ifconfig", "em0", "inet6", "2001:db8::5", "-alias"),
    ]


def test_a_network_that_the_host_does_not_offer_is_refused() -> None:
    nothing = HostNetwork(bridge="")
    for network in (own("10.0.0.5/24"), Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",))):
        (refused,) = oci_network.missing(run_spec(network=network), nothing, {"em0"}, "jails/web")
        assert refused.reason == "NETWORK_MISSING"
    assert oci_network.missing(run_spec(), nothing, (), "jails/web") == []


# -- commands

WWW = Account(uid=80, gid=81, groups=(82,), home="/srv")


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), ARGUMENTS))
def test_nothing_of_the_environment_is_before_the_jails_own_env(environment: dict[str, str]) -> None:
    run = replace(run_spec(), environment=environment)
    program = freebsd_command.inside(7, run, WWW, ("prog", "a b"))
    argv = program.argv
    at = argv.index("/usr/bin/env")
    assert argv[:at] == ("jexec", "7", "/usr/sbin/chroot", "-u", "80", "-g", "81", "-G", "81,82", "/")
    assert argv[at + 1 : at + 3] == ("-i", "-S")
    assert argv[at + 4 :] == ("prog", "a b")
    assert all(name.startswith("JAILD_") for name in program.environment)


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), ARGUMENTS.map("secret!{}".format)))
def test_no_value_of_the_environment_is_in_an_argument_list(environment: dict[str, str]) -> None:
    run = replace(run_spec(), environment=environment)
    command = freebsd_command.inside(7, run, WWW, ("prog",), {"TOKEN": "hunter2"})
    keeper = freebsd_command.supervised(command, title="jaild web.1", log=Path("/log"), pid_file=Path("/pid"))
    told = "\0".join(keeper.argv)
    assert [value for value in (*environment.values(), "hunter2") if value in told] == []
    assert {*environment.values(), "hunter2"} <= set(keeper.environment.values())


@settings(max_examples=30, deadline=None)  # each starts a program
@given(st.dictionaries(st.from_regex(r"X[A-Z_]{1,8}", fullmatch=True), VALUES, max_size=4))
def test_env_gives_the_command_exactly_the_environment_that_is_meant(environment: dict[str, str]) -> None:
    run = replace(run_spec(), environment=environment)
    command = freebsd_command.inside(7, run, Account(uid=0, gid=0), ("env", "-0"))
    argv = command.argv[command.argv.index("/usr/bin/env") :]
    done = subprocess.run(argv, env=dict(command.environment), check=True, capture_output=True)
    seen = dict(line.split("=", 1) for line in done.stdout.decode().split("\0")[:-1])
    assert seen.pop("PATH").startswith("/usr/local/sbin:")
    assert seen == {"HOME": "/", **environment}


def test_what_stands_before_a_command_is_known_as_its_setup() -> None:
    argv = freebsd_command.inside(7, run_spec(), WWW, ("prog",)).argv
    programs = {PurePath(word).name for word in argv[: argv.index("-i")] if word == "jexec" or word.startswith("/usr/")}
    assert programs == freebsd_command.SETUP


def test_root_needs_no_change_of_user() -> None:
    argv = freebsd_command.inside(7, run_spec(), Account(uid=0, gid=0), ("prog",)).argv
    assert argv[:3] == ("jexec", "7", "/usr/bin/env")


def test_a_program_that_env_would_take_for_a_variable_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        freebsd_command.inside(7, run_spec(), WWW, ("/usr/local/bin/a=b",))
    assert refused.value.reason == "COMMAND_UNSUPPORTED"


# -- limits


def problems(limits: Limits, *, racct: bool = True, ncpu: int = 4) -> list[tuple[str, str]]:
    found = freebsd_limits.problems(limits, "jails/web", racct=racct, ncpu=ncpu)
    return [(error.reason, error.detail["field"]) for error in found]


def test_without_racct_a_limit_is_refused_with_the_line_for_the_loader() -> None:
    for limits in (Limits(memory="1G"), Limits(cpus=0.5), Limits(processes=5), Limits(open_files=5)):
        (refused,) = freebsd_limits.problems(limits, "jails/web", racct=False, ncpu=4)
        assert refused.reason == "LIMIT_UNSUPPORTED"
        assert 'kern.racct.enable="1"' in refused.hint
        assert problems(limits) == []
    everything = Limits(memory="1G", cpus=0.5, processes=5, open_files=5)
    assert len(problems(everything, racct=False)) == 4


def test_without_racct_whole_cpus_are_kept_by_binding_to_as_many() -> None:
    def cpus(limits: Limits, uid: str = "a", ncpu: int = 4) -> str:
        return freebsd_limits.cpus(limits, uid, ncpu, racct=False)

    assert problems(Limits(cpus=2), racct=False) == []
    for uid in "abcdef":
        chosen = cpus(Limits(cpus=3), uid).split(",")
        assert len(set(chosen)) == 3
        assert set(chosen) <= {"0", "1", "2", "3"}
        assert set(cpus(Limits(cpus=1, cpuset="2-3"), uid)) <= {"2", "3"}
    assert cpus(Limits(cpus=4)) == ""
    assert cpus(Limits()) == ""
    assert len({cpus(Limits(cpus=1), uid, 8) for uid in "abcdefghijkl"}) > 3


def test_a_cpuset_is_bound_to_whether_there_is_racct_or_not_and_must_be_of_cpus_that_there_are() -> None:
    for racct in (True, False):
        assert freebsd_limits.cpus(Limits(cpuset="0-1,3"), "a", 4, racct=racct) == "0,1,3"
    assert freebsd_limits.cpus(Limits(cpuset="1-3", cpus=1), "a", 4, racct=True) == "1,2,3"
    assert problems(Limits(cpuset="2-4"), racct=False) == [("LIMIT_UNSUPPORTED", "$.limits.cpuset")]
    assert problems(Limits(cpuset="3")) == []


def test_threads_count_as_processes_as_they_do_on_linux() -> None:
    assert freebsd_limits.rules(run_spec(limits=Limits(processes=9)), "web_1") == (
        "jail:web_1:maxproc:deny=9",
        "jail:web_1:nthr:deny=9",
    )


def test_a_small_share_of_a_cpu_is_not_rounded_to_none() -> None:
    assert freebsd_limits.rules(run_spec(limits=Limits(cpus=0.001)), "web_1") == ("jail:web_1:pcpu:deny=1",)
