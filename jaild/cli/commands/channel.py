"""`jailctl channel`: names for bases, which jails may follow."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.mutation import planning, tell_plan
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.human import printable
from jaild.cli.output.listing import Column, Look, listed
from jaild.model import quantity
from jaild.v1 import channels_pb2

NAME = click.argument("name", type=references.channel, shell_complete=complete.channels)


@click.group("channel", cls=Noun)
def command() -> None:
    """Set, list and remove channels: names for bases, which jails may follow."""


@command.command("ls", examples=("channel ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List channels."""
    with connect(settings) as api:
        channels = pages(api.channels.ListChannels, channels_pb2.ListChannelsRequest(), "channels")
    listing.show(settings, look, "channels", channels, _COLUMNS)


@command.command("show", examples=("channel show stable",))
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
@planning
@click.pass_obj
def set_(settings: Settings, *, name: str, base: str, plan: bool) -> None:
    """Let a channel name a base. No jail is changed: those that follow it are then behind."""
    with connect(settings) as api:
        there = pages(api.channels.ListChannels, channels_pb2.ListChannelsRequest(), "channels") if plan else []
        channel = api.channels.SetChannel(channels_pb2.SetChannelRequest(name=name, base=base, validate_only=plan))
    if plan:
        behind = f"followed by {quantity.count(len(channel.followers), 'jail')}, {len(channel.behind)} of them behind"
        before = next((short(each.base) for each in there if each.name == name), "none")
        step = f"let it name {short(base)}, {before} before: {behind}"
        tell_plan(settings, "set", name, *(() if before == short(base) else (step,)))
        return
    if settings.form is not Form.TABLE:
        render.document(settings.form, channel)
        return
    behind = f"followed by {quantity.count(len(channel.followers), 'jail')}, {len(channel.behind)} of them behind"
    click.echo(printable(f"{short(channel.name)} is {short(channel.base)}: {behind}"))


@command.command("rm", examples=("channel rm canary",))
@NAME
@planning
@click.pass_obj
def rm(settings: Settings, *, name: str, plan: bool) -> None:
    """Remove a channel; refused while a jail follows it."""
    with connect(settings) as api:
        api.channels.DeleteChannel(channels_pb2.DeleteChannelRequest(name=name, validate_only=plan))
    if plan:
        tell_plan(settings, "delete", name, "remove it: no jail follows it")
    elif settings.form is Form.TABLE:
        click.echo(printable(f"{short(name)} is removed"))
    else:
        render.document(settings.form, {})


_COLUMNS = (
    Column("NAME", lambda channel: short(channel.name)),
    Column("BASE", lambda channel: short(channel.base)),
    Column("FOLLOWERS", lambda channel: str(len(channel.followers))),
    Column("BEHIND", lambda channel: str(len(channel.behind))),
    Column("SET", lambda channel: render.since(channel.moves[0].move_time) if channel.moves else ""),
    Column("BY", lambda channel: channel.moves[0].actor if channel.moves else ""),
)
