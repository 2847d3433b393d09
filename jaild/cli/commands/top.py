"""`jailctl top`: a host's jails as they are now, and what is under way."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import click

from jaild.cli.client import references
from jaild.cli.client.connection import Api, connect
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import render
from jaild.cli.output.progress import redraws
from jaild.cli.top import live, screen
from jaild.cli.top.frame import Look, Order, frame
from jaild.cli.top.snapshot import Snapshot, needs_another, take

_ENDLESS = 10_000  # columns: nothing is cut for a pipe
_ORDERS = {order.name.lower(): order for order in Order}


@click.command(
    "top", cls=Verb, examples=("top", "top --sort memory", "top --once", "top -n 10 --interval 60 | tee load")
)
@click.option(
    "--interval", type=references.seconds, default="2s", show_default=True, metavar="TIME", help="Look so often."
)
@click.option(
    "-n", "--frames", type=click.IntRange(0, references.MOST), default=0, help="Look so often and end; 0: go on."
)
@click.option("--once", is_flag=True, help="As -n 1: for scripts.")
@click.option("--sort", type=click.Choice(list(_ORDERS)), default="cpu", show_default=True, help="What comes first.")
@click.pass_context
def command(context: click.Context, *, interval: float, frames: int, once: bool, sort: str) -> None:
    """Show jails as they are now, with what they use and what is under way; q quits, h helps."""
    settings = context.ensure_object(Settings)
    most = 1 if once else frames
    look = Look(order=_ORDERS[sort])
    with connect(settings) as api:
        if settings.form is not Form.TABLE:
            for snapshot in _snapshots(api, interval, most or 1):
                _document(settings, snapshot)
        elif not most and redraws(sys.stdout) and sys.stdin.isatty():
            live.run(settings, api, interval, look, colour=context.color is not False)
        else:
            _plain(api, interval, most, look)


def _snapshots(api: Api, interval: float, most: int) -> Iterator[Snapshot]:
    """Yield snapshots with loads, so many; 0 for ever."""
    last = take(api, None)
    if needs_another(last):
        time.sleep(live.FIRST)
        last = take(api, last)
    number = 1
    yield last
    while not most or number < most:
        time.sleep(interval)
        last = take(api, last)
        number += 1
        yield last


def _plain(api: Api, interval: float, most: int, look: Look) -> None:
    """Print one frame after the other: for logs, pipes, and terminals that cannot write over."""
    columns = screen.size()[0] if sys.stdout.isatty() else _ENDLESS
    for number, snapshot in enumerate(_snapshots(api, interval, most)):
        text = [
            screen.styled(line, colour=redraws(sys.stdout)) for line in frame(snapshot, replace(look, width=columns))
        ]
        click.echo("\n".join([*([""] if number else []), *text]))


def _document(settings: Settings, snapshot: Snapshot) -> None:
    jails = []
    for jail in snapshot.jails:
        stats = snapshot.stats.get(jail.name)
        load = {"cpuCores": snapshot.loads[jail.name]} if jail.name in snapshot.loads else {}
        jails.append(render.as_dict(jail) | {"stats": (render.as_dict(stats) if stats is not None else {}) | load})
    lists = {"operations": snapshot.changes, "rollouts": snapshot.rollouts}
    under_way = {name: [render.as_dict(each) for each in found] for name, found in lists.items()}
    render.document(settings.form, {"host": render.as_dict(snapshot.host), "jails": jails, **under_way})
