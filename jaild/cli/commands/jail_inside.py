"""Looking into a jail: logs, generations."""

from __future__ import annotations

import sys
from typing import IO

import click

from jaild.cli.client import complete, interrupts, references
from jaild.cli.client.connection import connect, pages
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.v1 import jails_pb2

_SEEN_WITHIN = 2.5  # seconds: it was looked for once a second, and nobody was away
NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


@click.command(
    "logs", cls=Verb, examples=("jail logs cache -n 100", "jail logs cache -f", "jail logs cache --since 10m -t")
)
@NAME
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C or --until.")
@click.option(
    "-n",
    "--lines",
    "--tail",
    "lines",
    type=references.LINES,
    default="all",
    help="Only so many from the end, as tail(1) counts; all for all of them (default).",
)
@click.option(
    "--since",
    type=references.moment,
    metavar="TIME",
    help="From then on: 10m (ago), or 2026-11-30T08:00Z.",
)
@click.option("--until", type=references.moment, metavar="TIME", help="Up to then.")
@click.option("-t", "--timestamps", is_flag=True, help="Say of each line when it was written, as far as that is known.")
@click.option("--here", is_flag=True, help="Of a jail that moved away: what it wrote while it was here.")
@click.pass_obj
def logs(
    settings: Settings,
    *,
    name: str,
    follow: bool,
    lines: int | None,
    since: float | None,
    until: float | None,
    timestamps: bool,
    here: bool,
) -> None:
    """Print what a jail wrote on stdout and stderr.

    Lines have the time of the second in which the daemon saw them. What came while it was away has two times, FROM/TO,
    between which it was written; `..` for one that is not known. --since and --until keep what may be meant.
    """
    with connect(settings) as api:
        request = jails_pb2.TailLogsRequest(name=name, lines=lines, follow=follow, timestamps=timestamps, here=here)
        for moment, stamp in ((since, request.since), (until, request.until)):
            if moment is not None:
                stamp.FromMicroseconds(round(moment * 1e6))
        is_new = True
        try:
            for part in interrupts.stream(lambda: api.jails.TailLogs(request)):
                _write(sys.stdout.buffer, _stamped(part, begins=is_new) if timestamps else part.data)
                is_new = part.data.endswith(b"\n")
        except KeyboardInterrupt:
            if not follow:
                raise


def _stamped(part: jails_pb2.TailLogsResponse, *, begins: bool) -> bytes:
    """Return a piece with the time before each line that begins in it."""
    after, by = (f"{stamp.ToJsonString()[:19]}Z" for stamp in (part.after, part.by))
    seconds = (part.by.ToMilliseconds() - part.after.ToMilliseconds()) / 1000
    if not (part.HasField("after") and 0 <= seconds <= _SEEN_WITHIN):
        by = f"{after if part.HasField('after') else '..'}/{by}"
    prefix = f"{by} ".encode()
    stamped = (prefix if begins else b"") + part.data.replace(b"\n", b"\n" + prefix)
    return stamped.removesuffix(prefix)


@click.command("generations", cls=Verb, examples=("jail generations cache",))
@NAME
@listed
@click.pass_obj
def generations(settings: Settings, *, name: str, look: Look) -> None:
    """List a jail's generations, newest first: what it ran, and what rollback can go back to."""
    with connect(settings) as api:
        found = pages(api.jails.ListGenerations, jails_pb2.ListGenerationsRequest(parent=name), "generations")
    listing.show(settings, look, "generations", found, _GENERATIONS)


_GENERATIONS = (
    Column("GEN", lambda generation: str(generation.number)),
    Column("ACTIVE", lambda generation: "yes" if generation.active else ""),
    Column("BASE", lambda generation: short(generation.base)),
    Column("RELEASE", lambda generation: short(generation.release)),
    Column("REASON", lambda generation: generation.reason),
    Column("FROM", lambda generation: str(generation.parent or "")),
    Column("BY", lambda generation: generation.actor),
    Column("AGE", lambda generation: render.since(generation.create_time)),
)
VERBS = (logs, generations)


def _write(stream: IO[bytes], data: bytes) -> None:
    if data:
        stream.write(data)
        stream.flush()
