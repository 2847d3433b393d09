"""A run's OCI bundle, field by field where a field is a promise."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaild.adapters.oci import bundle as oci_bundle
from jaild.adapters.runtime.accounts import Account
from jaild.model.jails.spec import Limits, Mode, Network
from jaild.ports.runtime import RunSpec
from tests.contract.runtime_contract import run_spec

ROOT = Path("/run/jaild/trees/web/1")
SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
WWW = Account(uid=80, gid=81, groups=(82,), home="/srv")


def config(run: RunSpec, *, namespace: Path | None = None) -> dict[str, Any]:
    return oci_bundle.config(
        run, root=ROOT, account=WWW, cgroup="/jaild/web.1", namespace=namespace, hidden=frozenset({"cgroup"})
    )


def test_the_process_is_the_runs_command_user_and_environment() -> None:
    assert config(run_spec(command=("nginx", "-g", "daemon off;")))["process"] == {
        "terminal": False,
        "user": {"uid": 80, "gid": 81, "additionalGids": [82]},
        "args": ["nginx", "-g", "daemon off;"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/srv",
            "COLOUR=blue",
        ],
        "cwd": "/",
        "capabilities": {
            kind: [
                "CAP_AUDIT_WRITE",
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_FSETID",
                "CAP_KILL",
                "CAP_NET_BIND_SERVICE",
                "CAP_SETFCAP",
                "CAP_SETGID",
                "CAP_SETPCAP",
                "CAP_SETUID",
                "CAP_SYS_CHROOT",
            ]
            for kind in ("bounding", "effective", "permitted")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": HARD, "soft": SOFT}],
        "noNewPrivileges": True,
    }


def test_the_environment_of_the_run_goes_before_the_defaults_and_that_of_an_exec_before_both() -> None:
    run = replace(run_spec(), environment={"HOME": "/data", "A": "run"})
    env = oci_bundle.process(run, WWW, ("env",), {"A": "exec"})["env"]
    assert env[1:] == ["HOME=/data", "A=exec"]


def test_the_root_is_the_mounted_tree_and_read_only() -> None:
    assert config(run_spec())["root"] == {"path": "/run/jaild/trees/web/1", "readonly": True}


def test_a_run_on_the_hosts_network_has_every_other_namespace() -> None:
    linux = config(run_spec())["linux"]
    assert [n["type"] for n in linux["namespaces"]] == ["pid", "ipc", "uts", "mount", "cgroup"]
    assert linux["sysctl"] == {}


def test_a_run_with_a_network_of_its_own_joins_its_namespace_and_announces_itself_there() -> None:
    run = run_spec(network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24", "2001:db8::5/64")))
    linux = config(run, namespace=Path("/run/netns/jl123456-web.1"))["linux"]
    assert linux["namespaces"][-1] == {"type": "network", "path": "/run/netns/jl123456-web.1"}
    assert linux["sysctl"] == {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.conf.eth0.arp_notify": "1",
        "net.ipv6.conf.eth0.ndisc_notify": "1",
    }


def test_a_run_without_a_network_gets_a_new_and_empty_one() -> None:
    linux = config(run_spec(network=Network(mode=Mode.NONE)))["linux"]
    assert linux["namespaces"][-1] == {"type": "network"}
    assert linux["sysctl"] == {}


def test_without_an_ipv6_address_no_ipv6_setting_is_asked_for() -> None:
    run = run_spec(network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24",)))
    assert not [s for s in config(run, namespace=Path("/run/netns/x"))["linux"]["sysctl"] if "ipv6" in s]


def test_limits_become_cgroup_resources_and_an_rlimit() -> None:
    made = config(run_spec(limits=Limits(memory="1G", cpus=1.5, processes=50, open_files=1024)))
    assert made["linux"]["cgroupsPath"] == "/jaild/web.1"
    assert made["linux"]["resources"] == {
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": {"limit": 1 << 30},
        "cpu": {"period": 100_000, "quota": 150_000},
        "pids": {"limit": 50},
    }
    assert made["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]


def test_a_run_without_limits_asks_for_no_controller() -> None:
    assert config(run_spec())["linux"]["resources"] == {"devices": [{"allow": False, "access": "rwm"}]}


def test_a_share_of_a_cpu_below_what_the_kernel_takes_becomes_its_least() -> None:
    assert oci_bundle.resources(Limits(cpus=0.001))["cpu"]["quota"] == 1000


def test_what_tells_of_the_host_is_masked_and_its_settings_are_read_only() -> None:
    linux = config(run_spec())["linux"]
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware"} <= set(linux["maskedPaths"])
    assert {"/proc/sys", "/proc/sysrq-trigger"} <= set(linux["readonlyPaths"])
    assert {m["destination"] for m in config(run_spec())["mounts"]} == {
        *("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"),
    }


def test_a_cpuset_and_a_share_of_cpus_go_together() -> None:
    assert oci_bundle.resources(Limits(cpuset="0-1")) == {"cpu": {"cpus": "0-1"}}
    both = oci_bundle.resources(Limits(cpuset="0-1", cpus=0.5))
    assert both == {"cpu": {"period": 100_000, "quota": 50_000, "cpus": "0-1"}}


def test_what_is_allowed_is_a_capability_more_or_what_every_jail_may_here() -> None:
    def more(*allow: str) -> set[str]:
        found = oci_bundle.process(replace(run_spec(), allow=allow), WWW, ("env",))["capabilities"]
        return set(found["effective"]) - set(oci_bundle.process(run_spec(), WWW, ("env",))["capabilities"]["effective"])

    assert more("raw_sockets") == {"CAP_NET_RAW"}
    assert more("mlock", "sysvipc", "socket_af") == {"CAP_IPC_LOCK"}


def test_a_devfs_ruleset_is_refused_where_there_is_no_devfs() -> None:
    (refused,) = oci_bundle.problems(replace(run_spec(), devfs_ruleset="devfsrules_jail"), "jails/web")
    assert (refused.reason, refused.detail["field"]) == ("DEVFS_RULESET_UNKNOWN", "$.devfs_ruleset")
    assert oci_bundle.problems(run_spec(), "jails/web") == []


def test_more_open_files_than_a_process_may_be_given_here_are_refused_before_anything_is_made() -> None:
    limits = Limits(open_files=1 << 40)
    (refused,) = oci_bundle.problems(replace(run_spec(), limits=limits), "jails/web")
    assert (refused.reason, refused.detail["field"]) == ("LIMIT_UNSUPPORTED", "$.limits.open_files")
    assert oci_bundle.problems(replace(run_spec(), limits=Limits(open_files=64)), "jails/web") == []
