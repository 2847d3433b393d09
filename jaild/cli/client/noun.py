"""What every command is made of: options that all take, examples in the help, failures with their exit status."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click
import grpc

from jaild.cli.client import contexts, ids, references
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.group import Group
from jaild.cli.client.selection import ELSEWHERE
from jaild.cli.client.settings import Form, Settings, options
from jaild.cli.output import render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc, not_held_back
from jaild.cli.output.human import printable
from jaild.restraints import NotHeldBackError
from jaild.v1 import host_pb2, jails_pb2

# A command in a hint that leaves the jail to whoever reads it.
_TO_FILL_IN = re.compile(r"(jailctl jail [a-z-]+ )NAME\b")


class Verb(click.Command):
    """One command. `examples` are command lines without `jailctl` in front; `feeds` further kinds of output."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), feeds: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *options(feeds)]
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
            if settings.follow:
                self._follow(ctx, settings)
            return super().invoke(ctx)
        except grpc.RpcError as error:
            failure = self._completed(ctx, from_rpc(error, settings.endpoint))
            if settings.form is not Form.TABLE and failure.status is not None:
                status = render.as_dict(failure.status)
                try:
                    render.document(settings.form, {"error": status})  # as an Operation's JSON tells its error
                finally:  # the refusal counts, though nobody can read it there
                    raise failure from error
            raise failure from error
        except Failure as failure:
            self._completed(ctx, failure)
            raise
        except NotHeldBackError as error:
            raise not_held_back(error) from error
        except (KeyboardInterrupt, click.Abort) as error:
            raise Failure("interrupted", Exit.ABORTED) from error

    def _jails(self, ctx: click.Context) -> set[str]:
        """Return the full names of the jails that the command line names."""
        arguments = [ctx.params.get(each.name or "") for each in self.params if isinstance(each, click.Argument)]
        given = [name for each in arguments for name in (each if isinstance(each, tuple) else (each,))]
        return {name for name in given if isinstance(name, str) and name.startswith("jails/")}

    def _completed(self, ctx: click.Context, failure: Failure) -> Failure:
        """Return the failure with a hint that can be typed as it stands, as far as jailctl knows what was meant."""
        named = self._jails(ctx)
        if len(named) == 1:
            jail = printable(references.short(named.pop()))
            failure.hint = _TO_FILL_IN.sub(lambda found: found[1] + jail, failure.hint)
        return contexts.completed(failure)

    def _follow(self, ctx: click.Context, settings: Settings) -> None:
        """Turn to the host that owns the jail which is named, before anything is asked of this one, or read for it."""
        named = self._jails(ctx)
        if len(named) != 1:
            raise click.UsageError("--follow-owner goes with the name of one jail")
        with connect(settings) as api:
            jail = api.jails.GetJail(jails_pb2.GetJailRequest(name=named.pop()), timeout=READ_SECONDS)
            if jail.state in ELSEWHERE and jail.owner not in contexts.load().known:
                host = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
                address = next((peer.address for peer in host.peer_addresses if peer.name == jail.owner), "")
                raise Failure(
                    f"the jail is that of {printable(jail.owner)}, and there is no context {printable(jail.owner)!r}",
                    Exit.USAGE,
                    hint=f"make it: {contexts.addition(jail.owner, address)}",
                )
        if jail.state in ELSEWHERE:
            settings.address, settings.context = "", jail.owner
            click.echo(f"the jail is that of {printable(jail.owner)}: asking there", err=True)


# What fingers type that learned it elsewhere: FreeBSD, iocage, docker, incus. Not in any help.
ALIASES = {"list": "ls", "destroy": "rm", "delete": "rm", "remove": "rm", "info": "show", "inspect": "show"}
# What verbs were called in the first version.
ALIASES |= {"confirm": "force-start", "damage": "data-loss"}


class Noun(Group):
    """A group of verbs."""

    command_class = Verb

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb of this name, or that this is another word for."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ALIASES.get(cmd_name, ""))
