"""`jailctl jail`: the workloads; their life here, their changes and insides in modules of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect, pages
from jaild.cli.client.everywhere import ask_all
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.selection import filtered
from jaild.cli.client.settings import Form, Settings
from jaild.cli.commands import (
    backup,
    jail_adopt,
    jail_changes,
    jail_copies,
    jail_cp,
    jail_exec,
    jail_inside,
    jail_keys,
    jail_life,
    jail_past,
    jail_recovery,
    jail_snapshots,
)
from jaild.cli.output import listing, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import printable
from jaild.cli.output.listing import SHORTEST, Column, Look, listed
from jaild.model.jails.redaction import REDACTED
from jaild.model.quantity import count, size
from jaild.v1 import jails_pb2

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


@click.group("jail", cls=Noun)
def command() -> None:
    """Create, run, change, migrate and look into jails."""


@command.command(
    "create",
    examples=(
        "jail create cache -f cache.yaml",
        "jail create look --template base-only --set base=debian-12",
        "jail create cache -f cache.yaml --plan",
    ),
)
@click.argument("name", type=references.jail)
@click.option(
    "-f", "--file", type=references.TextFile(), help="The spec, in YAML (jailctl explain spec); `-` for stdin."
)
@click.option(
    "--template", metavar="NAME", shell_complete=complete.templates, help="A template on the daemon's host instead."
)
@click.option("--set", "values", type=references.pair, multiple=True, metavar="KEY=VALUE", help="Fill in ${KEY}.")
@click.option("--stopped", is_flag=True, help="Create it without starting it.")
@mutation(acceptable=True)
@click.pass_obj
def create(
    settings: Settings,
    *,
    name: str,
    file: IO[str] | None,
    template: str | None,
    values: tuple[tuple[str, str], ...],
    stopped: bool,
    how: How,
) -> None:
    """Create a jail from a spec or a template, and start it."""
    request = jails_pb2.CreateJailRequest(
        jail_id=short(name), spec=_source(file, template, values), stopped=stopped, **how.fields()
    )
    with connect(settings) as api:
        finish(api, settings, api.jails.CreateJail(request), how)


@command.command(
    "ls", examples=("jail ls", "jail ls -l team=cdn --columns name,state", "jail ls --filter 'NOT state = running'")
)
@filtered
@click.option("-A", "--all-contexts", "everywhere", is_flag=True, help="On the hosts of all contexts.")
@listed
@click.pass_obj
def ls(settings: Settings, *, wanted: str, everywhere: bool, look: Look) -> None:
    """List jails."""

    def question(api: Api) -> list[Any]:
        return pages(api.jails.ListJails, jails_pb2.ListJailsRequest(filter=wanted), "jails")

    if everywhere:
        _everywhere(settings, look, question)
        return
    with connect(settings) as api:
        jails = question(api)
    listing.show(settings, look, "jails", jails, _COLUMNS)


@command.command("show", examples=("jail show cache", "jail show cache -o json"))
@NAME
@click.option("--secrets", is_flag=True, help="Show the environment's values, too, as far as you may see them.")
@click.pass_obj
def show(settings: Settings, *, name: str, secrets: bool) -> None:
    """Show a jail and its spec; its environment's values in -o json and -o yaml, or with --secrets."""
    with connect(settings) as api:
        jail = api.jails.GetJail(jails_pb2.GetJailRequest(name=name), timeout=READ_SECONDS)
        key = jail_keys.status_line(api, jail) if settings.form is Form.TABLE else ""
    if settings.form is not Form.TABLE:
        render.document(settings.form, jail)
        return
    if not secrets:  # a terminal has onlookers, and a log keeps what it was told
        for key in jail.spec.environment:
            jail.spec.environment[key] = REDACTED
    render.card(
        (
            ("name", short(jail.name)),
            ("state", _state(jail)),
            ("health", _health(jail)),
            ("last failure", jail.health.output),
            ("restarts", _restarts(jail)),
            ("message", jail.message),
            ("exit status", str(jail.exit_status) if jail.HasField("exit_status") else ""),
            ("operation", jail.operation),
            ("generation", str(jail.generation or "")),
            ("base", short(jail.base)),
            ("channel", _channel(jail)),
            ("release", short(jail.release)),
            ("staged", _staged(jail)),
            ("owner", f"{jail.owner}, epoch {jail.epoch}"),
            ("peer", jail.peer),
            ("standby", jail_recovery.standby_lines(jail)),
            ("key", key),
            ("snapshots", jail_snapshots.status_line(jail)),
            ("backups", backup.status_lines(jail)),
            ("created", render.moment(jail.create_time)),
            ("started", render.moment(jail.start_time)),
            ("used", size(jail.used_bytes)),
            ("uid", jail.uid),
            ("etag", jail.etag),
            ("spec", render.plain(jail.spec)),
        )
    )


for _room in (
    jail_adopt,
    jail_life,
    jail_exec,
    jail_cp,
    jail_inside,
    jail_keys,
    jail_changes,
    jail_copies,
    jail_past,
    jail_recovery,
    jail_snapshots,
):
    for _verb in _room.VERBS:
        command.add_command(_verb)


