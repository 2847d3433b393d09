"""`jailctl stats`: what jails use now."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Sequence
from typing import Any

import click
import grpc

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.selection import filtered, named
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import feeds, listing, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import from_rpc
from jaild.cli.output.feeds import Feed
from jaild.cli.output.human import duration
from jaild.cli.output.listing import Column, Look, listed
from jaild.cli.output.load import Loads
from jaild.cli.output.load import loads as loads_of
from jaild.model.quantity import size
from jaild.v1 import host_pb2, stats_pb2

_MEASURE = 1.0  # seconds
_PACE = "10"  # as collectd has it


@click.command(
    "stats",
    cls=Verb,
    feeds=[feed.value for feed in Feed],
    examples=(
        "stats",
        "stats cache web --interval 5",
        "stats --interval 0 -o json",
        "stats -o collectd --interval 10s",
        "stats -o opentsdb --interval 10s | nc tsd.example.com 4242",
    ),
)
@click.argument("names", nargs=-1, type=references.jail, shell_complete=complete.jails, metavar="[NAME]...")
@click.option(
    "--interval",
    type=references.seconds,
    metavar="TIME",
    help="Measure the CPU over so long where the system does not tell it itself, 1s if it is not said; 0: only its time"
    " since the start. collectd, opentsdb: measure so often, 10s or COLLECTD_INTERVAL if it is not said; 0: once.",
)
@filtered
@listed
@click.pass_obj
def command(settings: Settings, *, names: Sequence[str], wanted: str, interval: float | None, look: Look) -> None:
    """Print what jails use now: CPU, memory, processes, disk."""
    if names and wanted:
        raise click.UsageError("either name the jails, or choose them with --selector or --filter")
    if settings.feed:
        if wanted:
            raise click.UsageError(f"{settings.feed} has all jails, or those that are named")
        _feed(settings, Feed(settings.feed), names, interval)
        return
    interval = _MEASURE if interval is None else interval
    with connect(settings) as api:
        names = named(api, tuple(names), wanted) if wanted else names
        first = jails = _measure(api, names) if names or not wanted else []
        if interval and any(jail.HasField("cpu_seconds") and not jail.HasField("cpu_cores") for jail in first):
            time.sleep(interval)
            jails = _measure(api, names)
    loads = loads_of(first, jails)
    if settings.form is not Form.TABLE:
        rows = [render.as_dict(jail) | ({"cpuCores": loads[jail.name]} if jail.name in loads else {}) for jail in jails]
        render.document(settings.form, {"jails": rows})
        return
    listing.table(look, [row(jail, loads) for jail in jails], _COLUMNS)


def _feed(settings: Settings, feed: Feed, names: Sequence[str], interval: float | None) -> None:
    given = feed is Feed.COLLECTD
    host = os.environ.get("COLLECTD_HOSTNAME", "") if given else ""
    if interval is None:
        interval = (
            references.seconds(os.environ.get("COLLECTD_INTERVAL", _PACE)) if given else references.seconds(_PACE)
        )
    with connect(settings) as api:
        host = host or api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS).name
        due = time.monotonic()
        jails: Sequence[Any] = _measure(api, names)
        while True:
            click.echo(
                "".join(f"{line}\n" for jail in jails for line in feeds.lines(feed, host, interval, jail)), nl=False
            )
            if not interval:
                return
            now = time.monotonic()
            due = max(due + interval, now)  # what came too late is not made up for
            time.sleep(due - now)
            jails = _measured_anyhow(settings, api, names)


def _measured_anyhow(settings: Settings, api: Api, names: Sequence[str]) -> Sequence[Any]:
    """Measure; say on stderr that the daemon is away, and return nothing."""
    try:
        return _measure(api, names)
    except grpc.RpcError as error:
        failure = from_rpc(error, settings.endpoint)
        if failure.exit_code != Exit.UNAVAILABLE:
            raise
        click.echo(f"{failure.message}; trying again", err=True)
        return []


def _measure(api: Api, names: Sequence[str]) -> list[Any]:
    answer = api.stats.ListJailStats(stats_pb2.ListJailStatsRequest(names=names), timeout=READ_SECONDS)
    return list(answer.jails)


def row(jail: Any, loads: Loads) -> tuple[str, ...]:
    """Return what is shown of a jail, column by column."""
    disk, note = size(jail.disk_bytes), jail.message
    data = _of(size(jail.data_bytes), size(jail.data_quota_bytes) if jail.HasField("data_quota_bytes") else "")
    if not jail.HasField("cpu_seconds"):
        return (short(jail.name), "", "", "", "", data, disk, "", "", "", "", "", note or "not running")
    load = f"{loads[jail.name] * 100:.0f}%" if jail.name in loads else ""
    if not note and jail.sample_time.ToNanoseconds() - jail.start_time.ToNanoseconds() < jail.max_age_seconds * 1e9:
        note = "started just now: its host has not counted CPU and memory yet"
    return (
        short(jail.name),
        _of(load, f"{jail.cpu_limit * 100:.0f}%" if jail.HasField("cpu_limit") else "") if load else "",
        duration(jail.cpu_seconds),
        _of(size(jail.memory_bytes), size(jail.memory_limit_bytes) if jail.HasField("memory_limit_bytes") else ""),
        _of(str(jail.processes), str(jail.processes_limit) if jail.HasField("processes_limit") else ""),
        data,
        disk,
        *(f"{size(getattr(jail, field))}/s" if jail.HasField(field) else "" for field in _RATES),
        *(size(getattr(jail, field)) if jail.HasField(field) else "" for field in _CARRIED),
        render.since(jail.start_time),
        note,
    )


def _of(used: str, limit: str) -> str:
    return f"{used} of {limit}" if limit else used


_RATES = ("read_bytes_per_second", "write_bytes_per_second")
_CARRIED = ("received_bytes", "sent_bytes")
_MORE = ("READ", "WRITE", "RECEIVED", "SENT")
_HEADS = ("NAME", "CPU", "CPU-TIME", "MEMORY", "PROCESSES", "DATA", "DISK", *_MORE, "UP", "NOTE")
_WIDE = {"CPU-TIME", "DISK", *_MORE}
_COLUMNS = tuple(
    Column(head, operator.itemgetter(number), wide=head in _WIDE, prose=head == "NOTE")
    for number, head in enumerate(_HEADS)
)
