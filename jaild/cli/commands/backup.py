"""`jailctl backup`: what is kept of jails elsewhere, and jails made of it again."""

from __future__ import annotations

import re

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import size
from jaild.v1 import backups_pb2, jails_pb2

TARGET = click.argument("target")


@click.group("backup", cls=Noun)
def command() -> None:
    """List, send and restore backups of jails."""


@command.command("targets", examples=("backup targets",))
@listed
@click.pass_obj
def targets(settings: Settings, *, look: Look) -> None:
    """List the targets that this host has in its configuration."""
    with connect(settings) as api:
        answer = api.backups.ListBackupTargets(backups_pb2.ListBackupTargetsRequest(), timeout=READ_SECONDS)
    listing.show(settings, look, "targets", list(answer.targets), _TARGETS)


@command.command("ls", examples=("backup ls vault", "backup ls vault cache"))
@TARGET
@click.argument("name", type=references.jail, required=False)
@listed
@click.pass_obj
def ls(settings: Settings, *, target: str, name: str | None, look: Look) -> None:
    """List the backups at a target, of a jail or of all, oldest first."""
    with connect(settings) as api:
        answer = api.backups.ListBackups(backups_pb2.ListBackupsRequest(target=target, jail=name or ""), timeout=120)
    listing.show(settings, look, "backups", list(answer.backups), _COLUMNS)


@command.command("send", examples=("backup send vault cache", "backup send vault cache --plan"))
@TARGET
@click.argument("name", type=references.jail, shell_complete=complete.jails)
@mutation()
@click.pass_obj
def send(settings: Settings, *, target: str, name: str, how: How) -> None:
    """Send a backup of a jail now."""
    request = backups_pb2.BackUpJailRequest(name=name, target=target, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.backups.BackUpJail(request), how)


@command.command(
    "restore",
    examples=("backup restore vault cache --plan", "backup restore vault cache --at 2d --as cache-2"),
)
@TARGET
@click.argument("name", type=references.jail)
@click.option("--at", default="", metavar="TIME|BACKUP", help="2d for so long ago, a time, or an id; else the newest.")
@click.option("--as", "jail_id", default="", metavar="NAME", help="What the new jail is called, if not as it was.")
@mutation()
@click.pass_obj
def restore(settings: Settings, *, target: str, name: str, at: str, jail_id: str, how: How) -> None:
    """Make a jail of a backup, stopped; base and release must be here."""
    restored(settings, target, name, at, jail_id, how)


def restored(settings: Settings, target: str, name: str, at: str, jail_id: str, how: How) -> None:
    """Have a jail made of a backup, and say how it went; `at` and `jail_id` as the options have them."""
    request = backups_pb2.RestoreBackupRequest(target=target, jail=name, jail_id=jail_id, **how.fields())
    if at.startswith("backup-"):
        request.backup = at
    elif at:
        request.time.FromMilliseconds(round(_moment(at) * 1000))
    with connect(settings) as api:
        finish(api, settings, api.backups.RestoreBackup(request), how)


_DAYS = re.compile(r"([0-9]{1,4})d")


def _moment(text: str) -> float:
    """Return a time, also of 2d for two days ago."""
    days = _DAYS.fullmatch(text)
    return references.moment(f"{int(days[1]) * 24}h" if days else text)


_TARGETS = (Column("TARGET", lambda each: each.name), Column("WHERE", lambda each: each.destination))
_COLUMNS = (
    Column("JAIL", lambda each: short(each.jail)),
    Column("BACKUP", lambda each: each.id),
    Column("AGE", lambda each: render.since(each.create_time)),
    Column("HOST", lambda each: each.host),
    Column("SIZE", lambda each: size(each.size_bytes) if each.size_bytes else "", wide=True),
    Column("BASE", lambda each: short(each.base), wide=True),
    Column("RELEASE", lambda each: short(each.release), wide=True),
    Column("UID", lambda each: each.uid, wide=True),
)


def status_lines(jail: jails_pb2.Jail) -> str:
    """Return how a jail's backups are, a line for each target."""
    return "\n".join(map(_line, jail.backups))


def _line(status: jails_pb2.BackupStatus) -> str:
    age = render.since(status.newest_time)
    told = f"{status.target}: {f'{age} old' if age else 'none known'}"
    return f"{told}; FAILING: {status.message}" if status.message else told
