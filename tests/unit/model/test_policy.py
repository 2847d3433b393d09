"""What a product team may ask for: its grant's policy decides, and only where that goes beyond what the jail has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild import config
from jaild.model.access import Grant, Role
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import policy_check as policycheck
from jaild.model.jails.spec import (
    ExecCheck,
    ExecHook,
    Hooks,
    HttpCheck,
    HttpHook,
    JailSpec,
    Limits,
    Liveness,
    Logs,
    Mode,
    Network,
    Port,
    Standby,
    Syslog,
    TcpCheck,
    Volume,
)
from jaild.model.layers.recipe import Recipe, Repository, Step
from jaild.model.policy import BuildPolicy, Ceilings, Policy, on_host
from jaild.model.views import Caller

TIGHT = Policy(
    networks=(Mode.VNET,),
    addresses=("10.0.0.64/26", "2001:db8::/64"),
    bridges=("vlan20",),
    interfaces=("em1",),
    ports=(80, "8000-8099"),
    allow=("sysvipc", "raw_sockets"),
    devfs_rulesets=("devfsrules_gpu",),
    limits=Ceilings(memory="1G", cpus=2, processes=100),
    quota="10G",
    volumes="20G",
    required=("open_files",),
    standby=("beta",),
)
FITTING = JailSpec(
    base="b",
    app="web/1",
    network=Network(
        mode=Mode.VNET,
        addresses=("10.0.0.70/24", "2001:db8::7/64"),
        bridge="vlan20",
        ports=(Port(host=80), Port(host=8099)),
    ),
    allow=("sysvipc", "raw_sockets"),
    devfs_ruleset="devfsrules_gpu",
    limits=Limits(memory="1024M", cpus=2, processes=100, open_files=1 << 20),
    quota="10G",
    volumes={"a": Volume(path="/a", quota="10G"), "b": Volume(path="/b", quota="10G")},
    standby=Standby(peers=("beta",)),
)


def by(policy: Policy | None, actor: str = "web-team") -> Caller:
    return Caller(actor=actor, roles=frozenset({Role.PRODUCT}), apps=frozenset({"web"}), policy=policy)


def told(spec: JailSpec, current: JailSpec | None = None, policy: Policy = TIGHT) -> list[tuple[str, str]]:
    return [(problem.code, problem.subject) for problem in policycheck.problems(by(policy), spec, current)]


def changed(spec: JailSpec = FITTING, **fields: Any) -> JailSpec:
    return msgspec.structs.replace(spec, **fields)


def network(**fields: Any) -> JailSpec:
    return changed(network=msgspec.structs.replace(FITTING.network, **fields))


def limits(**fields: Any) -> JailSpec:
    return changed(limits=msgspec.structs.replace(FITTING.limits, **fields))


def test_what_a_policy_names_passes() -> None:
    assert told(FITTING) == []


BEYOND = [
    (changed(network=Network(mode=Mode.HOST), allow=()), "POLICY_NETWORK", "$.network.mode"),
    (network(addresses=("10.0.0.70/24", "10.0.0.1/24")), "POLICY_ADDRESS", "$.network.addresses[1]"),
    (network(addresses=("2001:db8:1::7/64",)), "POLICY_ADDRESS", "$.network.addresses[0]"),
    (network(bridge="br-lan"), "POLICY_INTERFACE", "$.network.bridge"),
    (network(ports=(Port(host=22, jail=80),)), "POLICY_PORT", "$.network.ports[0]"),
    (changed(allow=("sysvipc", "mlock")), "POLICY_ALLOW", "$.allow[1]"),
    (changed(devfs_ruleset="devfsrules_everything"), "POLICY_DEVFS", "$.devfs_ruleset"),
    (limits(memory="1025M"), "POLICY_LIMIT", "$.limits.memory"),
    (limits(memory=None), "POLICY_LIMIT", "$.limits.memory"),
    (limits(cpus=2.5), "POLICY_LIMIT", "$.limits.cpus"),
    (limits(processes=None), "POLICY_LIMIT", "$.limits.processes"),
    (limits(open_files=None), "POLICY_LIMIT", "$.limits.open_files"),
    (changed(quota="11G"), "POLICY_DISK", "$.quota"),
    (changed(quota=None), "POLICY_DISK", "$.quota"),
    (changed(volumes={"a": Volume(path="/a", quota="21G")}), "POLICY_DISK", "$.volumes"),
    (changed(volumes={"a": Volume(path="/a")}), "POLICY_DISK", "$.volumes"),
    (changed(standby=Standby(peers=("beta", "gamma"))), "POLICY_STANDBY", "$.standby.peers[1]"),
]


@pytest.mark.parametrize(("spec", "code", "subject"), BEYOND)
def test_what_goes_beyond_a_policy_is_told_with_its_field(spec: JailSpec, code: str, subject: str) -> None:
    assert told(spec) == [(code, subject)]
    assert told(spec, FITTING) == [(code, subject)]


@pytest.mark.parametrize(("spec", "code", "subject"), BEYOND)
def test_what_the_jail_has_already_is_refused_to_nobody(spec: JailSpec, code: str, subject: str) -> None:
    del code, subject
    assert told(changed(spec, app="web/2", environment={"A": "b"}), spec) == []


@pytest.mark.parametrize(("spec", "code", "subject"), BEYOND)
def test_a_way_back_to_what_an_operator_took_away_is_refused(spec: JailSpec, code: str, subject: str) -> None:
    assert told(spec, current=FITTING) == [(code, subject)]


def test_a_limit_above_the_ceiling_may_be_lowered_and_never_raised_nor_taken_away() -> None:
    operators = limits(memory="8G")
    assert told(limits(memory="4G"), operators) == []
    assert told(limits(memory="9G"), operators) == [("POLICY_LIMIT", "$.limits.memory")]
    assert told(limits(memory=None), operators) == [("POLICY_LIMIT", "$.limits.memory")]
    assert told(limits(memory="9G"), limits(memory=None)) == []


def test_a_problem_names_the_rule_and_whom_to_ask() -> None:
    (problem,) = policycheck.problems(by(TIGHT), network(addresses=("192.0.2.1/24",)), None)
    assert "grants.web-team.policy.addresses does not allow it" in problem.message
    assert problem.evidence == ("grants.web-team.policy.addresses: 10.0.0.64/26, 2001:db8::/64",)
    assert "ask an operator" in problem.hint


def test_on_an_interface_of_the_host_the_whole_subnet_has_to_be_in_a_range() -> None:
    policy = msgspec.structs.replace(
        TIGHT, networks=(Mode.SHARED_IP,), limits=Ceilings(), quota=None, volumes=None, required=()
    )

    def shared(*addresses: str) -> JailSpec:
        return JailSpec(base="b", network=Network(mode=Mode.SHARED_IP, addresses=addresses))

    assert told(shared("10.0.0.70/32", "10.0.0.70/26", "2001:db8::7/128"), None, policy) == []
    assert told(shared("10.0.0.70/24"), None, policy) == [("POLICY_ADDRESS", "$.network.addresses[0]")]
    assert told(shared("10.0.0.70/1"), shared("10.0.0.70/32"), policy) == [("POLICY_ADDRESS", "$.network.addresses[0]")]
    assert told(shared("10.0.0.70/24"), shared("10.0.0.70/24"), policy) == []


@pytest.mark.parametrize("mode", [Mode.HOST, Mode.SHARED_IP])
@pytest.mark.parametrize("name", ["raw_sockets", "socket_af"])
def test_sockets_that_see_the_hosts_network_are_refused_there_unless_a_policy_says_so(mode: Any, name: str) -> None:
    policy = Policy(networks=(Mode.HOST, Mode.SHARED_IP, Mode.VNET), allow=("raw_sockets", "socket_af"))
    spec = JailSpec(base="b", network=Network(mode=mode), allow=(name,))
    assert told(spec, None, policy) == [("POLICY_ALLOW", "$.allow[0]")]
    assert told(spec, changed(spec, network=Network(mode=Mode.VNET)), policy) == [("POLICY_ALLOW", "$.allow[0]")]
    assert told(spec, spec, policy) == []
    assert told(changed(spec, network=Network(mode=Mode.VNET)), None, policy) == []
    assert told(spec, None, msgspec.structs.replace(policy, allow_on_host=(name,))) == []


def test_without_a_policy_a_product_has_the_safe_default() -> None:
    default = on_host(None, address=None, bridge="jaild0", shared="em0")
    own = JailSpec(base="b", network=Network(mode=Mode.VNET, addresses=("192.0.2.1/24",), bridge="jaild0"))
    assert told(JailSpec(base="b"), None, default) == []
    assert told(own, None, default) == []
    assert told(changed(own, allow=("raw_sockets", "sysvipc", "mlock")), None, default) == []
    for spec, code in [
        (changed(own, network=Network(mode=Mode.SHARED_IP, addresses=("192.0.2.1/32",))), "POLICY_NETWORK"),
        (JailSpec(base="b", allow=("raw_sockets",)), "POLICY_ALLOW"),
        (changed(own, allow=("socket_af",)), "POLICY_ALLOW"),
        (changed(own, devfs_ruleset="devfsrules_unhide_all"), "POLICY_DEVFS"),
        (changed(own, network=msgspec.structs.replace(own.network, bridge="br-lan")), "POLICY_INTERFACE"),
        (changed(own, network=msgspec.structs.replace(own.network, ports=(Port(host=443),))), "POLICY_PORT"),
    ]:
        assert [code for code, _ in told(spec, None, default)] == [code]


def test_the_subnet_of_the_hosts_own_address_is_where_jails_belong_if_no_range_is_said() -> None:
    default = on_host(None, address="10.0.0.1/24", bridge="jaild0", shared=None)
    assert default.addresses == ("10.0.0.0/24",)
    said = on_host(Policy(addresses=("192.0.2.0/24",)), address="10.0.0.1/24", bridge="jaild0", shared=None)
    assert said.addresses == ("192.0.2.0/24",)


def test_hooks_call_no_address_that_the_policy_does_not_name() -> None:
    def calling(url: str) -> JailSpec:
        hooks = Hooks(before_stop=(ExecHook(command=("true",)), HttpHook(url=url)))
        return msgspec.structs.replace(FITTING, hooks=hooks)

    policy = msgspec.structs.replace(TIGHT, hooks=("192.0.2.0/28", "2001:db8:f::/64"))
    for url in ("http://192.0.2.5:8080/x", "http://[2001:db8:f::1]/"):
        assert told(calling(url), None, policy) == []
        assert told(calling(url), None, TIGHT) == [("POLICY_HOOK", "$.hooks.before_stop[1].url")]
        assert told(calling(url), calling(url), TIGHT) == []
    for url in ("http://192.0.2.16/", "http://127.0.0.1/", "http://[::ffff:192.0.2.5]/"):
        assert told(calling(url), None, policy) == [("POLICY_HOOK", "$.hooks.before_stop[1].url")]


def test_logs_go_to_no_receiver_that_the_policy_does_not_name() -> None:
    def sending(address: str) -> JailSpec:
        return msgspec.structs.replace(FITTING, logs=Logs(syslog=Syslog(address=address)))

    policy = msgspec.structs.replace(TIGHT, syslog=("tcp://192.0.2.5:601",))
    assert told(sending("tcp://192.0.2.5:601"), None, policy) == []
    assert told(sending("tcp://192.0.2.5:601"), sending("tcp://192.0.2.5:601"), TIGHT) == []
    for address in ("tcp://192.0.2.5:602", "unix:/var/run/log", "udp://192.0.2.5:601"):
        assert told(sending(address), None, policy) == [("POLICY_SYSLOG", "$.logs.syslog.address")]


def test_the_daemons_health_checks_reach_no_further_than_the_jail_may() -> None:
    def asked(check: TcpCheck | HttpCheck, mode: Mode = Mode.SHARED_IP) -> JailSpec:
        addresses = ("10.0.0.70/32",) if mode is Mode.SHARED_IP else ()
        network = Network(mode=mode, addresses=addresses)
        health = (ExecCheck(command=("true",)), check)
        return msgspec.structs.replace(FITTING, network=network, allow=(), health=health)

    policy = msgspec.structs.replace(TIGHT, networks=(Mode.SHARED_IP, Mode.NONE, Mode.HOST))
    beyond = [("POLICY_ADDRESS", "$.health[1].address")]
    for address in ("127.0.0.1", "192.0.2.1"):
        assert told(asked(TcpCheck(port=22, address=address)), None, policy) == beyond
        assert told(asked(HttpCheck(port=80, address=address), Mode.NONE), None, policy) == beyond
        had = asked(TcpCheck(port=22, address=address))
        assert told(had, had, policy) == []
        assert told(asked(TcpCheck(port=22, address=address), Mode.HOST), None, policy) == []
        living = Liveness(checks=(TcpCheck(port=22, address=address),))
        assert told(msgspec.structs.replace(asked(TcpCheck(port=22)), liveness=living), None, policy) == [
            ("POLICY_ADDRESS", "$.liveness.checks[0].address")
        ]
    assert told(asked(TcpCheck(port=22, address="10.0.0.70")), None, policy) == []
    assert told(asked(TcpCheck(port=22, address="10.0.0.71")), None, policy) == []
    assert told(asked(TcpCheck(port=22)), None, policy) == []


def test_operators_and_the_host_itself_have_no_policy() -> None:
    for spec, _, _ in BEYOND:
        assert policycheck.problems(Caller(actor="boss", roles=frozenset({Role.OPERATOR})), spec, None) == ()


AMOUNTS = st.one_of(st.none(), st.integers(1, 1 << 40).map(str))


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_nothing_above_both_ceiling_and_present_passes_and_nothing_else_is_refused(
    ceiling: str | None, had: str | None, wanted: str | None
) -> None:
    def amount(text: str | None) -> float:
        return float("inf") if text is None else int(text)

    policy = Policy(limits=Ceilings(memory=ceiling), quota=ceiling)
    spec, current = (
        JailSpec(base="b", limits=Limits(memory=wanted), quota=wanted),
        JailSpec(base="b", limits=Limits(memory=had), quota=had),
    )
    beyond = amount(wanted) > max(amount(ceiling), amount(had))
    assert told(spec, current, policy) == (
        [("POLICY_LIMIT", "$.limits.memory"), ("POLICY_DISK", "$.quota")] if beyond else []
    )


# -- builds


def recipe(url: str = "", network: Any = "host") -> Recipe:
    repository = Repository(url=url, unsigned=True) if url else None
    return Recipe(base="b", steps=(Step(pkg=("nginx",)),), network=network, repository=repository)


def refused(wanted: Recipe, builds: BuildPolicy) -> list[str]:
    return [problem.code for problem in policycheck.build_problems(by(Policy(builds=builds)), wanted)]


def test_a_build_is_held_to_networks_and_repositories() -> None:
    policy = BuildPolicy(networks=("none",), repositories=("https://pkg.example.org/FreeBSD",))
    assert refused(recipe("https://pkg.example.net/FreeBSD"), policy) == [
        "POLICY_BUILD_NETWORK",
        "POLICY_BUILD_REPOSITORY",
    ]
    assert refused(recipe("file:///var/tmp/packages", "none"), policy) == []
    assert refused(recipe("https://anywhere.example/"), BuildPolicy()) == []


@pytest.mark.parametrize(
    ("url", "passes"),
    [
        ("https://pkg.example.org/FreeBSD", True),
        ("pkg+https://PKG.example.org/FreeBSD/14", True),
        ("https://pkg.example.org/FreeBSD-other", False),
        ("https://pkg.example.org.evil.example/FreeBSD", False),
        ("https://pkg.example.org@evil.example/FreeBSD", False),
        ("https://pkg.example.org:444/FreeBSD", False),
        ("http://pkg.example.org/FreeBSD", False),
        ("https://pkg.example.org/FreeBSD/../other", False),
        ("https://pkg.example.org/FreeBSD/%2e%2e/other", False),
    ],
)
def test_a_repository_is_allowed_at_its_address_and_below_it(url: str, passes: bool) -> None:  # noqa: FBT001
    policy = BuildPolicy(repositories=("https://pkg.example.org/FreeBSD/",))
    assert (refused(recipe(url), policy) == []) is passes


# -- the configuration


def loaded(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "jaild.yaml"
    path.write_text(text)
    return config.load(path, {})


def test_an_address_of_the_host_that_is_none_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"10\.0\.0\.1/33.*network"):
        loaded(tmp_path, "network: {address: 10.0.0.1/33}\ngrants: {web: {roles: [product]}}\n")


def test_a_policy_is_read_from_the_configuration_and_knows_its_host(tmp_path: Path) -> None:
    read = loaded(
        tmp_path,
        """
