"""`jailctl web`: a page about all contexts, for this machine's browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import click

from jaild import client
from jaild.cli.client import contexts, references
from jaild.cli.client.connection import tls_of
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Settings
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure

Daemon = tuple[str, Callable[[], client.AioApi]]


@click.command("web", cls=Verb, examples=("web", "web --port 8421", "web alpha beta"))
@click.argument("names", nargs=-1, metavar="[CONTEXT]...")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8420, show_default=True, help="0: any port that is free."
)
@click.option("-6", "six", is_flag=True, help="Listen on ::1 instead of 127.0.0.1.")
@click.option(
    "--interval",
    type=references.seconds,
    default="30s",
    show_default=True,
    metavar="TIME",
    help="Measure what jails use so often, for the curves.",
)
@click.pass_obj
def command(settings: Settings, *, names: Sequence[str], port: int, six: bool, interval: float) -> None:
    """Show all contexts as a page for a browser on this machine."""
    try:
        from jaild.web import server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Failure(
            f"this Python has no {error.name}, which the page needs",
            Exit.REFUSED,
            reason="WEB_MISSING",
            hint="install starlette, uvicorn and jinja2, in jaild's folder: pip install '.[web]'",
        ) from error
    daemons = _daemons(settings, names)
    address = "::1" if six else "127.0.0.1"
    try:
        listening = server.bound(address, port)
    except OSError as error:
        raise Failure(
            f"cannot listen on {address}, port {port}: {error.strerror}",
            Exit.REFUSED,
            hint="choose another port: jailctl web --port 0",
        ) from error
    with listening, suppress(KeyboardInterrupt):  # how it ends
        server.serve(listening, daemons, max(1.0, interval), _print)


def _print(address: str) -> None:
    click.echo(address)
    sys.stdout.flush()
    click.echo("Open it in a browser on this machine; Ctrl-C ends it.", err=True)


def _daemons(settings: Settings, names: Sequence[str]) -> list[Daemon]:
    """Return what is shown: what is named or chosen, else all contexts, else the daemon that jailctl would ask."""
    known = contexts.load().known
    if names or not (settings.context or settings.address or not known):
        chosen = dict.fromkeys(names) or sorted(known)
        return [(name, _connector(contexts.get(contexts.load(), name))) for name in chosen]
    context = contexts.choose(settings, os.environ)
    return [(settings.context or context.address, _connector(context))]


def _connector(context: contexts.Context) -> Callable[[], client.AioApi]:
    """Return what connects; certificates are read each time, since they are renewed while the page runs."""
    return lambda: client.connect_aio(context.address, tls_of(context))
