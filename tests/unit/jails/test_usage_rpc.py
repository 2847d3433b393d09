"""A measurement as a message: what is not known is absent, not 0."""

from __future__ import annotations

from typing import Any

import grpc

from jaild.model.jails.spec import Limits
from jaild.model.views import JailStats
from jaild.rpc.messages.jails import stats_message
from jaild.v1 import stats_pb2, stats_pb2_grpc
from tests.fakes.use_cases.every import Fakes

OPTIONAL = ("cpu_seconds", "memory_bytes", "processes", "cpu_limit", "memory_limit_bytes", "processes_limit")


def test_what_is_not_known_or_not_limited_is_absent() -> None:
    message = stats_message(JailStats(name="web", disk=5))
    assert [field for field in (*OPTIONAL, "data_quota_bytes") if message.HasField(field)] == []
    assert (message.name, message.disk_bytes, message.running) == ("jails/web", 5, False)


def test_a_jail_that_uses_nothing_says_so() -> None:
    idle = JailStats(
        name="web", running=True, cpu_seconds=0.0, memory=0, processes=0, limits=Limits(memory="1G", cpus=2)
    )
    message = stats_message(idle)
    assert [field for field in OPTIONAL if not message.HasField(field)] == ["processes_limit"]
    assert message.memory_limit_bytes == 1 << 30


async def test_jails_are_asked_for_by_their_names(local: grpc.aio.Channel, fakes: Fakes) -> None:
    fakes.stats.measured = [JailStats(name="web", data=7)]
    stub: Any = stats_pb2_grpc.StatsStub(local)
    answer = await stub.ListJailStats(stats_pb2.ListJailStatsRequest(names=["jails/web"]))
    assert [(jail.name, jail.data_bytes) for jail in answer.jails] == [("jails/web", 7)]
    assert fakes.stats.asked == [["web"]]
