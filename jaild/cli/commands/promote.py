"""`jailctl promote`: makes a standby the owner."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Settings
from jaild.v1 import promotions_pb2


@click.command(
    "promote",
    cls=Verb,
    examples=("promote web --plan", "promote web", 'promote web --owner-is-down --confirm "alpha is down"'),
)
@click.argument("name", type=references.jail, shell_complete=complete.jails)
@click.option("--owner-is-down", is_flag=True, help="The owner does not answer, and will not come back unnoticed.")
@click.option("--confirm", default="", metavar="SENTENCE", help="What the refusal asks you to say, word by word.")
@mutation()
@click.pass_obj
def command(settings: Settings, *, name: str, owner_is_down: bool, confirm: str, how: How) -> None:
    """Make a standby the owner of its jail."""
    request = promotions_pb2.PromoteJailRequest(name=name, owner_is_down=owner_is_down, confirm=confirm, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.promotions.PromoteJail(request), how)
