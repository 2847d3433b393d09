"""Channels: set, listed, removed. The source team's use cases. None of them changes a jail."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Mapping

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
        return self._view(name, self._inventory.channels)

    def _view(self, name: str, channels: Mapping[str, Channel]) -> ChannelView:
        """Return a channel as it is in `channels`."""
        channel = channel_of(name, channels)
        followers = [
            entry
            for _, entry in sorted(self._inventory.jails.items())
            if entry.generation is not None and entry.generation.spec.channel == name
        ]
        behind = tuple(entry.name for entry in followers if behind_of(entry.generation, channels))
        return ChannelView(channel=channel, followers=tuple(entry.name for entry in followers), behind=behind)

    def list(self) -> builtins.list[ChannelView]:
        """Return all, by name."""
        return [self.get(name) for name in sorted(self._inventory.channels)]

    async def set(self, name: str, base: str, *, validate_only: bool = False, caller: Caller) -> ChannelView:
        """Let a channel, which is made if need be, name a sealed base of this host. No change if it does already.

        `validate_only`: return it as it would be. `NotFoundError` (BASE_NOT_FOUND).
        """
        names.channel(name)
        if validate_only:
            self._inventory.base(base)
            channel = self._set_to(name, base, caller)
            return self._view(name, {**self._inventory.channels, name: channel})
        # Shielded: whoever hangs up while it is written does not leave memory and disk apart.
        await asyncio.shield(self._set(name, base, caller))
        return self.get(name)

    async def _set(self, name: str, base: str, caller: Caller) -> None:
        async with self._writing:
            self._inventory.base(base)  # nothing is awaited until the channel keeps it from being deleted
            before, channel = self._inventory.channels.get(name), self._set_to(name, base, caller)
            if channel is before:
                return
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

    def _set_to(self, name: str, base: str, caller: Caller) -> Channel:
        """Return a channel as it is once it names `base`; the present one if it does already."""
        before = self._inventory.channels.get(name)
        if before is not None and before.base == base:
            return before
        return moved(before, name, base, time=self._clock.now(), actor=caller.actor)

    async def delete(self, name: str, *, validate_only: bool = False, caller: Caller) -> None:
        """Remove a channel that no jail follows, or only check. `FailedPreconditionError` (CHANNEL_IN_USE)."""
        if validate_only:
            self._require_unfollowed(name)
        else:
            await asyncio.shield(self._delete(name, caller))

    def _require_unfollowed(self, name: str) -> ChannelView:
        view = self.get(name)
        if view.followers:
            more = f" and {len(view.followers) - _TOLD} more" if len(view.followers) > _TOLD else ""
            raise FailedPreconditionError(
                "CHANNEL_IN_USE",
                f"channel {name} is followed by {', '.join(view.followers[:_TOLD])}{more}",
                hint="upgrade those jails to a base by its name, or to another channel, first",
                resource=f"channels/{name}",
            )
        return view

    async def _delete(self, name: str, caller: Caller) -> None:
        async with self._writing:
            view = self._require_unfollowed(name)
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
