"""Whether this host takes jails. Remembered by the host, not by the pool: the disks may go on in another chassis."""

from __future__ import annotations

from jaild.engine.events import Events
from jaild.model.errors import FailedPreconditionError
from jaild.model.views import Caller, Drain
from jaild.ports.clock import Clock
from jaild.ports.store import Store


class Draining:
    """The drain of this host: new jails and incoming migrations are refused while it lasts."""

    def __init__(self, store: Store, events: Events, clock: Clock) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self.now: Drain | None = None

    async def load(self) -> None:
        """Read the store."""
        self.now = await self._store.drain()

    async def begin(self, reason: str, caller: Caller) -> None:
        """Take no jails from now on. No change if it is so already, but for a new reason."""
        if self.now is not None and reason in {"", self.now.reason}:
            return
        since = self.now.since if self.now is not None else self._clock.now()
        drain = Drain(since=since, actor=caller.actor, reason=reason)
        await self._store.put_drain(drain)
        self.now = drain
        await self._events.emit("host.draining", "host", reason, actor=caller.actor)

    async def end(self, caller: Caller) -> None:
        """Take jails again. No error if it does."""
        if self.now is None:
            return
        await self._store.put_drain(None)
        self.now = None
        await self._events.emit("host.undrained", "host", actor=caller.actor)

    def require_open(self, resource: str) -> None:
        """Raise `FailedPreconditionError` (HOST_DRAINING) while the host takes no jails."""
        if self.now is not None:
            because = f": {self.now.reason}" if self.now.reason else ""
            raise FailedPreconditionError(
                "HOST_DRAINING",
                f"this host takes no jails: it is drained by {self.now.actor}{because}",
                hint=HINT,
                resource=resource,
            )


HINT = "use another host, or let this one take jails again: jailctl host undrain"
