"""`jailctl channel`: names for bases, which jails may follow."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import render
from jaild.cli.output.human import printable
from jaild.v1 import channels_pb2

NAME = click.argument("name", type=references.channel, shell_complete=complete.channels)


@click.group("channel", cls=Noun)
def command() -> None:
    """Set, list and remove channels: names for bases, which jails may follow."""


@command.command("ls")
@click.pass_obj
def ls(settings: Settings) -> None:
    """List channels."""
    with connect(settings) as api:
        channels = pages(api.channels.ListChannels, channels_pb2.ListChannelsRequest(), "channels")
    if settings.form is not Form.TABLE:
        render.document(settings.form, {"channels": [render.as_dict(channel) for channel in channels]})
        return
    render.table(
        ("NAME", "BASE", "FOLLOWERS", "BEHIND", "SET", "BY"),
        [
            (
                short(channel.name),
                short(channel.base),
                str(len(channel.followers)),
                str(len(channel.behind)),
                *(cell for move in channel.moves[:1] for cell in (render.since(move.move_time), move.actor)),
            )
            for channel in channels
        ],
    )


@command.command("show")
@NAME
@click.pass_obj
def show(settings: Settings, *, name: str) -> None:
    """Show a channel: who set it when to what, which jails follow it, and which of them are behind."""
    with connect(settings) as api:
        channel = api.channels.GetChannel(channels_pb2.GetChannelRequest(name=name), timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, channel)
        return
    moves = [
        f"{render.moment(move.move_time)}  {short(move.previous_base) or 'none'} -> {short(move.base)}  {move.actor}"
        for move in channel.moves
    ]
    render.card(
        (
            ("name", short(channel.name)),
            ("base", short(channel.base)),
            ("followers", "\n".join(map(short, channel.followers))),
            ("behind", "\n".join(map(short, channel.behind))),
            ("set", "\n".join(moves)),
        )
    )


@command.command("set", examples=("channel set stable debian-13.2",))
@NAME
@click.argument("base", type=references.base, shell_complete=complete.bases)
@click.pass_obj
def set_(settings: Settings, *, name: str, base: str) -> None:
    """Let a channel name a base. No jail is changed: those that follow it are then behind."""
    with connect(settings) as api:
        channel = api.channels.SetChannel(channels_pb2.SetChannelRequest(name=name, base=base))
    if settings.form is not Form.TABLE:
        render.document(settings.form, channel)
        return
    behind = f"{len(channel.behind)} of {len(channel.followers)} jails that follow it are behind"
    click.echo(printable(f"{short(channel.name)} is {short(channel.base)}: {behind}"))


@command.command("rm")
@NAME
@click.pass_obj
def rm(settings: Settings, *, name: str) -> None:
    """Remove a channel; refused while a jail follows it."""
    with connect(settings) as api:
        api.channels.DeleteChannel(channels_pb2.DeleteChannelRequest(name=name))
    if settings.form is Form.TABLE:
        click.echo(printable(f"{short(name)} is removed"))
    else:
        render.document(settings.form, {})
