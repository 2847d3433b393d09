"""`jailctl host`: the host itself."""

from __future__ import annotations

import click

from jaild.cli import render
from jaild.cli.connection import READ_SECONDS, connect, pages
from jaild.cli.human import duration, size
from jaild.cli.noun import Noun
from jaild.cli.settings import Form, Settings
from jaild.v1 import host_pb2


@click.group("host", cls=Noun)
def command() -> None:
    """Tell what the host is and can do, and who did what on it."""


@command.command("show")
@click.pass_obj
def show(settings: Settings) -> None:
    """Show the host: software, space, jails, peers, what recovery repaired."""
    with connect(settings) as api:
        host = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, host)
        return
    able = sorted(name for name, has in host.zfs_capabilities.items() if has)
    lacking = sorted(name for name, has in host.zfs_capabilities.items() if not has)
    render.card(
        (
            ("name", host.name),
            ("id", host.id),
            ("jaild", f"{host.version}, peer protocol {host.peer_protocol}"),
            ("started", render.moment(host.start_time)),
            ("ready after", duration(host.ready_seconds)),
            ("kernel", f"{host.kernel} {host.machine}"),
            ("osreldate", str(host.osreldate or "")),
            ("runtime", host.runtime),
            ("zfs", host.zfs),
            ("zfs can", ", ".join(able)),
            ("zfs cannot", ", ".join(lacking)),
            ("dataset", host.dataset),
            ("space", f"{size(host.used_bytes)} used, {size(host.available_bytes)} free"),
            ("jails", f"{host.jails}, {host.running} running"),
            ("peers", ", ".join(host.peers)),
            ("repaired", "\n".join(host.repairs)),
        )
    )


@command.command("audit", examples=("host audit -n 20", "host audit -n 0 -o json"))
@click.option("-n", "--lines", type=click.IntRange(min=0), default=50, help="At most so many; 0 for all.")
@click.pass_obj
def audit(settings: Settings, *, lines: int) -> None:
    """List who asked for what, newest first, with what was refused."""
    with connect(settings) as api:
        entries = pages(api.host.ListAuditEntries, host_pb2.ListAuditEntriesRequest(), "entries", lines)
    if settings.form is not Form.TABLE:
        render.document(settings.form, {"entries": [render.as_dict(entry) for entry in entries]})
        return
    render.table(
        ("NR", "WHEN", "WHO", "METHOD", "TARGET", "OUTCOME", "OPERATION"),
        [
            (
                str(entry.sequence),
                render.clock(entry.time),
                entry.actor,
                entry.method.removeprefix("jaild.v1."),
                entry.target,
                entry.outcome,
                entry.operation,
            )
            for entry in entries
        ],
    )
