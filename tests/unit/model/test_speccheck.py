from __future__ import annotations

from typing import Any

import pytest

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import network as netcheck
from jaild.model.jails import validation as speccheck
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
    Placement,
    Readiness,
    Restart,
    Stop,
    Syslog,
    TcpCheck,
    Volume,
)
from jaild.model.layers import manifest as manifestcheck
from jaild.model.layers.records import Group, Manifest, User


def own(*addresses: str, **more: Any) -> Network:
    return Network(mode=Mode.VNET, addresses=addresses, **more)


def subjects(**fields: Any) -> list[str]:
    return [problem.subject for problem in speccheck.check(JailSpec(**({"base": "b"} | fields)))]


def test_a_sound_specification_has_no_problems() -> None:
    spec = JailSpec(
        base="14.3-RELEASE-p2",
        app="edge-cache/4.2.1",
        hostname="edge-01.example.net",
        user="www",
        environment={"PATH": "/bin", "EMPTY": ""},
        network=own("10.0.0.5/24", "2001:db8::5/64", gateway="10.0.0.1", bridge="bridge0"),
        quota="10G",
        volumes={
            "cache": Volume(path="/var/cache", quota="1T", recordsize="1M"),
            "hot": Volume(path="/var/cache/hot", recordsize="16K"),
            "www": Volume(path="/usr/local/www"),
        },
        health=(HttpCheck(port=80, address="10.0.0.5"), TcpCheck(port=1), ExecCheck(command=("true",))),
        labels={"team": "edge", "jaild.io/role": ""},
        placement=Placement(priority=1000, apart="team"),
    )
    assert speccheck.check(spec) == ()
    speccheck.require(spec)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/etc", "/etc/rc.d", "/usr", "/usr/local", "/usr/local/etc", "/var", "/home", "/dev/x", "/proc", "/tmp",
        "var/x", "", "/var/../etc", "/var/./x", "/var//x", "/var/x/", "/a b", "/a\tb", "/a#b", "/a\\b", "/é",
        "/" + "x" * 256,
    ],
)  # fmt: skip
def test_a_volume_may_not_hide_the_system_or_have_a_path_that_mount_tables_cannot_show(path: str) -> None:
    assert subjects(volumes={"v": Volume(path=path)}) == ["$.volumes.v.path"]


def test_two_volumes_may_not_have_one_path() -> None:
    assert subjects(volumes={"a": Volume(path="/srv/x"), "b": Volume(path="/srv/x")}) == ["$.volumes.b.path"]


