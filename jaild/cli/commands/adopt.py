"""`jailctl adopt`: takes over what a host that is gone for good left here."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Settings
from jaild.v1 import promotions_pb2


@click.command("adopt", cls=Verb, examples=("adopt web --force --plan", 'adopt web --force --confirm "alpha is down"'))
@click.argument("name", type=references.jail, shell_complete=complete.jails)
@click.option("--force", is_flag=True, help="Without its owner's doing: there is no other way to adopt.")
@click.option("--confirm", default="", metavar="SENTENCE", help="What the refusal asks you to say, word by word.")
@mutation()
@click.pass_obj
def command(settings: Settings, *, name: str, force: bool, confirm: str, how: How) -> None:
    """Take over what a host that is gone for good left here."""
    if not force:
        raise click.UsageError(
            "a host that still runs migrates its jails: adopt only with --force, when it is gone; "
            "a jail of iocage, Bastille, pot or ezjail: jail adopt"
        )
    request = promotions_pb2.AdoptJailRequest(name=name, confirm=confirm, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.promotions.AdoptJail(request), how)
