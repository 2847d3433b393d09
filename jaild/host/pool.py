"""The state of the host's pool: whoever watches events is told when it is no longer ONLINE, and when it is again.

What was told last is remembered with the host: a restart of the daemon tells nothing twice, and misses nothing.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from jaild.engine.build import Engine
from jaild.model.errors import NotFoundError

_WELL = "ONLINE"  # zpoolconcepts(7), "Device Failure and Recovery"
_SECONDS = 30.0


class _Told(msgspec.Struct, frozen=True):
    health: str  # DEGRADED, FAULTED, SUSPENDED ...


class PoolWatch:
    """Looks at the pool, as long as the daemon lives."""

    def __init__(self, engine: Engine) -> None:
        self._outside = engine.ports.outside
        self._files = engine.ports.files
        self._events = engine.events
        self._supervisor = engine.supervisor
        self._memory = engine.place.pool_health
        self._health = _WELL
        self._pool = ""

    def run(self) -> None:
        """Begin to look."""
        self._supervisor.run("look at the pool", self.look, every=_SECONDS)

    async def look(self) -> None:
        """Look once; tell what has changed. `InternalError` (COMMAND_FAILED) if the pool cannot be asked."""
        now, before = await self._outside.pool(), await self._remembered()
        self._health, self._pool = now.health, now.pool
        if now.health == before:
            return
        kind = "pool.online" if now.health == _WELL else "pool.degraded"
        await self._events.emit(kind, "host", f"{now.pool} is {now.health}", pool=now.pool, health=now.health)
        await self._files.write(self._memory, msgspec.json.encode(_Told(now.health)))

    def trouble(self) -> str:
        """Return what the operator must know of it; '' for nothing."""
        if self._health == _WELL:
            return ""
        return f"the pool {self._pool} is {self._health}: `zpool status {self._pool}` says which device"

    async def _remembered(self) -> str:
        with suppress(NotFoundError, msgspec.DecodeError):  # never told, or torn by a full disk
            return msgspec.json.decode(await self._files.read(self._memory), type=_Told).health
        return _WELL
