"""Three hosts in one process that may lose power, their daemon, each other and the right time; and clients' writes."""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

import msgspec

from jaild.model import layout
from jaild.model.errors import JaildError
from jaild.model.jails.spec import JailSpec, Restart, Standby
from jaild.model.layers.records import JailRecord
from jaild.model.replication.policy import LEAP
from jaild.ports.runtime import Run
from tests.fakes import zfs_pool
from tests.fakes.faults import Crash, Life
from tests.fakes.host import ROOT, FakeHost
from tests.fakes.network import Network
from tests.fakes.runtime import FakeRuntime
from tests.fakes.zfs import FakeZfs
from tests.model.loop import VirtualLoop

NAMES = ("alpha", "beta", "gamma")
EPOCH = 1_000_000.0  # wall time at the beginning
INTERVAL = 60.0  # seconds between whole rounds of a replica
_RESTART = Restart(policy="always", max=2, within=300)


class ModelClock:
    """Implements `jaild.ports.clock.Clock` on the loop's time; `offset` is how far its wall clock was stepped."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._booted = 0.0
        self.steps: list[tuple[float, float]] = [(0.0, 0.0)]  # true time, offset from then on

    def now(self) -> float:
        """Wall time."""
        return EPOCH + self._loop.time() + self.steps[-1][1]

    def monotonic(self) -> float:
        """Seconds since the host was booted."""
        return self._loop.time() - self._booted

    def reboot(self) -> None:
        """Let the monotonic clock begin anew."""
        self._booted = self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock forth or back."""
        self.steps.append((self._loop.time(), self.steps[-1][1] + seconds))

    def first(self, wall: float) -> float:
        """Return the earliest true time at which this clock showed `wall` or later."""
        ends = [*(begin for begin, _ in self.steps[1:]), float("inf")]
        for (begin, offset), end in zip(self.steps, ends, strict=True):
            true = max(begin, wall - EPOCH - offset)
            if true < end:
                return true
        return float("inf")


class ModelRuntime(FakeRuntime):
    """Tells of each start, so that two runs at once are seen however short the time is."""

    def __init__(self, now: Callable[[], float], started: Callable[[str], None]) -> None:
        super().__init__(now=now)
        self._started = started

    async def start(self, jail: str, generation: int) -> Run:
        """Count it as running."""
        run = await super().start(jail, generation)
        self._started(jail)
        return run


class ModelHost(FakeHost):
    """A host of the model. `started` is told of the jails that are started here."""

    def __init__(
        self, folder: Path, name: str, network: Network, loop: VirtualLoop, started: Callable[[str], None]
    ) -> None:
        super().__init__(folder, name, network)
        self.wall = ModelClock(loop)
        self.clock = self.wall  # type: ignore[assignment]
        self.runtime = ModelRuntime(self.wall.now, started)
        self.zfs = FakeZfs(folder / "pool", now=self.wall.now)
        self.powered = True
        self.id = ""

    @property
    def up(self) -> bool:
        """Its daemon lives."""
        return self.powered and not self.life.dead and self.reachable

    def record(self, jail: str) -> JailRecord | None:
        """Return what its dataset says of a jail, whether the host has power or not."""
        dataset = self.zfs.pool.filesystems.get(f"{ROOT}/jails/{jail}")
        text = dataset.properties.get(layout.JAIL_PROPERTY) if dataset is not None else None
        return msgspec.json.decode(text, type=JailRecord) if text else None

    def told_of(self, jail: str) -> str:
        """Say what it has of a jail."""
        record = self.record(jail)
        return f"{self.name} ({'no record' if record is None else f'{record.state} at epoch {record.epoch}'})"

    def runs(self, jail: str) -> list[str]:
        """Return the runs of a jail that run here."""
        return [name for name, run in self.runtime.by_name.items() if run.spec.jail == jail and run.pid]

    def log_of(self, jail: str) -> Path | None:
        """Return the file that the jail's clients are answered from, where it is mounted for writing."""
        pool = self.zfs.pool
        dataset = pool.filesystems.get(f"{ROOT}/jails/{jail}/data")
        if dataset is None or dataset.mounted is None or pool.inherited(dataset, "readonly") == "on":
            return None
        return dataset.mounted / "var" / "log" / "served"

    async def boot(self) -> bool:
        """Bring its daemon up; False if it did not come up."""
        try:
            await self.start()
        except (JaildError, Crash):
            await self.die()
            return False
        self.core.standbys.run()
        self.core.use_cases.confirmations.run()
        self.core.use_cases.staging.run()
        self.id = self.core.inventory.host_id
        return True

    async def die(self) -> None:
        """End its daemon as it stands."""
        self.life.kill()
        with suppress(JaildError, Crash):
            await self.kill()

    async def lose(self) -> None:
        """Lose power: nothing runs any more, the daemon neither; the pool is as a boot will find it."""
        await self.die()
        self.powered = False
        self.boots += 1
        await self.lose_power()