@pytest.mark.parametrize(
    ("network", "path"),
    [
        (Network(mode=Mode.VNET), "$.network.addresses"),
        (Network(mode=Mode.SHARED_IP), "$.network.addresses"),
        (Network(mode=Mode.HOST, addresses=("10.0.0.5/24",)), "$.network.addresses"),
        (own("10.0.0.5"), "$.network.addresses[0]"),
        (own("10.0.0.5/24", "10.0.0.500/24"), "$.network.addresses[1]"),
        (own("10.0.0.5/33"), "$.network.addresses[0]"),
        (own("10.0.0.5/255.255.255.0"), "$.network.addresses[0]"),
        (own("10.0.0.0/24"), "$.network.addresses[0]"),
        (own("10.0.0.255/24"), "$.network.addresses[0]"),
        (own("224.0.0.1/24"), "$.network.addresses[0]"),
        (own("127.0.0.1/8"), "$.network.addresses[0]"),
        (own("fe80::1%eth0/64"), "$.network.addresses[0]"),
        (own("10.0.0.5/24", "10.0.0.5/16"), "$.network.addresses[1]"),
        (own("10.0.0.5/24", gateway="10.0.1.1"), "$.network.gateway"),
        (own("10.0.0.5/24", gateway="10.0.0.5"), "$.network.gateway"),
        (own("10.0.0.5/24", gateway="10.0.0.1/24"), "$.network.gateway"),
        (own("10.0.0.5/24", gateway="fe80:::1"), "$.network.gateway"),
        (own("10.0.0.5/24", interface="em0"), "$.network.interface"),
        (own("10.0.0.5/24", bridge="a-name-of-more-than-15"), "$.network.bridge"),
        (Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",), bridge="br0"), "$.network.bridge"),
        (Network(mode=Mode.HOST, gateway="10.0.0.1"), "$.network.gateway"),
    ],
)  # fmt: skip
def test_a_broken_rule_of_the_network_is_told_by_its_path(network: Network, path: str) -> None:
    assert path in subjects(network=network)


def test_a_link_local_router_and_a_host_prefix_are_sound() -> None:
    assert subjects(network=own("2001:db8::5/64", gateway="fe80::1")) == []
    assert subjects(network=own("10.0.0.0/31", "10.0.1.5/32")) == []
    assert subjects(network=Network(mode=Mode.SHARED_IP, addresses=("127.0.1.1/8",), interface="lo1")) == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"base": "-x"}, "$.base"),
        ({"app": "redis"}, "$.app"),
        ({"app": "redis/"}, "$.app"),
        ({"command": ("",)}, "$.command[0]"),
        ({"command": ("a", "b\0")}, "$.command[1]"),
        ({"user": "root:wheel"}, "$.user"),
        ({"hostname": "-a"}, "$.hostname"),
        ({"hostname": "a" * 65}, "$.hostname"),
        ({"hostname": "a\n"}, "$.hostname"),
        ({"environment": {"1A": "x"}}, "$.environment.1A"),
        ({"environment": {"A=B": "x"}}, '$.environment["A=B"]'),
        ({"environment": {"A": "x\ny"}}, "$.environment.A"),
        ({"labels": {"UPPER": "x"}}, "$.labels.UPPER"),
        ({"labels": {"a": "x\n"}}, "$.labels.a"),
        ({"labels": {f"k{n}": "" for n in range(65)}}, "$.labels"),
        ({"placement": Placement(apart="service")}, "$.placement.apart"),
        ({"quota": "10 GB"}, "$.quota"),
        ({"limits": Limits(memory="0")}, "$.limits.memory"),
        ({"limits": Limits(cpus=float("inf"))}, "$.limits.cpus"),
        ({"volumes": {"data": Volume(path="/srv/x")}}, "$.volumes.data"),
        ({"volumes": {"v": Volume(path="/srv/x", quota="x")}}, "$.volumes.v.quota"),
        ({"volumes": {"v": Volume(path="/srv/x", recordsize="3K")}}, "$.volumes.v.recordsize"),
        ({"volumes": {"v": Volume(path="/srv/x", recordsize="2M")}}, "$.volumes.v.recordsize"),
        ({"health": (HttpCheck(port=1, path="x"),)}, "$.health[0].path"),
        ({"health": (HttpCheck(port=1, path="/ HTTP/1.1\r\nX: y"),)}, "$.health[0].path"),
        ({"health": (TcpCheck(port=1, address="10.0.0.6"),), "network": own("10.0.0.5/24")}, "$.health[0].address"),
        ({"health": (TcpCheck(port=1, address="localhost"),)}, "$.health[0].address"),
        ({"health": (TcpCheck(port=1),), "network": own()}, "$.health[0]"),
        ({"liveness": Liveness(checks=(TcpCheck(port=1),)), "network": own()}, "$.liveness.checks[0]"),
        ({"maintenance": ("02:00-05:00", "at night")}, "$.maintenance[1]"),
        *(
            ({"logs": Logs(syslog=Syslog(address=address))}, "$.logs.syslog.address")
            for address in ("192.0.2.5:514", "udp://192.0.2.5", "tcp://h:99999", "tls://h:6514", "unix:log", "udp://h:1/x")
        ),
        ({"logs": Logs(syslog=Syslog(address="udp://h:514", tag="a b"))}, "$.logs.syslog.tag"),
        ({"logs": Logs(syslog=Syslog(address="udp://h:514", tag="a" * 49))}, "$.logs.syslog.tag"),
        ({"liveness": Liveness(restart=True)}, "$.liveness.restart"),
        ({"liveness": Liveness(restart=True), "restart": Restart(policy="never")}, "$.liveness.restart"),
        ({"liveness": Liveness(checks=(HttpCheck(port=1, path="x"),))}, "$.liveness.checks[0].path"),
        ({"liveness": Liveness(checks=(ExecCheck(command=("",)),))}, "$.liveness.checks[0].command[0]"),
        ({"readiness": Readiness(successes=100, interval=1.0, deadline=30.0)}, "$.readiness.deadline"),
        ({"stop": Stop(signal="SIGTERM")}, "$.stop.signal"),
        ({"hooks": Hooks(before_stop=(ExecHook(command=("a", "b\0")),))}, "$.hooks.before_stop[0].command[1]"),
        *(
            ({"hooks": Hooks(after_start=(HttpHook(url=url),))}, "$.hooks.after_start[0].url")
            for url in (
                *("https://10.0.0.1/", "http://lb/", "http:///x", "http://10.0.0.1:99999/", "http://u:p@10.0.0.1/"),
                *("http://10.0.0.1/a b", "http://10.0.0.1/\r\nX: y", "http://10.0.0.1\t/", "http://0.0.0.0/"),
                *("http://224.0.0.1/", "http://[fe80::1%25em0]/", "http://10.0.0.1/#a", "http://10.0.0.1:x/"),
            )
        ),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_by_the_path_of_its_field(fields: dict[str, Any], path: str) -> None:
    assert path in subjects(**fields)


