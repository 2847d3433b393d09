"""`jailctl host`: the host itself."""

from __future__ import annotations

import click

from jaild.cli.client import references
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.everywhere import ask_all
from jaild.cli.client.mutation import How, finish, mutation, planning
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.commands import evacuation
from jaild.cli.output import listing, render
from jaild.cli.output.human import duration
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import count, size
from jaild.v1 import host_pb2


@click.group("host", cls=Noun)
def command() -> None:
    """Tell what the host is, and who did what on it; drain and evacuate it."""


@command.command("show", examples=("host show", "host show -o json"))
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
            ("to fix", "\n".join(host.warnings)),
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
            ("drained", _drained(host)),
            (
                "shut down",
                "its jails were stopped for its shutdown; `jailctl host start-jails` ends that"
                if host.shut_down
                else "",
            ),
            ("peers", ", ".join(host.peers)),
            ("metrics", host.metrics_url),
            ("repaired", "\n".join(host.repairs)),
            ("background", count(host.background_tasks, "task") if host.background_tasks else ""),
            ("failing", "\n".join(map(_failing, host.failing_tasks))),
        )
    )


@command.command("ls", examples=("host ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List the hosts of all contexts, with those that do not answer."""
    found, silent = ask_all(settings, lambda api: api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS))
    if settings.form is not Form.TABLE:
        hosts = [{"context": name, "host": render.as_dict(host)} for name, host in found]
        errors = [{"context": name, "error": failure.message} for name, failure in silent]
        render.document(settings.form, {"hosts": hosts, "unreachable": errors})
        return
    away = [(name, host_pb2.HostInfo(warnings=[failure.message])) for name, failure in silent]
    listing.table(look, [*found, *away], _HOSTS)


for _verb in evacuation.VERBS:
    command.add_command(_verb)


@command.command("audit", examples=("host audit -n 20", "host audit -n 0 -o json"))
@click.option("-n", "--lines", type=references.LINES, default=50, help="At most so many; all for all (default: 50).")
@listed
@click.pass_obj
def audit(settings: Settings, *, lines: int | None, look: Look) -> None:
    """List who asked for what, newest first, with what was refused."""
    with connect(settings) as api:
        entries = pages(api.host.ListAuditEntries, host_pb2.ListAuditEntriesRequest(), "entries", lines or 0)
    listing.show(settings, look, "entries", entries, _AUDIT)


@command.command("reload", examples=("host reload", "host reload --plan"))
@planning
@click.pass_obj
def reload(settings: Settings, *, plan: bool) -> None:
    """Read the configuration again: grants, peers and certificates count at once.

    Of all other settings it says that they wait for a restart. A bad file is refused, and changes nothing.
    """
    with connect(settings) as api:
        done = api.host.ReloadConfiguration(host_pb2.ReloadConfigurationRequest(validate_only=plan))
    if settings.form is not Form.TABLE:
        render.document(settings.form, done)
        return
    changed = "would change" if plan else "changed"
    render.card(
        ((changed, "\n".join(done.applied) or "nothing"), ("after a restart only", "\n".join(done.needs_restart)))
    )


@command.command("start-jails", examples=("host start-jails", "host start-jails --plan"))
@click.option(
    "--daemon-wait",
    type=references.seconds,
    default="0s",
    metavar="TIME",
    help="The daemon may be starting: wait so long for it.",
)
@mutation()
@click.pass_obj
def start_jails(settings: Settings, *, daemon_wait: float, how: How) -> None:
    """Start all jails that should run, lower boot order first; also after stop-jails."""
    request = host_pb2.StartJailsRequest(**how.fields())
    with connect(settings) as api:
        operation = api.host.StartJails(request, wait_for_ready=daemon_wait > 0, timeout=daemon_wait + READ_SECONDS)
        finish(api, settings, operation, how)


@command.command("stop-jails", examples=("host stop-jails --deadline 75s", "host stop-jails --plan"))
@click.option("--deadline", type=references.seconds, default="60s", metavar="TIME", help="How long it may take in all.")
@mutation()
@click.pass_obj
def stop_jails(settings: Settings, *, deadline: float, how: How) -> None:
    """Stop all jails for the host's shutdown, in reverse boot order; its next boot starts them again.

    Until then, or until start-jails, nothing is changed on the host. What each jail should be stays as it is.
    """
    request = host_pb2.StopJailsRequest(**how.fields())
    request.deadline.FromMilliseconds(round(deadline * 1000))
    with connect(settings) as api:
        finish(api, settings, api.host.StopJails(request), how)


def _failing(task: host_pb2.FailingTask) -> str:
    return f"{task.name} (since {render.moment(task.since)}, {count(task.failures, 'time')}): {task.error}"


def _drained(host: host_pb2.HostInfo) -> str:
    if not host.HasField("drain"):
        return ""
    why = f": {host.drain.reason}" if host.drain.reason else ""
    return f"takes no jails since {render.moment(host.drain.since)}, by {host.drain.actor}{why}"


def _outcome(entry: host_pb2.AuditEntry) -> str:
    """Return OK, the reason that it was refused for, or a command's EXIT and status."""
    code, _, reason = entry.outcome.partition(" ")
    return entry.outcome if code == "EXIT" else reason or code


_HOSTS = (
    Column("CONTEXT", lambda row: row[0]),
    Column("HOST", lambda row: row[1].name),
    Column("STATE", lambda row: "drained" if row[1].HasField("drain") else "up" if row[1].name else "unreachable"),
    Column("JAILS", lambda row: str(row[1].jails) if row[1].name else ""),
    Column("RUNNING", lambda row: str(row[1].running) if row[1].name else ""),
    Column("FREE", lambda row: size(row[1].available_bytes) if row[1].name else ""),
    Column("JAILD", lambda row: row[1].version),
    Column("ZFS", lambda row: row[1].zfs, wide=True),
    Column("KERNEL", lambda row: f"{row[1].kernel} {row[1].machine}".strip(), wide=True),
    Column("NOTE", lambda row: "; ".join(row[1].warnings), prose=True),
)
_AUDIT = (
    Column("NR", lambda entry: str(entry.sequence), wide=True),
    Column("WHEN", lambda entry: render.local(entry.time)),
    Column("WHO", lambda entry: entry.actor),
    Column("METHOD", lambda entry: entry.method.rpartition("/")[2]),
    Column("TARGET", lambda entry: entry.target),
    Column("OUTCOME", _outcome),
    Column("CODE", lambda entry: entry.outcome.partition(" ")[0], wide=True),
    Column("SERVICE", lambda entry: entry.method.removeprefix("jaild.v1.").partition("/")[0], wide=True),
    Column("OPERATION", lambda entry: short(entry.operation), wide=True, is_id=True),
)
