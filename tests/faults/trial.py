"""One migration with one fault: what came of it, by itself and after both daemons were started again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from jaild.model.errors import JaildError
from jaild.model.operation import Operation
from tests.fakes.faults import Effect, Life
from tests.fakes.network import Network
from tests.faults import hanging, ledger, leftovers
from tests.faults.host import RealHost
from tests.faults.pair import JAIL, Hosts, forget_copy, migrate
from tests.faults.points import Point
from tests.hosts import invariants

_LONGEST = 600.0  # seconds of a trial
_SERVES = 60.0  # seconds within which a jail that serves has said something new
Without = dict[str, Counter[str]]  # what owner and other have after a migration without a fault


@dataclass
class Row:
    """What came of a point."""

    point: Point | None
    reached: bool = True
    outcome: str = ""  # moved, stayed, or nothing that is right
    operation: str = "done"  # why it failed
    owners: list[str] = field(default_factory=list)
    most_owners: int = 0  # at any time that somebody looked
    downtime: float | None = None
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def lost(self) -> bool:
        """Whether a write that was acknowledged is not there any more."""
        return any(problem.startswith("lost") for problem in self.problems)


@dataclass
class Trial:
    """A point on a pair. `calls` are those of the three sides; `after` is what owner and other have at its end."""

    hosts: Hosts
    source: RealHost
    mode: str
    point: Point | None = None
    without: Without | None = None
    calls: dict[str, Sequence[str]] = field(default_factory=dict)
    after: Without = field(default_factory=dict)

    async def run(self) -> Row:
        """Try it. Afterwards the jail runs on one of the hosts, ready for the next, unless there were problems."""
        row = Row(self.point)
        began = time.monotonic()
        try:
            async with asyncio.timeout(_LONGEST):
                await self._run(row)
        except TimeoutError:
            row.problems.append("it never ends")
            hanging.tell()
        except JaildError as error:
            row.problems.append(f"{error.reason}: {error.message}")
        row.seconds = time.monotonic() - began
        return row

    async def _run(self, row: Row) -> None:
        target = self.hosts.other(self.source)
        async with self._armed(target, row):
            operation = await self._struggle(self.source, target)
            await self.hosts.network.deliver()
        row.downtime = operation.downtime
        if operation.failure is not None:
            row.operation = operation.failure.reason
        if self.point is None and operation.failure is not None:
            row.problems.append(f"without a fault: {row.operation}: {operation.failure.message}")
        await self._look(row, "after the fault")
        if not self.source.life.dead and not target.life.dead:
            row.problems += [f"before a restart: {problem}" for problem in await self._by_itself(operation)]
            await self._look(row, "before a restart")
        for host in self.hosts.both:
            await host.restart()
        for host in self.hosts.both:
            await host.quiet()
        await self._look(row, "after a restart")
        await self._settled(row, target)

    # -- the fault

    @asynccontextmanager
    async def _armed(self, target: RealHost, row: Row) -> AsyncIterator[None]:
        """Count the calls of all sides; let the fault strike one of them."""
        network, source = self.hosts.network, self.source
        ends = {"source": source.life, "target": target.life}
        network.label = lambda call: call.replace(source.name, "source").replace(target.name, "target")
        network.calls, network.at, network.hit = [], None, False
        for life in ends.values():
            life.calls, life.at, life.hit = [], None, False
        struck: Network | Life = ends.get(self.point.side, network) if self.point is not None else network
        if self.point is not None:
            struck.at = (self.point.call, self.point.nth)
            if isinstance(self.point.fault, Effect):
                ends[self.point.side].effect = self.point.fault
            else:
                network.fault = self.point.fault
        counting: list[Network | Life] = [network, *ends.values()]
        for each in counting:
            each.counting = True
        try:
            yield
        finally:
            for each in counting:
                each.counting, each.at = False, None
            row.reached = self.point is None or struck.hit
            self.calls = {"link": network.calls, **{side: life.calls for side, life in ends.items()}}

    async def _struggle(self, source: RealHost, target: RealHost) -> Operation:
        """Migrate; whoever dies or is cut off comes back while the other one is still trying."""
        network = self.hosts.network
        operation = await migrate(source, target)
        end = asyncio.create_task(source.end_of(operation))
        while not end.done():
            died = asyncio.create_task(target.life.died.wait())
            cut = asyncio.create_task(network.cut.wait())
            await asyncio.wait({end, died, cut}, return_when=asyncio.FIRST_COMPLETED)
            for task in (died, cut):
                task.cancel()
            if target.life.dead and not source.life.dead:
                await target.restart()
            if network.down:
                await asyncio.sleep(0.2)  # how long a network is down is nobody's event
                network.heal()
        network.heal()
        return await end

    # -- what came of it

    async def _look(self, row: Row, when: str) -> None:
        """Look who owns the jail now, and whether it runs twice."""
        row.owners = await invariants.owners(self.hosts.both, JAIL)
        row.most_owners = max(row.most_owners, len(row.owners))
        row.problems += [f"{when}: {problem}" for problem in await invariants.unsafe(self.hosts.both, JAIL)]

    async def _by_itself(self, operation: Operation) -> list[str]:
        """Return what both live daemons have not brought in order by themselves."""
        wrong = [] if operation.done else ["the operation is not done"]
        for host in self.hosts.both:
            await host.quiet()
        if operation.failure is not None and operation.failure.reason == "ACTIVATED_UNHEALTHY":
            return wrong  # it is said that the target could not start it
        for host in self.hosts.both:
            wrong += invariants.unended(host)
        return wrong + await invariants.unserved(self.hosts.both, JAIL)

    async def _settled(self, row: Row, target: RealHost) -> None:
        """Compare all that is there with what should be, then move the jail once more."""
        row.problems += await invariants.unserved(self.hosts.both, JAIL)
        for host in self.hosts.both:
            row.problems += await invariants.unsettled(host)
        if len(row.owners) != 1:
            row.outcome = f"owned by {len(row.owners)}"
            return
        owner = next(host for host in self.hosts.both if host.name in row.owners)
        row.outcome = "moved" if owner is target else "stayed"
        row.problems += await self._nothing_lost(owner)
        again = await self._again(owner)
        row.problems += again
        if again:
            return
        owner, other = self.hosts.other(owner), owner
        row.problems += await self._nothing_lost(owner)
        self.after = {"owner": await leftovers.of(owner), "other": await leftovers.of(other)}
        for role, without_fault in (self.without or {}).items():
            row.problems += [f"{role}: {d}" for d in leftovers.difference(self.after[role], without_fault)]
        if self.mode == "first":
            await forget_copy(other)

    async def _nothing_lost(self, owner: RealHost) -> list[str]:
        """Return what is lost, or whether the jail does not go on writing."""
        file = owner.core.inventory.jails[JAIL].folder / "data" / ledger.FILE
        said = len(owner.acknowledged(JAIL))
        try:
            async with asyncio.timeout(_SERVES):
                while len(owner.acknowledged(JAIL)) <= said:  # noqa: ASYNC110 -- a jail that writes tells nobody
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return ["it does not serve: it writes nothing new"]
        acknowledged = self.hosts.acknowledged()
        return ledger.problems(acknowledged, [int(line) for line in file.read_text().split()])

    async def _again(self, owner: RealHost) -> list[str]:
        """Move it once more: nothing of the fault is in the way."""
        try:
            ended = await owner.end_of(await migrate(owner, self.hosts.other(owner)))
        except JaildError as error:
            return [f"migrated again: {error.reason}: {error.message}"]
        if ended.failure is not None:
            return [f"migrated again: {ended.failure.reason}: {ended.failure.message}"]
        return []