def test_a_signal_almost_right_is_told_with_the_one_that_was_meant() -> None:
    (problem,) = speccheck.check(JailSpec(base="b", stop=Stop(signal="SIGQUITT")))
    assert "did you mean QUIT?" in problem.message


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        speccheck.require(JailSpec(base="-x", app="y"))
    assert [problem.subject for problem in caught.value.problems] == ["$.base", "$.app"]
    assert caught.value.detail["path"] == "$.base"


def test_one_address_in_two_jails_is_an_error_that_names_the_other() -> None:
    mine = JailSpec(base="b", network=own("10.0.0.9/24", "2001:db8:0::5/64"))
    others = {
        "free": JailSpec(base="b", network=own("10.0.0.8/24")),
        "taken": JailSpec(base="b", network=own("2001:db8::0005/48")),
        "me": mine,
    }
    (problem,) = netcheck.conflicts("me", mine, others)
    assert (problem.code, problem.subject) == ("ADDRESS_IN_USE", "$.network.addresses[1]")
    assert problem.evidence == ("jails/taken",)


def test_a_sound_manifest_has_no_problems() -> None:
    manifest = Manifest(
        command=("/usr/local/bin/redis",),
        user="redis",
        users=(User(name="redis", uid=800, gid=800, comment="Redis, the server"),),
        groups=(Group(name="redis", gid=800, members=("redis",)),),
        directories=("/var/lib/redis",),
    )
    manifestcheck.require(manifest)


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (Manifest(mount_point="/"), "$.mount_point"),
        (Manifest(mount_point="/etc/x"), "$.mount_point"),
        (Manifest(mount_point="opt"), "$.mount_point"),
        (Manifest(directories=("/srv/x",)), "$.directories[0]"),
        (Manifest(directories=("/var/../etc",)), "$.directories[0]"),
        (Manifest(directories=("/variable",)), "$.directories[0]"),
        (Manifest(users=(User(name="a:b", uid=1, gid=1),)), "$.users[0].name"),
        (Manifest(users=(User(name="a", uid=0, gid=1),)), "$.users[0].uid"),
        (Manifest(users=(User(name="a", uid=1, gid=-1),)), "$.users[0].gid"),
        (Manifest(users=(User(name="a", uid=1, gid=1, comment="x\nroot::0:0::/:"),)), "$.users[0].comment"),
        (Manifest(users=(User(name="a", uid=1, gid=1), User(name="a", uid=2, gid=1))), "$.users[1].name"),
        (Manifest(groups=(Group(name="a", gid=1 << 32),)), "$.groups[0].gid"),
        (Manifest(groups=(Group(name="a", gid=1, members=("b,c",)),)), "$.groups[0].members[0]"),
        (Manifest(environment={"-": ""}), "$.environment.-"),
        (Manifest(command=("",)), "$.command[0]"),
        (Manifest(user="redis:redis"), "$.user"),
    ],
)  # fmt: skip
def test_a_broken_rule_of_a_manifest_is_told_by_its_path(manifest: Manifest, path: str) -> None:
    assert [problem.subject for problem in manifestcheck.check(manifest)] == [path]
    with pytest.raises(InvalidArgumentError):
        manifestcheck.require(manifest)
