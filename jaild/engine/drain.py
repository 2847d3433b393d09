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

    def begun(self, reason: str, caller: Caller) -> Drain:
        """Return the drain as it is once this is asked; the present one if that changes nothing."""
        if self.now is not None and reason in {"", self.now.reason}:
            return self.now
        since = self.now.since if self.now is not None else self._clock.now()
        return Drain(since=since, actor=caller.actor, reason=reason)

    async def begin(self, reason: str, caller: Caller) -> Drain:
        """Take no jails from now on. No change if it is so already, but for a new reason."""
        drain = self.begun(reason, caller)
        if drain is self.now:
            return drain
        await self._store.put_drain(drain)
        self.now = drain
        await self._events.emit("host.draining", "host", reason, actor=caller.actor)
        return drain

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
