"""What was done with a jail: its history, and what differs between two of its generations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect, pages
from jaild.cli.client.everywhere import ask_all
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import comparison, listing, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import printable
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import count
from jaild.v1 import contents_pb2, histories_pb2

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


@click.command(
    "history", cls=Verb, examples=("jail history cache", "jail history cache -A", "jail history cache -o json")
)
@NAME
@click.option("-n", "--lines", type=click.IntRange(0, references.MOST), default=50, help="At most so many; 0 for all.")
@click.option("-A", "--all-contexts", "everywhere", is_flag=True, help="From the hosts of all contexts, in one list.")
@listed
@click.pass_obj
def history(settings: Settings, *, name: str, lines: int, everywhere: bool, look: Look) -> None:
    """List what was done with a jail, by whom, how it ended and how long it was down; newest first."""

    def question(api: Api) -> list[Any]:
        request = histories_pb2.ListJailHistoryRequest(parent=name)
        return pages(api.histories.ListJailHistory, request, "entries", lines)

    if everywhere:
        _everywhere(settings, look, question, lines)
        return
    with connect(settings) as api:
        found = question(api)
    listing.show(settings, look, "entries", found, _COLUMNS)


def _everywhere(settings: Settings, look: Look, question: Callable[[Api], list[Any]], lines: int) -> None:
    """Print what all hosts tell, each thing once; a host that knows nothing of the jail is none that is silent."""
    found, failed = ask_all(settings, question)
    silent = [(name, failure) for name, failure in failed if failure.exit_code != Exit.NOT_FOUND]
    if not found and not silent:
        raise failed[0][1]
    rows = merged([(name, entry) for name, entries in found for entry in entries])[: lines or None]
    if settings.form is Form.TABLE:
        own = [replace(column, cell=lambda row, cell=column.cell: cell(row[1])) for column in _COLUMNS]  # type: ignore[misc]
        listing.table(look, rows, [Column("CONTEXT", lambda row: row[0]), *own])
    else:
        render.document(settings.form, {"entries": [{"context": name, **render.as_dict(each)} for name, each in rows]})
    for name, failure in silent:
        click.echo(f"{name}: {printable(failure.message)}", err=True)
    if silent:
        raise Failure(f"{count(len(silent), 'host')} did not answer", Exit.UNAVAILABLE)


def merged(rows: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return entries of several hosts, newest first: of one that two tell of, that of the host that did it.

    A move is told of by both hosts, and a generation by each that the jail came to.
    """
    told = {_result(entry) for _, entry in rows if entry.operation}  # that host has the operation
    kept = []
    for name, entry in rows:
        result = _result(entry)
        if result is None or entry.operation or result not in told:
            kept.append((name, entry))
            told.add(result)
    return sorted(kept, key=lambda row: row[1].time.ToNanoseconds(), reverse=True)


def _result(entry: Any) -> tuple[object, ...] | None:
    """Return what came of it, by which two hosts tell of the same thing; None if nothing did."""
    if entry.migration:
        return entry.kind, entry.migration
    return (entry.kind, entry.to_generation, entry.base, entry.release) if entry.to_generation else None


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
