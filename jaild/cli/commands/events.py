"""`jailctl events`: what happens on the host, in order."""

from __future__ import annotations

from collections.abc import Iterator

import click
import grpc

from jaild.cli.client import interrupts
from jaild.cli.client.connection import Api, connect
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.waiting import TRANSIENT, Backoff
from jaild.cli.output import render
from jaild.cli.output.human import printable
from jaild.v1 import events_pb2


@click.command(
    "events",
    cls=Verb,
    examples=(
        "events",
        "events -f --target jails/cache",
        "events --filter 'kind = \"migration.*\"'",
        "events -f --after 812 -o json",
    ),
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--after", type=click.IntRange(-1, 2**63 - 1), default=0, metavar="N", help="Only after this number; -1: new ones."
)
@click.option("--target", default="", metavar="RESOURCE", help="Only about this and what is below it: jails/cache.")
@click.option(
    "--filter", "filter_", default="", metavar="FILTER", help='Only those: kind = "jail.*" AND detail.peer : *.'
)
@click.pass_obj
def command(settings: Settings, *, follow: bool, after: int, target: str, filter_: str) -> None:
    """Print what happens on the host."""
    request = events_pb2.WatchEventsRequest(after_sequence=after, target=target, no_follow=not follow, filter=filter_)
    with connect(settings) as api:
        if not follow:
            for event in interrupts.stream(lambda: api.events.WatchEvents(request)):
                _print(settings, event)
            return
        try:
            for event in _followed(api, request, Backoff(api)):
                _print(settings, event)
        except KeyboardInterrupt:
            return  # how following ends


def _followed(api: Api, request: events_pb2.WatchEventsRequest, backoff: Backoff) -> Iterator[events_pb2.Event]:
    """Yield events across broken connections: from the last sequence number on, none lost and none twice."""
    while True:
        try:
            for event in interrupts.stream(lambda: api.events.WatchEvents(request)):
                backoff.reset()
                request.after_sequence = event.sequence
                yield event
        except grpc.RpcError as error:
            if error.code() not in TRANSIENT or not backoff.wait():
                raise
        else:
            if not backoff.wait():
                return


def _print(settings: Settings, event: events_pb2.Event) -> None:
    if settings.form is not Form.TABLE:
        render.line(settings.form, event)
        return
    if event.gap:
        click.echo("(older events are no longer kept)", err=True)
    detail = "".join(f" {key}={value}" for key, value in sorted(event.detail.items()))
    text = f"{event.sequence:>6}  {render.clock(event.time)}  {event.kind:<22} {event.target}  {event.message}{detail}"
    click.echo(printable(text).replace("\n", " "))
