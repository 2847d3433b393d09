"""Commands in jails: one in a jail, one in several, and a console."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

import click

from jaild.cli.client import complete, everywhere, execution, executions, references
from jaild.cli.client.connection import connect
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.selection import filtered, narrowed
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import printable
from jaild.v1 import jails_pb2

_CHOSEN = "jails/-"  # the name where a filter chooses
# A login by su(1), which every userland has that has users; without it root gets a shell all the same.
_LOGIN = """\
command -v su >/dev/null && exec su -l "$0"
[ "$0" = root ] && exec /bin/sh -l
echo "there is no su in this jail: jailctl jail exec -u $0 NAME -- /bin/sh" >&2
exit 127
"""
NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


class Exec(Verb):
    """Takes options up to the `--`; a command without one in front has all that follows the jail's name.

    Where a selector or a filter chooses the jails, none is named: all that follows the `--` is the command.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the command line apart."""
        at = args.index("--") if "--" in args else -1
        if at >= 0 and self._chooses(ctx, args[:at]):
            args = [*args[:at], "-", *args[at:]]
            at += 1
        ctx.allow_interspersed_args = at >= 0 and self._is_first_of_command(ctx, args[:at])
        return super().parse_args(ctx, args)

    def _chooses(self, ctx: click.Context, before: list[str]) -> bool:
        """Say whether these words choose jails, and name none."""
        ctx.allow_interspersed_args = True
        try:
            found, _, _ = self.make_parser(ctx).parse_args([*before])
        except click.UsageError:
            return False  # it is told when the whole is parsed
        return bool(found.get("selectors") or found.get("filter_")) and not isinstance(found.get("name"), str)

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
        "jail exec -l team=cdn -A -- uptime",
        "jail exec --filter 'state = running AND base = debian-12' --parallel 4 -- cat /etc/os-release",
    ),
)
@NAME
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARG]...")
@filtered
@click.option("-A", "--all-contexts", "all_contexts", is_flag=True, help="On the hosts of all contexts.")
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="In so many jails at once, where several are chosen.",
)
@click.option("-i/-I", "--stdin/--no-stdin", "stdin", default=True, help="Send stdin (default), to one jail.")
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
    wanted: str,
    all_contexts: bool,
    parallel: int,
    stdin: bool,
    terminal: bool | None,
    user: str | None,
    env: tuple[tuple[str, str], ...],
) -> None:
    """Run a command in a jail and end with its status; or in all that a selector or a filter chooses.

    On a terminal it has one of its own, with your keys, Ctrl-C too, and your window's size. 127: there is no such
    command in the jail; 126: it cannot be executed.

    In several jails it has no stdin and no terminal; each line is told with its jail, and the exit status is 9 if it
    failed in one of them. With -o json each line is an object. --context alpha,beta: on these hosts.
    """
    command = argv[1:] if argv[0] == "--" else argv
    if not command:
        raise click.UsageError("there is no command to run")
    settings = ctx.ensure_object(Settings)
    contexts = everywhere.named(settings, everywhere=all_contexts)
    if wanted and name != _CHOSEN:
        raise click.UsageError("either name the jail, or choose jails and put `--` before the command")
    if wanted or len(contexts) > 1 or all_contexts:
        if terminal:
            raise click.UsageError("there is one terminal, and several jails: leave -t out")
        start = jails_pb2.ExecStart(command=command, environment=dict(env), user=user)
        _in_all(settings, contexts, wanted or narrowed("", f'name = "{short(name)}"'), start, parallel)
        return
    at_terminal = execution.is_foreground()
    if terminal is None:
        terminal = stdin and at_terminal and sys.stdout.isatty() and sys.stderr.isatty()
    elif terminal and not (stdin and at_terminal):
        raise click.UsageError("-t needs stdin to be a terminal, and this is none: leave -t out")
    start = jails_pb2.ExecStart(
        name=name,
        command=command,
        environment={**(_terminal_kind() if terminal else {}), **dict(env)},
        user=user,
        terminal=execution.terminal_size() if terminal else None,
    )
    readable = stdin and (at_terminal or not sys.stdin.isatty())
    with connect(settings) as api:
        ctx.exit(execution.Execution(api, start, sys.stdin.buffer if readable else None).run())


@click.command("console", cls=Verb, examples=("jail console web", "jail console web -u deploy"))
@NAME
@click.option("-u", "--user", default="root", show_default=True, help="Who logs in.")
@click.pass_context
def console(ctx: click.Context, *, name: str, user: str) -> None:
    """Log in to a running jail, on your terminal, and end with the status of its shell.

    It is a login as by su -l: the user's own shell, home and environment. Ctrl-C and all other keys are the jail's.
    """
    if not (execution.is_foreground() and is_terminal()):
        hint = f"jailctl jail exec {short(name)} -- COMMAND"
        raise click.UsageError(f"a console needs a terminal, and this is none; without one: {hint}")
    start = jails_pb2.ExecStart(
        name=name,
        command=("/bin/sh", "-c", _LOGIN, user),
        environment=_terminal_kind(),
        user="root",
        terminal=execution.terminal_size(),
    )
    with connect(ctx.ensure_object(Settings)) as api:
        ctx.exit(execution.Execution(api, start, sys.stdin.buffer).run())


VERBS = (exec_, console)


def is_terminal() -> bool:
    """Return whether what is shown goes to a terminal."""
    return sys.stdout.isatty()


def _terminal_kind() -> dict[str, str]:
    return {"TERM": os.environ.get("TERM", "dumb")}


def _in_all(settings: Settings, contexts: list[str], wanted: str, start: jails_pb2.ExecStart, parallel: int) -> None:
    """Run it in all that `wanted` lets through; raise `Failure` with what went wrong in each."""

    def in_jail(name: str) -> jails_pb2.ExecStart:
        own = jails_pb2.ExecStart(name=name)
        own.MergeFrom(start)
        return own

    with ExitStack() as stack:
        places, silent = executions.places(stack, settings, wanted, contexts)
        if not (places or silent):
            click.echo("no jail is like that", err=True)
        writer = executions.Writer(places, as_json=settings.form is not Form.TABLE)
        streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
        ended = executions.Executions(places, in_jail, writer, streams).run(parallel)
    failed = {each.place.title: each.why for each in ended if each.why}
    failed |= {f"host {name}": failure.message for name, failure in silent}
    if failed:
        told = f"{len(failed)} of {len(ended) + len(silent)} failed"
        raise Failure(told, Exit.FAILED, detail={printable(key): why for key, why in failed.items()})
