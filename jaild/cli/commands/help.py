"""`jailctl help`: a command's help, or a topic."""

from __future__ import annotations

import click

from jaild.cli.client.noun import Verb
from jaild.cli.output import exits


@click.command("help", cls=Verb, examples=("help exit-codes", "help jail migrate"))
@click.argument("topic", nargs=-1)
@click.pass_context
def command(ctx: click.Context, *, topic: tuple[str, ...]) -> None:
    """Explain a command, or `exit-codes`."""
    if topic == ("exit-codes",):
        click.echo("Exit statuses of jailctl:\n\n" + exits.table())
        return
    place = ctx.find_root()
    for word in topic:
        group = place.command
        found = group.get_command(place, word) if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(f"there is no command {' '.join(topic)!r}")
        place = click.Context(found, info_name=word, parent=place)
    click.echo(place.get_help())
