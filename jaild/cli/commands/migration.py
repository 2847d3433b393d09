"""`jailctl migration`: moves between hosts, as this host saw them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.mutation import How, finish, mutation, planning, tell_plan
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.human import printable
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import size
from jaild.v1 import migrations_pb2

_BAR = 30  # characters of the longest bar


@click.group("migration", cls=Noun)
def command() -> None:
    """Look at moves between hosts; free what they left."""


@command.command("ls", examples=("migration ls",))
@click.option("-n", "--lines", type=references.LINES, default=50, help="At most so many; all for all (default: 50).")
@listed
@click.pass_obj
def ls(settings: Settings, *, lines: int | None, look: Look) -> None:
    """List migrations, newest first."""
    with connect(settings) as api:
        request = migrations_pb2.ListMigrationsRequest()
        found = pages(api.migrations.ListMigrations, request, "migrations", lines or 0)
    listing.show(settings, look, "migrations", found, _COLUMNS)


@command.command("show", examples=("migration show 2e7800fd",))
@click.argument("name", type=references.migration, shell_complete=complete.migrations)
@click.pass_obj
def show(settings: Settings, *, name: str) -> None:
    """Show a migration."""
    with connect(settings) as api:
        request = migrations_pb2.GetMigrationRequest(name=name)
        migration = api.migrations.GetMigration(request, timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, migration)
        return
    render.card(
        (
            ("name", short(migration.name)),
            ("jail", short(migration.jail)),
            ("from", migration.source),
            ("to", migration.target),
            ("this host", "the source" if migration.outgoing else "the target"),
            ("phase", migration.phase),
            ("message", migration.message),
            ("began", render.moment(migration.create_time)),
            ("changed", render.moment(migration.update_time)),
            ("cap", f"{size(migration.bandwidth)}/s" if migration.bandwidth else ""),
            ("sent", size(migration.bytes) if migration.bytes else ""),
            ("rounds", str(migration.rounds or "")),
            ("downtime", _downtime(migration)),
            ("made of", _parts(migration.downtime_parts)),
            ("predicted", render.predicted(migration)),
            ("epoch", str(migration.epoch)),
        )
    )


@command.command("stats", examples=("migration stats",))
@click.pass_obj
def stats(settings: Settings) -> None:
    """Show how long jails were down when they moved from this host, and how well that was predicted."""
    with connect(settings) as api:
        request = migrations_pb2.GetMigrationStatsRequest()
        found = api.migrations.GetMigrationStats(request, timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, found)
        return
    render.card(
        (
            ("moved", str(found.moved)),
            ("aborted", str(found.aborted)),
            ("stopped in vain", str(found.thaws)),
            ("median downtime", render.span(found.median_downtime) if found.HasField("median_downtime") else ""),
            ("longest downtime", render.span(found.longest_downtime) if found.HasField("longest_downtime") else ""),
        )
    )
    for title, buckets in (("DOWNTIME", found.downtimes), ("LONGER THAN PREDICTED", found.errors)):
        if any(bucket.count for bucket in buckets):
            click.echo()
            render.table((title, "MIGRATIONS", ""), _bars(buckets), nothing="")


def _bars(buckets: Sequence[migrations_pb2.MigrationStats.Bucket]) -> list[tuple[str, str, str]]:
    """Return a row for each bucket, without the empty ones at both ends."""
    full = [number for number, bucket in enumerate(buckets) if bucket.count]
    most = max(bucket.count for bucket in buckets)
    return [
        (
            _between(buckets, number),
            str(buckets[number].count),
            "#" * -(-_BAR * buckets[number].count // most),
        )
        for number in range(full[0], full[-1] + 1)
    ]


def _between(buckets: Sequence[migrations_pb2.MigrationStats.Bucket], number: int) -> str:
    low = f"{render.seconds(buckets[number - 1].below):g}" if number else ""
    high = f"{render.seconds(buckets[number].below):g}" if buckets[number].HasField("below") else ""
    if not low:
        return f"below {high} s"
    return f"{low} to {high} s" if high else f"{low} s and more"


@command.command("cap", examples=("migration cap 2e7800fd 20M", "migration cap 2e7800fd 0"))
@click.argument("name", type=references.migration, shell_complete=complete.migrations)
@click.argument("rate", type=references.rate)
@planning
@click.pass_obj
def cap(settings: Settings, *, name: str, rate: int, plan: bool) -> None:
    """Let a migration that is under way send so many bytes per second, on its source; 0 for no cap."""
    with connect(settings) as api:
        request = migrations_pb2.SetMigrationBandwidthRequest(name=name, bandwidth=rate, validate_only=plan)
        migration = api.migrations.SetMigrationBandwidth(request, timeout=READ_SECONDS)
    to = f"{size(rate)} per second" if rate else "as much as there is"
    if plan:
        tell_plan(settings, "cap", migration.jail, f"let its migration to {printable(migration.target)} send {to}")
    elif settings.form is not Form.TABLE:
        render.document(settings.form, migration)
    else:
        click.echo(printable(f"{short(migration.jail)} is sent to {migration.target} with {to}"))


@command.command("finalize", examples=("migration finalize 2e7800fd",))
@click.argument("name", type=references.migration, shell_complete=complete.migrations)
@mutation()
@click.pass_obj
def finalize(settings: Settings, *, name: str, how: How) -> None:
    """Free the source's copy of a jail that moved away; moving back is a full copy after that."""
    request = migrations_pb2.FinalizeMigrationRequest(name=name, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.migrations.FinalizeMigration(request), how)


def _parts(parts: migrations_pb2.DowntimeParts) -> str:
    serving = ("before_stop", "readiness", "after_start")  # the jail runs meanwhile: no parts of the downtime
    told = [f"{part.name} {render.span(value)}" for part, value in parts.ListFields() if part.name not in serving]
    if parts.HasField("before_stop"):
        told.insert(0, f"after before_stop {render.span(parts.before_stop)}")
    told += [f"then {name} {render.span(getattr(parts, name))}" for name in serving[1:] if parts.HasField(name)]
    return ", ".join(told)


def _downtime(migration: migrations_pb2.Migration) -> str:
    return render.span(migration.downtime) if migration.HasField("downtime") else ""


_COLUMNS = (
    Column("ID", lambda migration: short(migration.name), is_id=True),
    Column("JAIL", lambda migration: short(migration.jail)),
    Column("FROM", lambda migration: migration.source),
    Column("TO", lambda migration: migration.target),
    Column("PHASE", lambda migration: migration.phase),
    Column("SENT", lambda migration: size(migration.bytes) if migration.bytes else "", wide=True),
    Column("ROUNDS", lambda migration: str(migration.rounds or ""), wide=True),
    Column("DOWNTIME", _downtime),
    Column("PREDICTED", render.predicted, wide=True),
    Column("AGE", lambda migration: render.since(migration.create_time)),
    Column("NOTE", lambda migration: migration.message, prose=True),
)
