"""Looking into a jail: exec, logs, generations."""

from __future__ import annotations

import os
import sys
from typing import IO

import click

from jaild.cli.client import complete, execution, interrupts, references
from jaild.cli.client.connection import connect, pages
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.v1 import jails_pb2

_SEEN_WITHIN = 2.5  # seconds: it was looked for once a second, and nobody was away
NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


class Exec(Verb):
    """Takes options up to the `--`; a command without one in front has all that follows the jail's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the command line apart."""
        ctx.allow_interspersed_args = "--" in args and self._is_first_of_command(ctx, args[: args.index("--")])
        return super().parse_args(ctx, args)

    def _is_first_of_command(self, ctx: click.Context, before: list[str]) -> bool:
        """Say whether a `--` with these words before it begins the command: there is none before it."""
        ctx.allow_interspersed_args = True
        try:
            found, _, _ = self.make_parser(ctx).parse_args([*before])
        except click.UsageError:
            return len(before) > 1 and before[1].startswith("-")  # no command begins so: an option, told to be wrong
        words = found.get("argv")  # click 8.2 has something of its own for none
        return not (isinstance(words, tuple) and words)


@click.command(
    "exec",
    cls=Exec,
    context_settings={"allow_interspersed_args": False},
    examples=(
        "jail exec web -- sh",
        "jail exec cache -- redis-cli info",
        "jail exec -u root db -- pg_dump main > main.sql",
    ),
)
@NAME
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARG]...")
@click.option("-i/-I", "--stdin/--no-stdin", "stdin", default=True, help="Send stdin (default).")
@click.option(
    "-t/-T",
    "--tty/--no-tty",
    "terminal",
    default=None,
    help="Give it a terminal (default: if stdin, stdout and stderr are one).",
)
@click.option("-u", "--user", help="Run as this user (default: the jail's own).")
@click.option(
    "-e",
    "--env",
    type=references.variable,
    multiple=True,
    metavar="KEY[=VALUE]",
    help="Add to the environment; without VALUE your own, which no list of processes shows.",
)
@click.pass_context
def exec_(
    ctx: click.Context,
    *,
    name: str,
    argv: tuple[str, ...],
    stdin: bool,
    terminal: bool | None,
    user: str | None,
    env: tuple[tuple[str, str], ...],
) -> None:
    """Run a command in a jail and end with its status.

    On a terminal it has one of its own, with your keys, Ctrl-C too, and your window's size. 127: there is no such
    command in the jail; 126: it cannot be executed.
    """
    command = argv[1:] if argv[0] == "--" else argv
    if not command:
        raise click.UsageError("there is no command to run")
    at_terminal = execution.is_foreground()
    if terminal is None:
        terminal = stdin and at_terminal and sys.stdout.isatty() and sys.stderr.isatty()
    elif terminal and not (stdin and at_terminal):
        raise click.UsageError("-t needs stdin to be a terminal, and this is none: leave -t out")
    start = jails_pb2.ExecStart(
        name=name,
        command=command,
        environment={**({"TERM": os.environ.get("TERM", "dumb")} if terminal else {}), **dict(env)},
        user=user,
        terminal=execution.terminal_size() if terminal else None,
    )
    readable = stdin and (at_terminal or not sys.stdin.isatty())
    with connect(ctx.ensure_object(Settings)) as api:
        ctx.exit(execution.Execution(api, start, sys.stdin.buffer if readable else None).run())


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
VERBS = (exec_, logs, generations)


def _write(stream: IO[bytes], data: bytes) -> None:
    if data:
        stream.write(data)
        stream.flush()
