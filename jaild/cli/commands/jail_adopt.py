"""`jailctl jail adopt`: makes a jail of one that iocage, Bastille, pot or ezjail made on the daemon's host."""

from __future__ import annotations

import re
from typing import IO

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.model.foreign.jail import Tool
from jaild.v1 import foreign_jails_pb2, jails_pb2

_TOOLS = [str(tool) for tool in Tool]


@click.command(
    "adopt",
    cls=Verb,
    examples=(
        "jail adopt web --from iocage --plan",
        "jail adopt web --from bastille --stop-old",
        "jail adopt Web_1 --from ezjail --as web-1 -f web-1.yaml --base 14.3-RELEASE",
    ),
)
@click.argument("foreign")
@click.option(
    "--from", "tool", required=True, type=click.Choice([str(tool) for tool in Tool]), help="Whose jail it is."
)
@click.option("--as", "name", type=references.jail, help="What it is called here; as there if that is a name here.")
@click.option("--base", default="", metavar="NAME", shell_complete=complete.bases, help="Not that of its own version.")
@click.option(
    "-f", "--file", type=references.TextFile(), help="A spec, in YAML, in place of what its configuration says."
)
@click.option("--root", default="", metavar="DIR", help="Where the tool has its things, if not where it usually has.")
@click.option("--stop-old", is_flag=True, help="If it runs, stop it when all else is made; its tool does that.")
@click.option("--stopped", is_flag=True, help="Do not start the new one.")
@mutation(acceptable=True)
@click.pass_obj
def adopt(
    settings: Settings,
    *,
    foreign: str,
    tool: str,
    name: str | None,
    base: str,
    file: IO[str] | None,
    root: str,
    stop_old: bool,
    stopped: bool,
    how: How,
) -> None:
    """Make a jail of one that another tool made on the daemon's host; that one stays, stopped.

    A jail of jaild whose host is gone for good is taken over by `jailctl adopt`.
    """
    references.utf8((foreign, root, base))
    request = foreign_jails_pb2.AdoptForeignJailRequest(
        tool=tool,
        foreign_name=foreign,
        jail_id=short(name) if name else re.sub(r"[^a-z0-9-]", "-", foreign.lower()),
        root=root,
        base=base,
        stop_old=stop_old,
        stopped=stopped,
        **how.fields(),
    )
    if file is not None:
        request.spec.CopyFrom(jails_pb2.SpecSource(yaml=file.read()))
    with connect(settings) as api:
        finish(api, settings, api.foreign_jails.AdoptForeignJail(request), how)


VERBS = (adopt,)
