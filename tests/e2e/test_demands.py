"""What a jail asks of its host, on a real daemon: what it uses, what it may, and what a host cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.v1 import stats_pb2, stats_pb2_grpc
from tests.conftest import LINUX_HOST
from tests.e2e.client import Client, codes, refused
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)
SPEC = "base: tiny-1\ncommand: [/bin/sleep, '100000']\n"
_NET_RAW = 13  # capabilities(7): CAP_NET_RAW


@pytest.fixture(autouse=True)
def no_jail_is_left(node: Node) -> Iterator[None]:
    yield
    for name in node.api.names_of_jails():
        node.api.delete(name)


def measured(api: Client, *names: str) -> list[Any]:
    stub: Any = stats_pb2_grpc.StatsStub(api.channel)
    return list(stub.ListJailStats(stats_pb2.ListJailStatsRequest(names=names), timeout=30).jails)


def test_what_jails_use_is_told_beside_what_they_may(api: Client) -> None:
    api.create("web", SPEC + "limits: {memory: 64M, processes: 50}\nquota: 1G\n")
    api.create("idle", SPEC, stopped=True)
    idle, web = measured(api)
    assert (idle.name, idle.running, idle.HasField("memory_bytes")) == ("jails/idle", False, False)
    assert (web.name, web.running, web.message) == ("jails/web", True, "")
    assert 0 < web.memory_bytes < web.memory_limit_bytes == 64 << 20
    assert 1 <= web.processes < web.processes_limit == 50
    assert web.data_quota_bytes == 1 << 30
    assert web.disk_bytes >= web.data_bytes > 0
    (again,) = measured(api, "jails/web")
    assert again.cpu_seconds >= web.cpu_seconds >= 0
    assert again.sample_time.ToNanoseconds() > web.sample_time.ToNanoseconds()


def test_a_plan_says_what_this_host_cannot_do_and_nothing_is_made(api: Client, node: Node) -> None:
    network = "network: {mode: vnet, addresses: [10.9.8.7/24], bridge: nobridge}\n"
    impossible = f"limits: {{cpuset: '4000'}}\ndevfs_ruleset: devfsrules_jail\n{network}"
    with refused(FailedPreconditionError, "PLAN_REFUSED") as found:
        api.create("web", SPEC + impossible)
    assert {"LIMIT_UNSUPPORTED", "DEVFS_RULESET_UNKNOWN", "NETWORK_MISSING"} <= set(codes(found.value))
    assert node.api.names_of_jails() == []


def test_a_jail_may_what_its_spec_allows_and_nothing_else(api: Client) -> None:
    def capabilities(name: str) -> int:
        status = api.sh(name, "cat /proc/self/status")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)

    api.create("plain", SPEC)
    api.create("pings", SPEC + "allow: [raw_sockets, sysvipc]\n")
    assert capabilities("pings") ^ capabilities("plain") == 1 << _NET_RAW
