"""What was done with a jail: its history, and what differs between two of its generations."""

from __future__ import annotations

from typing import Any

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import comparison, listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.v1 import contents_pb2, histories_pb2

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


@click.command("history", cls=Verb, examples=("jail history cache", "jail history cache -n 0 -o json"))
@NAME
@click.option("-n", "--lines", type=click.IntRange(0, references.MOST), default=50, help="At most so many; 0 for all.")
@listed
@click.pass_obj
def history(settings: Settings, *, name: str, lines: int, look: Look) -> None:
    """List what was done with a jail, by whom, how it ended and how long it was down; newest first."""
    with connect(settings) as api:
        request = histories_pb2.ListJailHistoryRequest(parent=name)
        found = pages(api.histories.ListJailHistory, request, "entries", lines)
    listing.show(settings, look, "entries", found, _COLUMNS)


@click.command("diff", cls=Verb, examples=("jail diff cache", "jail diff cache 3", "jail diff cache 3 5 -o json"))
@NAME
@click.argument("before", type=click.IntRange(1, references.MOST), required=False, metavar="[GENERATION]")
@click.argument("after", type=click.IntRange(1, references.MOST), required=False, metavar="[GENERATION]")
@click.pass_obj
def diff(settings: Settings, *, name: str, before: int | None, after: int | None) -> None:
    """Print what differs between two generations: by default the one before and the active one.

    Spec, packages, shared libraries, files of the release, and /etc as a unified diff. The later one's /etc is as it is
    now: what the jail itself has written is in it.
    """
    request = contents_pb2.CompareGenerationsRequest(name=name, to=after, **{"from": before})
    with connect(settings) as api:
        found = api.contents.CompareGenerations(request, timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, found)
        return
    click.echo("\n".join(comparison.lines(name, found)))


def _note(entry: Any) -> str:
    if entry.message:
        return str(entry.message)
    moved = f"{entry.source} to {entry.target}" if entry.source else ""
    layers = " ".join(filter(None, (short(entry.base), short(entry.release))))
    return moved or layers


def _generations(entry: Any) -> str:
    before, after = entry.from_generation, entry.to_generation
    return f"{before} to {after}" if before and after and before != after else str(after or "")


_COLUMNS = (
    Column("WHEN", lambda entry: render.local(entry.time)),
    Column("KIND", lambda entry: entry.kind),
    Column("BY", lambda entry: entry.actor),
    Column("RESULT", lambda entry: entry.outcome),
    Column("GEN", _generations, wide=True),
    Column("DOWNTIME", lambda entry: render.span(entry.downtime) if entry.HasField("downtime") else ""),
    Column("PREDICTED", render.predicted, wide=True),
    Column("OPERATION", lambda entry: short(entry.operation), is_id=True, wide=True),
    Column("REQUEST", lambda entry: entry.request_id, wide=True),
    Column("NOTE", _note, prose=True),
)
VERBS = (history, diff)
