"""Channels: names for bases (`stable`, `canary`). To set one changes no jail: those that follow it are then behind."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from jaild.model.errors import NotFoundError
from jaild.model.layers.records import Generation

KEPT = 100  # moves of a channel that are remembered; older ones are forgotten


class ChannelMove(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One setting of a channel."""

    base: str
    previous: str = ""  # what it named before; empty for the first
    time: float
    actor: str


class Channel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A name for a base, and how it came to name it."""

    name: str
    base: str
    moves: tuple[ChannelMove, ...]  # oldest first; the last one is the present


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """A channel with the jails of this host that follow it."""

    channel: Channel
    followers: tuple[str, ...] = ()  # by name
    behind: tuple[str, ...] = ()  # those among them that are on another base


def channel_of(name: str, channels: Mapping[str, Channel]) -> Channel:
    """Return one of the channels that there are. `NotFoundError` (CHANNEL_NOT_FOUND)."""
    try:
        return channels[name]
    except KeyError:
        raise NotFoundError(
            "CHANNEL_NOT_FOUND",
            f"there is no channel {name} on this host",
            hint=f"there are: {', '.join(sorted(channels)[:10]) or 'none'}",
            resource=f"channels/{name}",
        ) from None


def behind(generation: Generation | None, channels: Mapping[str, Channel]) -> str:
    """Return the base that a jail's channel names if the jail is on another; '' if it is not behind."""
    followed = channels.get(generation.spec.channel or "") if generation is not None else None
    if generation is None or followed is None:  # it may have come from a host with that channel: here it is not behind
        return ""
    return followed.base if followed.base != generation.base else ""


def moved(channel: Channel | None, name: str, base: str, *, time: float, actor: str) -> Channel:
    """Return the channel as it is once it names `base`; `channel` is what it is now, None for a new one."""
    before = channel.moves if channel is not None else ()
    move = ChannelMove(base=base, previous=channel.base if channel is not None else "", time=time, actor=actor)
    return Channel(name=name, base=base, moves=(*before, move)[-KEPT:])
