"""`jailctl operation`: long-running changes, under way and past."""

from __future__ import annotations

from typing import Any

import click
from google.longrunning import operations_pb2
from google.rpc import code_pb2

from jaild.cli.client import complete, references
from jaild.cli.client.connection import connect, pages
from jaild.cli.client.mutation import facts, tell
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.waiting import Backoff, Waiter, cancel, get, metadata
from jaild.cli.output import listing, problems, progress, render
from jaild.cli.output.failures import reason
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import size
from jaild.v1 import common_pb2

_AS_MEANT = frozenset({common_pb2.PHASE_OUTCOME_UNSPECIFIED, common_pb2.PHASE_OUTCOME_DONE})
NAME = click.argument("name", type=references.operation, shell_complete=complete.operations)


@click.group("operation", cls=Noun)
def command() -> None:
    """List, watch and cancel long-running changes."""


@command.command("ls", examples=("operation ls", "operation ls -o json"))
@click.option("-n", "--lines", type=references.LINES, default=50, help="At most so many; all for all (default: 50).")
@listed
@click.pass_obj
def ls(settings: Settings, *, lines: int | None, look: Look) -> None:
    """List operations."""
    with connect(settings) as api:
        request = operations_pb2.ListOperationsRequest(name="operations")
        found = pages(api.operations.ListOperations, request, "operations", lines or 0)
    listing.show(settings, look, "operations", found, _COLUMNS)


@command.command("show", examples=("operation show 7d4110f3",))
@NAME
@click.pass_obj
def show(settings: Settings, *, name: str) -> None:
    """Show an operation: how far it is, or how it ended."""
    with connect(settings) as api:
        operation = get(api, name)
    if settings.form is not Form.TABLE:
        render.document(settings.form, operation)
        return
    about = metadata(operation)
    render.card(
        (
            ("name", short(operation.name)),
            ("kind", about.kind),
            ("target", about.target),
            ("result", _result(operation)),
            ("error", operation.error.message),
            ("phase", about.phase),
            ("phases", "\n".join(_phases(about))),
            ("message", about.message),
            ("by", about.actor),
            ("request id", about.request_id),
            ("accepted", render.moment(about.create_time)),
            ("changed", render.moment(about.update_time)),
            ("bytes", _bytes(about.bytes_done, about.bytes_total)),
            ("predicted", render.predicted(about)),
            ("downtime", render.span(about.downtime) if about.HasField("downtime") else ""),
            ("rounds", str(about.rounds or "")),
            ("facts", "\n".join(facts(about))),
        )
    )
    if about.HasField("plan"):
        click.echo("\n".join(problems.plan_lines(about.plan)))


@command.command("wait", examples=("operation wait 7d4110f3",))
@NAME
@click.pass_obj
def wait(settings: Settings, *, name: str) -> None:
    """Wait for an operation and end with its status; Ctrl-C asks to cancel it."""
    with connect(settings) as api:
        operation = get(api, name)
        with progress.shown() as view:
            operation = Waiter(api, view, Backoff(api)).wait(operation)
    tell(settings, operation)


@command.command("cancel", examples=("operation cancel 7d4110f3",))
@NAME
@click.pass_obj
def cancel_(settings: Settings, *, name: str) -> None:
    """Ask for an operation to be cancelled; refused where it cannot go back."""
    with connect(settings) as api:
        cancel(api, name)
        operation = get(api, name)
    if settings.form is not Form.TABLE:
        render.document(settings.form, operation)
        return
    click.echo(f"asked to cancel {short(name)}; to see how it ends: jailctl operation wait {short(name)}", err=True)


def _phases(about: Any) -> list[str]:
    """Return a line for each phase that it has gone through: its name, how long it took, how it came out."""
    lines = []
    for phase in about.phases:
        took = render.span(phase.duration) if phase.HasField("duration") else "under way"
        outcome = "" if phase.outcome in _AS_MEANT else render.word_of(common_pb2.PhaseOutcome, phase.outcome)
        lines.append(" ".join(filter(None, (phase.name, took, outcome))))
    return lines


def _note(operation: Any) -> str:
    return operation.error.message or ("" if operation.done else metadata(operation).message)


def _result(operation: Any) -> str:
    if not operation.done:
        return "working"
    if not operation.HasField("error"):
        return "done"
    return reason(operation.error) or str(code_pb2.Code.Name(operation.error.code))


def _bytes(done: int, total: int) -> str:
    if not done and not total:
        return ""
    return f"{size(done)} of {size(total)}" if total else size(done)


_COLUMNS = (
    Column("ID", lambda operation: short(operation.name), is_id=True),
    Column("KIND", lambda operation: metadata(operation).kind),
    Column("TARGET", lambda operation: short(metadata(operation).target)),
    Column("RESULT", _result),
    Column("PHASE", lambda operation: "" if operation.done else metadata(operation).phase),
    Column("BY", lambda operation: metadata(operation).actor, wide=True),
    Column("AGE", lambda operation: render.since(metadata(operation).create_time)),
    Column("NOTE", _note, prose=True),
)
