"""Looking into a jail: exec, logs, generations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO

import click
import grpc

from jaild.cli.client import complete, interrupts, references
from jaild.cli.client.connection import Api, connect, pages
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.cli.output import listing, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.listing import Column, Look, listed
from jaild.v1 import jails_pb2

_CHUNK = 1 << 16
_INTERRUPTED = 130  # 128 + SIGINT, as a shell says it

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


@click.command(
    "exec",
    cls=Verb,
    context_settings={"allow_interspersed_args": False},
    examples=("jail exec cache -- redis-cli info", "jail exec -u root db -- pg_dump main > main.sql"),
)
@NAME
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARG]...")
@click.option(
    "-i/-I", "--stdin/--no-stdin", "stdin", default=None, help="Send stdin (default: unless it is a terminal)."
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
    stdin: bool | None,
    user: str | None,
    env: tuple[tuple[str, str], ...],
) -> None:
    """Run a command in a jail and end with its status."""
    command = argv[1:] if argv[0] == "--" else argv
    if not command:
        raise click.UsageError("there is no command to run")
    start = jails_pb2.ExecStart(name=name, command=command, environment=dict(env), user=user)
    with connect(ctx.ensure_object(Settings)) as api:
        source = sys.stdin.buffer if (not sys.stdin.isatty() if stdin is None else stdin) else None
        ctx.exit(_run(api, start, source))


@click.command("logs", cls=Verb, examples=("jail logs cache -n 100", "jail logs cache -f"))
@NAME
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, references.MOST), default=0, help="Only so many from the end; 0 for all."
)
@click.pass_obj
def logs(settings: Settings, *, name: str, follow: bool, lines: int) -> None:
    """Print what a jail wrote on stdout and stderr."""
    with connect(settings) as api:
        request = jails_pb2.TailLogsRequest(name=name, lines=lines, follow=follow)
        try:
            for part in interrupts.stream(lambda: api.jails.TailLogs(request)):
                _write(sys.stdout.buffer, part.data)
        except KeyboardInterrupt:
            if not follow:
                raise


@click.command("generations", cls=Verb)
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


def _run(api: Api, start: jails_pb2.ExecStart, source: IO[bytes] | None) -> int:
    unread: list[OSError] = []
    try:
        for part in interrupts.stream(lambda: api.jails.ExecInJail(_requests(start, source, unread))):
            _write(sys.stdout.buffer, part.stdout)
            _write(sys.stderr.buffer, part.stderr)
            if part.HasField("exit_status"):
                return int(part.exit_status)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except grpc.RpcError:
        if unread:
            raise Failure(f"cannot read stdin: {unread[0].strerror}", Exit.UNEXPECTED) from unread[0]
        raise
    raise Failure("the daemon hung up before the command ended", Exit.UNAVAILABLE, remedy="its status is not known")


def _requests(
    start: jails_pb2.ExecStart, source: IO[bytes] | None, unread: list[OSError]
) -> Iterator[jails_pb2.ExecInJailRequest]:
    """Yield the start and then stdin as it comes, in a thread of gRPC's that does not keep the process alive.

    What stdin could not be read for comes into `unread`; gRPC ends the call, and so the command in the jail.
    """
    yield jails_pb2.ExecInJailRequest(start=start)
    if source is None:
        return
    # Unbuffered: it returns what is there, and holds no lock that the interpreter wants at its end.
    raw = getattr(source, "raw", source)
    try:
        while block := raw.read(_CHUNK):
            yield jails_pb2.ExecInJailRequest(stdin=block)
    except OSError as error:
        unread.append(error)
        raise


def _write(stream: IO[bytes], data: bytes) -> None:
    if data:
        stream.write(data)
        stream.flush()