def _source(file: IO[str] | None, template: str | None, values: tuple[tuple[str, str], ...]) -> Any:
    if (file is None) == (template is None):
        raise click.UsageError("give the spec with -f FILE, or a template with --template NAME")
    if file is not None:
        if values:
            raise click.UsageError("--set fills in a template; a file is taken as it is")
        return jails_pb2.SpecSource(yaml=file.read())
    return jails_pb2.SpecSource(template=jails_pb2.Template(name=template, values=dict(values)))


def _state(jail: jails_pb2.Jail) -> str:
    return render.word_of(jails_pb2.Jail.State, jail.state)


def _health_word(jail: jails_pb2.Jail) -> str:
    if not jail.HasField("health"):
        return ""
    return render.word_of(jails_pb2.HealthStatus.State, jail.health.state)


def _health(jail: jails_pb2.Jail) -> str:
    health = jail.health
    parts = [_health_word(jail), f"since {render.moment(health.since)}" if health.HasField("since") else ""]
    parts += [f"failures in a row: {health.failures}" if health.failures else ""]
    parts += [f"flaps: {health.flaps}" if health.flaps else ""]
    return ", ".join(filter(None, parts))


def _restarts(jail: jails_pb2.Jail) -> str:
    if not jail.HasField("restarts"):
        return ""
    told = f"ends of late: {jail.restarts.ends}, the last {render.moment(jail.restarts.last_end_time)}"
    due = jail.restarts.next_start_time
    return f"{told}; starts again at {render.clock(due)}" if jail.restarts.HasField("next_start_time") else told


def _channel(jail: jails_pb2.Jail) -> str:
    return jail.spec.channel + (f", behind: it is {short(jail.behind)} now" if jail.behind else "")


def _staged(jail: jails_pb2.Jail) -> str:
    if not jail.HasField("staged"):
        return ""
    staged = jail.staged
    layers = f"{short(staged.base)} {short(staged.release)}".rstrip()
    told = f"generation {staged.generation}, {staged.reason} by {staged.actor}: {layers}"
    windows = ", ".join(jail.spec.maintenance)
    when = f"no window tries it again: {staged.failure}" if staged.failure else f"by itself in {windows}"
    return f"{told}; {when}" if windows or staged.failure else told


def _everywhere(settings: Settings, look: Look, question: Callable[[Api], list[Any]]) -> None:
    """Print the jails of all contexts; one whose daemon does not answer is told, and is the exit status."""
    found, silent = ask_all(settings, question)
    if settings.form is Form.TABLE:
        rows = [(name, jail) for name, jails in found for jail in jails]
        listing.table(look, rows, of_all_contexts())
    else:
        jails = [{"context": name, **render.as_dict(jail)} for name, jails in found for jail in jails]
        render.document(settings.form, {"jails": jails})
    for name, failure in silent:
        click.echo(f"{name}: {printable(failure.message)}", err=True)
    if silent:
        raise Failure(f"{len(silent)} of {count(len(found) + len(silent), 'host')} did not answer", Exit.UNAVAILABLE)


def of_all_contexts() -> list[Column]:
    """Return the columns of a list of jails with their contexts, of which each row is a pair of."""
    *own, note = [
        replace(column, cell=lambda row, cell=column.cell: cell(row[1]), wide=column.wide or column.name in _OF_ONE)  # type: ignore[misc]
        for column in _COLUMNS
    ]
    sick = replace(note, cell=lambda row: "unhealthy" if _health_word(row[1]) == "unhealthy" else note.cell(row))
    return [Column("CONTEXT", lambda row: row[0]), *own, sick]


def _note(jail: jails_pb2.Jail) -> str:
    peer = f"peer {jail.peer}" if jail.peer else ""
    staged = f"generation {jail.staged.generation} is staged" if jail.HasField("staged") else ""
    behind = f"behind {jail.spec.channel} ({short(jail.behind)})" if jail.behind else ""
    under_way = f"operation {short(jail.operation)[:SHORTEST]}" if jail.operation else ""
    return jail.message or under_way or jail_recovery.standby_note(jail) or peer or staged or behind


_OF_ONE = {"HEALTH", "UP"}  # columns that beside a context there is no room for
_COLUMNS = (
    Column("NAME", lambda jail: short(jail.name)),
    Column("STATE", _state),
    Column("HEALTH", _health_word),
    Column("BASE", lambda jail: short(jail.base)),
    Column("RELEASE", lambda jail: short(jail.release)),
    Column("UP", lambda jail: render.since(jail.start_time)),
    Column("GEN", lambda jail: str(jail.generation or ""), wide=True),
    Column("ADDRESS", lambda jail: " ".join(jail.spec.network.addresses), wide=True),
    Column("USED", lambda jail: size(jail.used_bytes), wide=True),
    Column("OWNER", lambda jail: jail.owner, wide=True),
    Column("CHANNEL", lambda jail: jail.spec.channel, wide=True),
    Column(
        "LABELS", lambda jail: ",".join(f"{key}={value}" for key, value in sorted(jail.spec.labels.items())), wide=True
    ),
    Column("NOTE", _note, prose=True),
)
