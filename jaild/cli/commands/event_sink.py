"""`jailctl event-sink`: where events are sent to, and those that were not taken there."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.mutation import planning, tell_plan
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.human import printable
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import count
from jaild.v1 import event_sinks_pb2

_SINK = event_sinks_pb2.EventSink
_NAME = click.argument("name", type=references.event_sink, shell_complete=complete.event_sinks)
_SEQUENCES = click.argument("sequences", type=click.IntRange(1, 2**63 - 1), nargs=-1, metavar="[EVENT]...")


@click.group("event-sink", cls=Noun)
def command() -> None:
    """Look at where events are sent to; send again what was not taken."""


@command.command("ls", examples=("event-sink ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List the sinks of the configuration: how far each is, and what it was not given."""
    with connect(settings) as api:
        request = event_sinks_pb2.ListEventSinksRequest()
        found = list(api.event_sinks.ListEventSinks(request, timeout=READ_SECONDS).event_sinks)
    listing.show(settings, look, "event_sinks", found, _COLUMNS)


@command.command("show", examples=("event-sink show pager", "event-sink show pager -o json"))
@_NAME
@click.option("-n", "--lines", type=click.IntRange(0, references.MOST), default=50, help="At most so many; 0 for all.")
@click.pass_obj
def show(settings: Settings, *, name: str, lines: int) -> None:
    """Show a sink, and the events that it was not given, oldest first."""
    with connect(settings) as api:
        sink = api.event_sinks.GetEventSink(event_sinks_pb2.GetEventSinkRequest(name=name), timeout=READ_SECONDS)
        request = event_sinks_pb2.ListDeadLettersRequest(parent=name)
        letters = pages(api.event_sinks.ListDeadLetters, request, "dead_letters", lines)
    if settings.form is not Form.TABLE:
        found = {"event_sink": render.as_dict(sink), "dead_letters": [render.as_dict(letter) for letter in letters]}
        render.document(settings.form, found)
        return
    render.card(
        (
            ("name", short(sink.name)),
            ("state", _state(sink)),
            ("since", render.moment(sink.failing_since)),
            ("error", sink.error),
            ("kind", sink.kind),
            ("to", sink.destination),
            ("filter", sink.filter),
            ("delivered", str(sink.delivered_count)),
            ("the last", render.moment(sink.last_delivery_time)),
            ("waits since", render.moment(sink.waiting_since)),
            ("given up", f"{sink.given_up_count}, {sink.dead_letter_count} kept" if sink.given_up_count else ""),
            ("lost", str(sink.lost_count or "")),
        )
    )
    if letters:
        click.echo()
        listing.table(Look(), letters, _LETTERS)


@command.command("replay", examples=("event-sink replay pager", "event-sink replay pager 812 813"))
@_NAME
@_SEQUENCES
@planning
@click.pass_obj
def replay(settings: Settings, *, name: str, sequences: tuple[int, ...], plan: bool) -> None:
    """Send again what was not taken, all or these events; what is new goes on meanwhile."""
    request = event_sinks_pb2.ReplayDeadLettersRequest(name=name, sequences=sequences, validate_only=plan)
    with connect(settings) as api:
        done = api.event_sinks.ReplayDeadLetters(request)
    _say(settings, "replay", name, done, f"send {count(done.count, 'event')} again", plan=plan)


@command.command("discard", examples=("event-sink discard pager --plan", "event-sink discard pager 812"))
@_NAME
@_SEQUENCES
@planning
@click.pass_obj
def discard(settings: Settings, *, name: str, sequences: tuple[int, ...], plan: bool) -> None:
    """Forget what was not taken, all or these events; `host show` warns no more."""
    request = event_sinks_pb2.DiscardDeadLettersRequest(name=name, sequences=sequences, validate_only=plan)
    with connect(settings) as api:
        done = api.event_sinks.DiscardDeadLetters(request)
    _say(settings, "discard", name, done, f"forget {count(done.count, 'event')}", plan=plan)


def _say(
    settings: Settings,
    verb: str,
    name: str,
    done: event_sinks_pb2.ReplayDeadLettersResponse | event_sinks_pb2.DiscardDeadLettersResponse,
    step: str,
    *,
    plan: bool,
) -> None:
    if plan:
        tell_plan(settings, verb, name, *((step,) if done.count else ()))
    elif settings.form is Form.TABLE:
        click.echo(printable(f"{short(name)}: {step}"))
    else:
        render.document(settings.form, done)


def _state(sink: event_sinks_pb2.EventSink) -> str:
    return str(_SINK.State.Name(sink.state)).removeprefix("STATE_").lower()


_COLUMNS = (
    Column("NAME", lambda sink: short(sink.name)),
    Column("KIND", lambda sink: sink.kind),
    Column("TO", lambda sink: sink.destination, wide=True),
    Column("STATE", _state),
    Column("DELIVERED", lambda sink: str(sink.delivered_count)),
    Column("LAST", lambda sink: render.since(sink.last_delivery_time) if sink.HasField("last_delivery_time") else ""),
    Column("KEPT", lambda sink: str(sink.dead_letter_count)),
    Column("LOST", lambda sink: str(sink.lost_count)),
    Column("FILTER", lambda sink: sink.filter, wide=True),
    Column("ERROR", lambda sink: sink.error, wide=True),
)
_LETTERS = (
    Column("EVENT", lambda letter: str(letter.event.sequence)),
    Column("AGE", lambda letter: render.since(letter.event.time)),
    Column("KIND", lambda letter: letter.event.kind),
    Column("TARGET", lambda letter: letter.event.target),
    Column("WHEN", lambda letter: render.clock(letter.event.time), wide=True),
    Column("GIVEN-UP", lambda letter: render.clock(letter.give_up_time), wide=True),
    Column("STATE", lambda letter: "sent again" if letter.HasField("replay_time") else "kept"),
    Column("ERROR", lambda letter: letter.error, prose=True),
)
