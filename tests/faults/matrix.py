"""Runs points one after the other, each pair of hosts for as long as nothing went wrong on it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.host import RealHost
from tests.faults.pair import JAIL, Hosts, forget_copy, good, migrate, two_hosts
from tests.faults.points import Point, points_of
from tests.faults.trial import Row, Trial, Without
from tests.hosts import invariants

MODES = ("first", "again")
Choose = Callable[[Sequence[Point]], Sequence[Point]]


class NotSoundError(Exception):
    """A migration without a fault goes wrong: no point would tell anything."""


class Found(NamedTuple):
    """What a migration without a fault tells of a mode: its points, and what is there afterwards."""

    points: list[Point]
    without: Without


class Bench:
    """A pair, and in which mode its next migration is."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self._mode = MODES[0]

    async def discover(self, mode: str) -> Found:
        """Migrate without a fault."""
        trial = await self._trial(mode, None, None)
        row = await trial.run()
        if row.problems:
            raise NotSoundError(f"{mode}: {row.problems}")
        return Found(points_of(mode, trial.calls), trial.after)

    async def strike(self, point: Point, without: Without) -> Row:
        """Migrate with a fault."""
        return await (await self._trial(point.mode, point, without)).run()

    async def _trial(self, mode: str, point: Point | None, without: Without | None) -> Trial:
        owner = await self._owner()
        if (self._mode, mode) == ("first", "again"):
            other = self.hosts.other(owner)
            good(await owner.end_of(await migrate(owner, other)))
            owner = other
        elif (self._mode, mode) == ("again", "first"):
            await forget_copy(self.hosts.other(owner))
        self._mode = mode
        return Trial(self.hosts, owner, mode, point, without)

    async def _owner(self) -> RealHost:
        name = (await invariants.owners(self.hosts.both, JAIL))[0]
        return next(host for host in self.hosts.both if host.name == name)


async def run(folder: Path, cgroup: str, choose: Choose) -> AsyncIterator[Row]:
    """Find the points, and yield a row for each that was chosen. A pair on which something went wrong is replaced."""
    found: dict[str, Found] = {}
    todo: deque[Point] = deque()
    for number in itertools.count():
        async with two_hosts(folder / str(number), cgroup) as hosts:
            bench = Bench(hosts)
            if not found:
                found = {mode: await bench.discover(mode) for mode in MODES}
                todo.extend(choose([point for each in found.values() for point in each.points]))
            sound = True
            while todo and sound:
                row = await bench.strike(todo[0], found[todo.popleft().mode].without)
                sound = not row.problems
                yield row
        if not todo:
            return