network: {address: 10.0.0.1/24, shared: em0}
grants:
  ops: {roles: [operator]}
  other-team: {roles: [product], apps: [b]}
  web-team:
    roles: [product]
    apps: [web]
    policy:
      networks: [own, shared]
      ports: [80, 8000-8099]
      limits: {memory: 4G}
      builds: {time: 600, limits: {memory: 2G}}
""",
    ).grants_here
    assert read["ops"].policy is None
    team, other = read["web-team"].policy, read["other-team"].policy
    assert team is not None
    assert other is not None
    assert (team.networks, team.ports, team.limits.memory) == (
        (Mode.VNET, Mode.SHARED_IP),
        (80, "8000-8099"),
        "4G",
    )
    assert (team.addresses, team.bridges, team.interfaces) == (("10.0.0.0/24",), ("jaild0",), ("em0",))
    assert (team.builds.time, team.builds.limits.memory) == (600, "2G")
    assert (other.networks, other.addresses) == (Policy().networks, ("10.0.0.0/24",))


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ("{addresses: [10.0.0.5/24]}", "addresses"),
        ("{ports: [9000-8000]}", "port"),
        ("{ports: [0]}", "port"),
        ("{allow: [everything]}", "everything"),
        ("{limits: {memory: lots}}", "lots"),
        ("{volumes: 1Q}", "1Q"),
        ("{network: [own]}", "network"),
        ("{builds: {repositories: [pkg.example.org]}}", "pkg.example.org"),
    ],
)
def test_a_mistake_in_a_policy_is_told(tmp_path: Path, policy: str, place: str) -> None:
    with pytest.raises(InvalidArgumentError, match="INVALID_CONFIG") as caught:
        loaded(tmp_path, f"grants: {{a: {{roles: [product], policy: {policy}}}}}")
    assert place in caught.value.message or "host bits" in caught.value.message


@pytest.mark.parametrize("roles", [(Role.OPERATOR, Role.PRODUCT), (Role.SOURCE,), (Role.PEER,)])
def test_a_policy_that_would_bind_nobody_is_a_mistake(roles: tuple[Role, ...]) -> None:
    with pytest.raises(ValueError, match="policy"):
        Grant(roles=roles, policy=Policy())
