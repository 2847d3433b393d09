"""The Stats service."""

from __future__ import annotations

from jaild.model import quantity
from jaild.model.views import JailStats
from jaild.rpc import names
from jaild.rpc.auth import Context
from jaild.rpc.moments import timestamp
from jaild.rpc.use_cases import Stats
from jaild.v1 import stats_pb2


class StatsServicer:
    """Answers for `jaild.v1.Stats`."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    async def ListJailStats(  # noqa: N802
        self, request: stats_pb2.ListJailStatsRequest, _: Context
    ) -> stats_pb2.ListJailStatsResponse:
        """Measure jails now."""
        measured = await self._stats.measure([names.jail(name) for name in request.names])
        return stats_pb2.ListJailStatsResponse(jails=map(message, measured))


def message(stats: JailStats) -> stats_pb2.JailStats:
    """Return a measurement as a message."""
    limits = stats.limits
    return stats_pb2.JailStats(
        name=names.jail_name(stats.name),
        running=stats.running,
        cpu_seconds=stats.cpu_seconds,
        cpu_cores=stats.cpus,
        memory_bytes=stats.memory,
        processes=stats.processes,
        start_time=timestamp(stats.started),
        sample_time=timestamp(stats.sampled),
        cpu_limit=limits.cpus,
        memory_limit_bytes=quantity.parse(limits.memory) if limits.memory else None,
        processes_limit=limits.processes,
        disk_bytes=stats.disk,
        data_bytes=stats.data,
        data_quota_bytes=stats.data_quota or None,
        message=stats.message,
    )
