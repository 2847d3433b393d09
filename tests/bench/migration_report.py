"""What was measured of migrations, as lines of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaild.model import quantity
from tests.bench.figures import Goal, Row, seconds_of, spread_of

_GROWS = 1.5
_CPU = 1.18  # 2.0 s for each GB where a bare stream takes 1.7
_STREAM = 0.95
_VOLUMES = 1.2


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """The goals for what was measured: of each size, how the downtime grows with several sizes, and with volumes."""
    sizes = by_size(found)
    each = [goal for size, one in sizes for goal in (_stream(size, one), _cpu(size, one))]
    return [*each, *_growth(sizes), _parted(found["volumes"])]


def _stream(size: str, one: Mapping[str, Any]) -> Goal:
    name, value = f"migration of {size}: stream to zfs send, zfs receive", one["ratio_to_by_hand"]["median"]
    return Goal(name=name, value=value, limit=_STREAM, unit="", at_least=True)


def _cpu(size: str, one: Mapping[str, Any]) -> Goal:
    name, value = f"migration of {size}: CPU per GB to a bare grpc.aio stream", one["cpu_ratio_to_grpc"]["median"]
    return Goal(name=name, value=value, limit=_CPU, unit="")


def _growth(sizes: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Goal]:
    if len(sizes) < 2:
        return []
    least, most = (one["downtime_seconds"]["median"] for _, one in (sizes[0], sizes[-1]))
    name = f"downtime of a migration of {sizes[-1][0]} to one of {sizes[0][0]}"
    return [Goal(name=name, value=most / least, limit=_GROWS, unit="")]


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The lines of all sizes, and how the downtime grows with them."""
    lines = [line for size, one in by_size(found) for line in _of_size(size, one)]
    grows = [Row(what=goal.name, measured=f"{goal.value:.2f}", goal=goal) for goal in _growth(by_size(found))]
    return [*lines, *grows, _of_volumes(found["volumes"])]


def by_size(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The sizes, the least first."""
    return sorted(found["sizes"].items(), key=lambda item: quantity.parse(item[0]))


def _of_size(size: str, one: Mapping[str, Any]) -> list[Row]:
    what, rate = f"migration of {size}: ", _rate(one["seed_bytes_per_second"])
    by_hand = f"{_rate(one['by_hand_bytes_per_second'])} by zfs send, zfs receive"
    stop_and_start = f"of {seconds_of(one['downtime_seconds'])}, a restart has {seconds_of(one['restart_seconds'])}"
    naive = f"{seconds_of(one['naive_seconds'])} by stop, full zfs send, start"
    commands = f"{seconds_of(one['cpu_seconds_per_gb_with_commands'])} with zfs send, zfs receive"
    cpu = seconds_of(one["cpu_seconds_per_gb"])
    return [
        Row(
            what=what + "stream",
            measured=rate,
            reference=by_hand,
            ratio=spread_of(one["ratio_to_by_hand"]),
            goal=_stream(size, one),
        ),
        Row(
            what=what + "stream",
            measured=rate,
            reference=f"{_rate(one['tls_bytes_per_second'])} by a TLS pipe",
            ratio=spread_of(one["ratio_to_tls_pipe"]),
        ),
        Row(
            what=what + "downtime beyond stop and start",
            measured=seconds_of(one["downtime_beyond_restart_seconds"]),
            reference=stop_and_start,
        ),
        Row(
            what=what + "downtime",
            measured=seconds_of(one["downtime_seconds"]),
            reference=naive,
            ratio=spread_of(one["ratio_to_naive"]),
        ),
        Row(
            what=what + "CPU of both daemons per GB",
            measured=cpu,
            reference=f"{seconds_of(one['grpc_cpu_seconds_per_gb'])} by a bare stream of grpc.aio over TLS",
            ratio=spread_of(one["cpu_ratio_to_grpc"]),
            goal=_cpu(size, one),
        ),
        Row(
            what=what + "CPU of both daemons per GB",
            measured=cpu,
            reference=f"{seconds_of(one['tls_cpu_seconds_per_gb'])} by a TLS pipe",
            ratio=spread_of(one["cpu_ratio_to_tls_pipe"]),
        ),
        Row(what=what + "CPU of both daemons per GB", measured=cpu, reference=commands),
    ]


def _parted(found: Mapping[str, Any]) -> Goal:
    name = f"downtime with {found['count']} volumes to that with none"
    return Goal(name=name, value=found["ratio_to_without"]["median"], limit=_VOLUMES, unit="")


def _of_volumes(found: Mapping[str, Any]) -> Row:
    return Row(
        what=f"migration of a jail with {found['count']} volumes: downtime",
        measured=seconds_of(found["downtime_seconds"]),
        reference=f"{seconds_of(found['downtime_seconds_without'])} without volumes",
        ratio=spread_of(found["ratio_to_without"]),
        goal=_parted(found),
    )


def _rate(found: Mapping[str, float]) -> str:
    return f"{found['median'] / 1e6:.0f} MB/s"
