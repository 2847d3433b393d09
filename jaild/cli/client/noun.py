"""What every command is made of: options that all take, examples in the help, failures with their exit status."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import click
import grpc

from jaild.cli.client import ids, references
from jaild.cli.client.settings import Form, Settings, options
from jaild.cli.output import render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc

# Why a jail is refused that is another host's, which the refusal then names as `owner`.
ELSEWHERE = frozenset({"JAIL_MOVED", "JAIL_NOT_OWNED", "JAIL_STANDBY", "JAIL_FENCED", "JAIL_INCOMING"})


class Verb(click.Command):
    """One command. `examples` are command lines without `jailctl` in front."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *options()]
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  jailctl {example}\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the command line apart; only files may have names that are no UTF-8."""
        left = super().parse_args(ctx, args)
        for parameter in () if ctx.resilient_parsing else self.get_params(ctx):
            if not isinstance(parameter.type, click.File | click.Path):
                references.utf8(ctx.params.get(parameter.name or ""))
        return left

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the daemon refused becomes a `Failure`, also readable on stdout for programs."""
        settings = ctx.ensure_object(Settings)
        try:
            for parameter in self.params:
                given = ctx.params.get(parameter.name or "")
                if isinstance(parameter, click.Argument) and isinstance(given, str):
                    ctx.params[parameter.name or ""] = ids.whole(settings, given)
            return self._followed(ctx, settings)
        except grpc.RpcError as error:
            failure = from_rpc(error, settings.endpoint)
            if settings.form is not Form.TABLE and failure.status is not None:
                status = render.as_dict(failure.status)
                try:
                    render.document(settings.form, {"error": status})  # as an Operation's JSON tells its error
                finally:  # the refusal counts, though nobody can read it there
                    raise failure from error
            raise failure from error
        except (KeyboardInterrupt, click.Abort) as error:
            raise Failure("interrupted", Exit.ABORTED) from error

    def _followed(self, ctx: click.Context, settings: Settings) -> Any:
        """Run it, and with --follow-owner once more where the jail is: what is refused has changed nothing."""
        try:
            return super().invoke(ctx)
        except (grpc.RpcError, Failure) as error:
            failure = from_rpc(error, settings.endpoint) if isinstance(error, grpc.RpcError) else error
            owner = failure.detail.get("owner", "")
            if not (settings.follow and owner and failure.reason in ELSEWHERE):
                raise
            click.echo(f"{failure.message}: asking {owner}", err=True)
        settings.follow, settings.address, settings.context = False, "", owner
        for value in ctx.params.values():
            if isinstance(value, io.IOBase) and value.seekable():
                value.seek(0)
        return super().invoke(ctx)


# What fingers type that learned it elsewhere: FreeBSD, iocage, docker, incus. Not in any help.
ALIASES = {"list": "ls", "destroy": "rm", "delete": "rm", "remove": "rm", "info": "show", "inspect": "show"}


class Noun(click.Group):
    """A group of verbs."""

    command_class = Verb

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb of this name, or that this is another word for."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ALIASES.get(cmd_name, ""))
