"""What jails use, as lines that other monitoring takes: collectd's exec plug-in, OpenTSDB's telnet protocol.

collectd: https://www.collectd.org/documentation/manpages/collectd-exec.html, with types of its own types.db(5).
OpenTSDB: http://opentsdb.net/docs/build/html/api_telnet/put.html, with the names that GET /metrics has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_NANOSECONDS = 1e9


class Feed(StrEnum):
    """Who reads."""

    COLLECTD = "collectd"
    OPENTSDB = "opentsdb"


@dataclass(frozen=True)
class _Value:
    field: str  # of JailStats
    series: str  # as docs/monitoring.md has it
    kind: str  # collectd's type and its instance
    times: int = 1  # what collectd counts of one: its counters are whole numbers


_VALUES = (
    _Value("running", "jaild_jail_running", "gauge-running"),
    _Value("cpu_seconds", "jaild_jail_cpu_seconds_total", "total_time_in_ms-cpu", 1000),
    _Value("memory_bytes", "jaild_jail_memory_bytes", "memory-used"),
    _Value("memory_limit_bytes", "jaild_jail_memory_limit_bytes", "memory-limit"),
    _Value("processes", "jaild_jail_processes", "gauge-processes"),
    _Value("read_bytes_per_second", "jaild_jail_read_bytes_per_second", "gauge-read_bytes_per_second"),
    _Value("write_bytes_per_second", "jaild_jail_write_bytes_per_second", "gauge-write_bytes_per_second"),
    _Value("received_bytes", "jaild_jail_network_receive_bytes_total", "total_bytes-received"),
    _Value("sent_bytes", "jaild_jail_network_transmit_bytes_total", "total_bytes-sent"),
    _Value("data_bytes", "jaild_jail_data_bytes", "df_complex-data"),
    _Value("data_quota_bytes", "jaild_jail_data_quota_bytes", "df_complex-quota"),
    _Value("disk_bytes", "jaild_jail_disk_bytes", "df_complex-disk"),
)


def lines(feed: Feed, host: str, interval: float, jail: Any) -> Iterator[str]:
    """Yield a line for each thing that is known of a jail (a `JailStats`), at the time when it was measured.

    `host` is the one whose jail it is; `interval` are the seconds until the next line of the same, 0 if there is none.
    """
    at = jail.sample_time.ToNanoseconds() / _NANOSECONDS
    pace = f"interval={interval:.3f} " if interval else ""
    name = jail.name.removeprefix("jails/")
    for value in _VALUES:
        told = getattr(jail, value.field)
        if _is_known(jail, value.field):
            if feed is Feed.COLLECTD:
                what = f"{host}/jaild-{name}/{value.kind}"
                yield f'PUTVAL "{what}" {pace}{at:.3f}:{int(told * value.times)}'
            else:
                yield f"put {value.series} {at:.0f} {_number(told)} host={host} jail={name}"


def _is_known(jail: Any, field: str) -> bool:
    return not jail.DESCRIPTOR.fields_by_name[field].has_presence or bool(jail.HasField(field))


def _number(value: float) -> str:
    return str(value if isinstance(value, float) else int(value))  # a bool is a number, too
