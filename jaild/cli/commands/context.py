"""`jailctl context`: the daemons to talk to, by name."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from jaild.cli.client import complete, contexts
from jaild.cli.client.noun import Noun
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed

_FILE = click.Path(exists=True, dir_okay=False)


@click.group("context", cls=Noun)
def command() -> None:
    """Keep the daemons to talk to, by name."""


@command.command(
    "add",
    examples=(
        "context add beta --address beta.example.net:8443 --ca ca.pem --cert me.pem --key me.key --use",
        "context add lab --address unix:///tmp/lab/jaild.sock",
    ),
)
@click.argument("name")
@click.option("--ca", type=_FILE, help="Certificate authority of the daemon's certificate (PEM).")
@click.option("--cert", type=_FILE, help="Your certificate (PEM).")
@click.option("--key", type=_FILE, help="Its key (PEM).")
@click.option("--server-name", default="", help="Whom the daemon's certificate names, if not the address.")
@click.option("--use", is_flag=True, help="Talk to it from now on.")
@click.pass_obj
def add(
    settings: Settings,
    *,
    name: str,
    ca: str | None,
    cert: str | None,
    key: str | None,
    server_name: str,
    use: bool,
) -> None:
    """Add a daemon, or change what is known of it."""
    address = settings.address
    if not address:
        raise click.UsageError("say where it is with --address")
    if not address.startswith(("unix:", "/")) and not (ca and cert and key):
        raise click.UsageError("TCP needs --ca, --cert and --key: the daemon takes nothing less than mutual TLS")
    known = contexts.load()
    known.known[name] = contexts.Context(address, _absolute(ca), _absolute(cert), _absolute(key), server_name)
    if use or not known.current:
        known.current = name
    contexts.save(known)
    click.echo(f"added {name}" + (", in use" if known.current == name else ""), err=True)


@command.command("use", examples=("context use alpha",))
@click.argument("name", shell_complete=complete.context_names)
def use_(*, name: str) -> None:
    """Talk to a context from now on."""
    known = contexts.load()
    contexts.get(known, name)
    known.current = name
    contexts.save(known)


@command.command("ls", examples=("context ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List contexts."""
    known = contexts.load()
    if settings.form is not Form.TABLE:
        rows = [{"name": name, **asdict(context)} for name, context in sorted(known.known.items())]
        render.document(settings.form, {"current": known.current, "contexts": rows})
        return
    lines = [(name, context, name == known.current) for name, context in sorted(known.known.items())]
    listing.table(look, lines, _COLUMNS)


@command.command("rm", examples=("context rm alpha",))
@click.argument("name", shell_complete=complete.context_names)
def rm(*, name: str) -> None:
    """Forget a context; the local socket is talked to if it was the current one."""
    known = contexts.load()
    contexts.get(known, name)
    del known.known[name]
    if known.current == name:
        known.current = ""
    contexts.save(known)


def _absolute(path: str | None) -> str:
    return str(Path(path).absolute()) if path else ""


_COLUMNS = (
    Column("NAME", lambda row: row[0]),
    Column("CURRENT", lambda row: "yes" if row[2] else ""),
    Column("ADDRESS", lambda row: row[1].address),
    Column("CERTIFICATE", lambda row: row[1].cert, wide=True),
)
