"""What takes long to find out, looked at now and then and kept with its age: a scrape is answered from memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from prometheus_client import Histogram

from jaild.engine.build import Engine
from jaild.host.service import Host
from jaild.jails.usage import Stats
from jaild.model.views import HostView, JailStats
from jaild.ports.clock import Clock
from jaild.ports.outside import Outside, PoolStatus

_T = TypeVar("_T")
_SHARE = 50  # a look that takes a second is not taken again for fifty: it never costs more than 2 % of the time
_LAG = 1.0  # seconds between looks at how late the loop is
_CERTIFICATES = 3600.0


class Sample(Generic[_T]):
    """The last look at one thing."""

    def __init__(self, find: Callable[[], Awaitable[_T]], clock: Clock, every: float) -> None:
        self._find = find
        self._clock = clock
        self.every = every
        self._due = 0.0  # monotonic
        self.value: _T | None = None
        self.taken = 0.0  # seconds since the epoch; 0: not yet
        self.seconds = 0.0  # that it took

    async def look(self) -> None:
        """Look again, unless the last look took so long that it is not time yet."""
        began = self._clock.monotonic()
        if began < self._due:
            return
        self.value = await self._find()
        self.seconds = self._clock.monotonic() - began
        self.taken = self._clock.now()
        self._due = began + _SHARE * self.seconds


class Samples:
    """All of them."""

    def __init__(self, engine: Engine, stats: Stats, host: Host, outside: Outside, every: float) -> None:
        self._supervisor = engine.supervisor
        self._clock = clock = engine.ports.clock
        self.usage: Sample[list[JailStats]] = Sample(lambda: stats.measure([]), clock, every)
        self.host: Sample[HostView] = Sample(host.view, clock, every)
        self.pool: Sample[PoolStatus] = Sample(outside.pool, clock, every)
        self.certificates: Sample[Mapping[str, float]] = Sample(outside.certificates, clock, max(every, _CERTIFICATES))

    @property
    def all(self) -> Mapping[str, Sample[Any]]:
        """By what they are of."""
        return {"usage": self.usage, "host": self.host, "pool": self.pool, "certificates": self.certificates}

    def run(self, lag: Histogram) -> None:
        """Begin to look, for as long as the daemon lives; how late its loop is goes into `lag`."""
        for name, sample in self.all.items():
            self._supervisor.run(f"metrics of {name}", sample.look, every=sample.every)

        async def look() -> None:
            due = self._clock.monotonic() + _LAG
            await self._clock.sleep(_LAG)
            lag.observe(max(self._clock.monotonic() - due, 0.0))

        self._supervisor.run("metrics of the loop", look, every=0.0)