@dataclass
class Write:
    """One write that a client was told is done."""

    text: str
    at: float  # true time


@dataclass
class Told:
    """What clients of one jail (by uid) were told."""

    writes: list[Write] = field(default_factory=list)
    epoch: int = 0  # the highest with which it was seen running
    took: set[str] = field(default_factory=set)  # hosts that it was started on by an epoch of a failover
    deleted: bool = False


class World:
    """The hosts, their network, and what clients and operators were told. A context: everything ends with it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.loop = VirtualLoop()
        self.network = Network()
        self.folder = folder
        self.told: dict[str, Told] = {}
        self.accounted: set[tuple[str, float, float]] = set()
        self.serial = 0
        self.ordered: Counter[tuple[str, str]] = Counter()  # failovers (host, jail) that are being asked for in words
        self.seen: list[str] = []  # what was wrong for a moment at least
        self._random = random.Random(seed)  # noqa: S311 -- so that an example is the same each time
        self._patches: list[Any] = [
            mock.patch.object(uuid, "uuid4", self._uuid),
            mock.patch.object(zfs_pool, "new_guid", self._guid),
        ]
        self.hosts: dict[str, ModelHost] = {}

    def __enter__(self) -> Self:
        for patch in self._patches:
            patch.start()
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(_untold)
        self.hosts = {name: self._host(name) for name in NAMES}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.loop.carry_out(self._ended())
        finally:
            for patch in self._patches:
                patch.stop()
            asyncio.set_event_loop(None)
            self.loop.close()

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    def _guid(self) -> int:
        return self._random.getrandbits(62) | 1

    def _host(self, name: str) -> ModelHost:
        return ModelHost(self.folder / name, name, self.network, self.loop, self._started)

    def _started(self, jail: str) -> None:
        for host in self.hosts.values():
            record = host.record(jail)
            if record is not None and host.runs(jail) and record.epoch > LEAP:
                self.told.setdefault(record.uid, Told()).took.add(host.name)
        running = [host for host in self.hosts.values() if host.runs(jail)]
        if len(running) > 1:
            self.seen.append(f"{jail} runs more than once: {', '.join(host.told_of(jail) for host in running)}")

    async def _ended(self) -> None:
        for host in self.hosts.values():
            await host.die()
        current = asyncio.current_task()
        left = [task for task in asyncio.all_tasks() if task is not current]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def furnish(self) -> None:
        """Start all hosts; the first has what jails are made of."""
        for host in self.hosts.values():
            assert await host.boot()
        first = self.hosts[NAMES[0]]
        for base in ("deb-1", "deb-2"):
            await first.add_base(base)
        for release in ("web/1", "web/2"):
            await first.add_release(release)

    def end(self, jail: str) -> None:
        """Let the first process of a jail end, wherever it runs."""
        for host in self.hosts.values():
            for run in [host.runtime.by_name[name] for name in host.runs(jail)]:
                host.runtime.end(jail, run.spec.generation, 1)

    # -- clients

    def owner(self, jail: str) -> ModelHost | None:
        """Return the host that runs a jail."""
        return next((host for host in self.hosts.values() if host.runs(jail)), None)

    def write(self, jail: str) -> bool:
        """Let a client write; it is told that it is done once it is in the running jail's data."""
        host = self.owner(jail)
        record = host.record(jail) if host is not None else None
        place = host.log_of(jail) if host is not None else None
        if record is None or place is None:
            return False
        self.serial += 1
        text = f"{self.serial}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("a") as log:
            log.write(f"{text}\n")
        self.told.setdefault(record.uid, Told()).writes.append(Write(text, self.loop.time()))
        return True

    def account_failovers(self, jail: str) -> None:
        """Strike out what a failover said is lost: what the former owner wrote after a moment, by its clock."""
        for host in self.hosts.values():
            record = host.record(jail)
            if record is None or record.failover is None or record.uid not in self.told:
                continue
            failover, told = record.failover, self.told[record.uid]
            key = (record.uid, failover.at, failover.since)
            former = self.hosts.get(failover.host) if record.owner == host.id else host
            if key in self.accounted or former is None:
                continue
            self.accounted.add(key)
            since = former.wall.first(failover.since - 1.0)  # told in whole seconds
            told.writes = [write for write in told.writes if write.at < since]

    def spec(self, standbys: tuple[str, ...], release: str = "web/1", base: str = "deb-1") -> JailSpec:
        """Return what a jail is to be."""
        standby = Standby(peers=standbys, interval=INTERVAL) if standbys else None
        return JailSpec(base=base, app=release, standby=standby, restart=_RESTART)


def _untold(_loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
    """Be silent about tasks that nobody waits for since their daemon is dead."""
    if not isinstance(told.get("exception"), (Crash, JaildError, type(None))):
        sys.stderr.write(f"{told.get('message')}: {told.get('exception')!r}\n")


def free_life(life: Life) -> None:
    """Let a daemon's calls count for nothing again."""
    life.counting, life.at = False, None
    life.calls.clear()
