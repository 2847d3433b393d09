"""Channels: set, listed, removed. The source team's use cases. None of them changes a jail."""

from __future__ import annotations

import asyncio
import builtins

from jaild.engine.build import Engine
from jaild.model import names, quantity
from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.channels import Channel, ChannelView, channel_of, moved
from jaild.model.layers.channels import behind as behind_of
from jaild.model.views import Caller

_TOLD = 5  # how many followers an error names


class Channels:
    """The channels of this host. They are the host's own, in its store; what runs by them is in the generations."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._store = engine.ports.store
        self._events = engine.events
        self._clock = engine.ports.clock
        self._writing = asyncio.Lock()

    def get(self, name: str) -> ChannelView:
        """Return one. `NotFoundError` (CHANNEL_NOT_FOUND)."""
        channel = channel_of(name, self._inventory.channels)
        followers = [
            entry
            for _, entry in sorted(self._inventory.jails.items())
            if entry.generation is not None and entry.generation.spec.channel == name
        ]
        behind = tuple(entry.name for entry in followers if behind_of(entry.generation, self._inventory.channels))
        return ChannelView(channel=channel, followers=tuple(entry.name for entry in followers), behind=behind)

    def list(self) -> builtins.list[ChannelView]:
        """Return all, by name."""
        return [self.get(name) for name in sorted(self._inventory.channels)]

    async def set(self, name: str, base: str, *, caller: Caller) -> ChannelView:
        """Let a channel, which is made if need be, name a sealed base of this host. No change if it does already.

        `NotFoundError` (BASE_NOT_FOUND).
        """
        names.channel(name)
        # Shielded: whoever hangs up while it is written does not leave memory and disk apart.
        await asyncio.shield(self._set(name, base, caller))
        return self.get(name)

    async def _set(self, name: str, base: str, caller: Caller) -> None:
        async with self._writing:
            self._inventory.base(base)  # nothing is awaited until the channel keeps it from being deleted
            before = self._inventory.channels.get(name)
            if before is not None and before.base == base:
                return
            channel = moved(before, name, base, time=self._clock.now(), actor=caller.actor)
            self._inventory.channels[name] = channel
            try:
                await self._store.put_channel(channel)
            except BaseException:
                self._restore(name, before)
                raise
        view = self.get(name)
        was = before.base if before is not None else "none"
        followers = quantity.count(len(view.followers), "jail")
        told = f"{was} -> {base}; followed by {followers}, {len(view.behind)} of them behind"
        await self._events.emit("channel.set", f"channels/{name}", told, actor=caller.actor)

    async def delete(self, name: str, *, caller: Caller) -> None:
        """Remove a channel that no jail follows. `FailedPreconditionError` (CHANNEL_IN_USE)."""
        await asyncio.shield(self._delete(name, caller))

    async def _delete(self, name: str, caller: Caller) -> None:
        async with self._writing:
            view = self.get(name)
            if view.followers:
                more = f" and {len(view.followers) - _TOLD} more" if len(view.followers) > _TOLD else ""
                raise FailedPreconditionError(
                    "CHANNEL_IN_USE",
                    f"channel {name} is followed by {', '.join(view.followers[:_TOLD])}{more}",
                    hint="upgrade those jails to a base by its name, or to another channel, first",
                    resource=f"channels/{name}",
                )
            del self._inventory.channels[name]
            try:
                await self._store.delete_channel(name)
            except BaseException:
                self._restore(name, view.channel)
                raise
        told = f"it named {view.channel.base}"
        await self._events.emit("channel.deleted", f"channels/{name}", told, actor=caller.actor)

    def _restore(self, name: str, before: Channel | None) -> None:
        if before is None:
            self._inventory.channels.pop(name, None)
        else:
            self._inventory.channels[name] = before
