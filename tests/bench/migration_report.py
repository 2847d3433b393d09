"""What was measured of migrations, as lines of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaild.model import quantity
from tests.bench.figures import Goal, Row, seconds_of, spread_of

_GROWS = 1.5
_CPU = 1.18  # 2.0 s for each GB where a bare stream takes 1.7
_STREAM = 0.95
_TLS = 0.9
_VOLUMES = 1.2


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """The goals for what was measured: of each size, how the downtime grows with several sizes, and with volumes."""
    sizes = by_size(found)
    each = [goal for size, one in sizes for goal in _of_stream(size, one)]
    return [*each, *_growth(sizes), _parted(found["volumes"])]


def _of_stream(size: str, one: Mapping[str, Any]) -> list[Goal]:
    """The goals of one size, in the order of their rows.

    What is sent by hand from pool to pool crosses no network and is not encrypted; a bare stream alone has both cores.
    So either stands beside what has the same way and the same company: a bare stream between `zfs send` and `receive`.
    """
    what = f"migration of {size}: "
    judged = (
        ("stream to zfs send, zfs receive", "ratio_to_by_hand", _STREAM, True),
        ("stream to zfs send, a TLS pipe, zfs receive", "ratio_to_by_tls", _TLS, True),
        ("CPU per GB to a bare grpc.aio stream", "cpu_ratio_to_grpc", _CPU, False),
        ("CPU per GB to a bare grpc.aio stream between zfs send and zfs receive", "cpu_ratio_to_by_grpc", _CPU, False),
    )
    return [
        Goal(name=what + name, value=one[key]["median"], limit=limit, unit="", at_least=at_least)
        for name, key, limit, at_least in judged
    ]


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
    stop_and_start = f"of {seconds_of(one['downtime_seconds'])}, a restart has {seconds_of(one['restart_seconds'])}"
    naive = f"{seconds_of(one['naive_seconds'])} by stop, full zfs send, start"
    commands = f"{seconds_of(one['cpu_seconds_per_gb_with_commands'])} with zfs send, zfs receive"
    cpu = seconds_of(one["cpu_seconds_per_gb"])
    stream, by_tls, bare_cpu, between = _of_stream(size, one)

    def of_rate(other: str, reference: str, goal: Goal | None = None) -> Row:
        beside, ratio = f"{_rate(one[f'{other}_bytes_per_second'])} by {reference}", spread_of(one[f"ratio_to_{other}"])
        return Row(what=what + "stream", measured=rate, reference=beside, ratio=ratio, goal=goal)

    def of_cpu(other: str, ratio: str, reference: str, goal: Goal | None = None) -> Row:
        beside = f"{seconds_of(one[f'{other}_cpu_seconds_per_gb'])} by {reference}"
        name = what + "CPU of both daemons per GB"
        return Row(what=name, measured=cpu, reference=beside, ratio=spread_of(one[ratio]), goal=goal)

    return [
        of_rate("by_hand", "zfs send, zfs receive", stream),
        of_rate("by_tls", "zfs send, a TLS pipe, zfs receive", by_tls),
        of_rate("by_grpc", "zfs send, a bare stream of grpc.aio over TLS, zfs receive"),
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
        of_cpu("grpc", "cpu_ratio_to_grpc", "a bare stream of grpc.aio over TLS, alone", bare_cpu),
        of_cpu("by_grpc", "cpu_ratio_to_by_grpc", "that stream between zfs send and zfs receive", between),
        of_cpu("tls", "cpu_ratio_to_tls_pipe", "a TLS pipe, alone"),
        Row(what=what + "CPU of both daemons per GB", measured=cpu, reference=commands),
        Row(
            what=what + "CPU of both zfs-fuse per GB",
            measured=seconds_of(one["zfs_cpu_seconds_per_gb"]),
            reference=f"{seconds_of(one['by_hand_zfs_cpu_seconds_per_gb'])} by zfs send, zfs receive",
        ),
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
