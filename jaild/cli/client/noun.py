"""What every command is made of: options that all take, examples in the help, failures with their exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import grpc
from google.protobuf import json_format

from jaild.cli.client import references
from jaild.cli.client.settings import Form, Settings, options
from jaild.cli.output import render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc


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
            return super().invoke(ctx)
        except grpc.RpcError as error:
            failure = from_rpc(error, settings.endpoint)
            if settings.form is not Form.TABLE and failure.status is not None:
                status = json_format.MessageToDict(failure.status)
                try:
                    render.document(settings.form, {"error": status})  # as an Operation's JSON tells its error
                finally:  # the refusal counts, though nobody can read it there
                    raise failure from error
            raise failure from error
        except (KeyboardInterrupt, click.Abort) as error:
            raise Failure("interrupted", Exit.ABORTED) from error


class Noun(click.Group):
    """A group of verbs."""

    command_class = Verb
