"""Health after the readiness checks: one loop goes on with the liveness checks of all jails that run here.

    each second: who runs and is due? ─► their rounds, spread over the second
                                              └─► healthy, unhealthy: in the jail's view, an event when it changes

One round of a jail is under way at most: a check that hangs delays its own jail's next round, and nobody else's. How
jails are is remembered by no disk: the next daemon finds those that run, and asks them.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from operator import attrgetter

import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.jails.health import HealthChecks
from jaild.jails.restarts import Restarts
from jaild.model import quantity
from jaild.model.jails.authority import Intent
from jaild.model.jails.liveness import Health, HealthStatus, after_round
from jaild.model.jails.spec import Liveness
from jaild.model.layers.records import Generation
from jaild.ports.runtime import Run

TASK = "liveness checks"
_LOOK = 1.0  # seconds between two looks at who runs: as late a jail that was started is found
_TOGETHER = 0.05  # seconds: what is due so close together is begun at once
# While these are under way the jail serves, until its record says that it is frozen.
_SERVES_ON = frozenset({"migrate", "test-migration", "salvage", "standby"})


@dataclass
class _Watched:
    """A run that is checked."""

    entry: JailEntry
    generation: Generation
    liveness: Liveness
    run: Run
    due: float  # (monotonic) when its next round is
    asking: bool = False  # one is under way


class LivenessChecks:
    """Checks the jails that run, and keeps in the inventory how they are."""

    def __init__(self, engine: Engine, health_checks: HealthChecks, restarts: Restarts) -> None:
        self._inventory = engine.inventory
        self._dispatcher = engine.dispatcher
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._health_checks = health_checks
        self._restarts = restarts
        self._watched: dict[str, _Watched] = {}
        self._log = structlog.get_logger("jaild.liveness")

    def run(self) -> None:
        """Begin, for as long as the daemon lives; said again it changes nothing."""
        self._supervisor.retry(TASK, self._watch, lasting=True)

    async def _watch(self) -> None:
        for watched in self._watched.values():
            watched.asking = False  # those of an attempt before this one ended with it
        async with asyncio.TaskGroup() as group:
            while True:
                began = self._clock.monotonic()
                for watched in self._due_before(began + _LOOK):
                    if (early := watched.due - self._clock.monotonic()) > _TOGETHER:
                        await self._clock.sleep(early)
                    watched.asking = True
                    group.create_task(self._round(watched))
                await self._clock.sleep(max(began + _LOOK - self._clock.monotonic(), 0.0))

    def _due_before(self, moment: float) -> list[_Watched]:
        """Look at who runs; return those whose round is due before a moment, in order."""
        for name in self._watched.keys() - self._inventory.jails.keys():
            del self._watched[name]
        due: list[_Watched] = []
        for name, entry in self._inventory.jails.items():
            run, generation, watched = entry.run, entry.generation, self._watched.get(name)
            if run is None or not run.running or generation is None or generation.spec.liveness is None:
                if watched is not None:
                    del self._watched[name]
                entry.health = None
                continue
            if watched is None or watched.run is not run or watched.generation is not generation:
                watched = self._begun(entry, generation, generation.spec.liveness, run)
            if watched.due < moment and not watched.asking:
                due.append(watched)
        due.sort(key=attrgetter("due"))
        return due

    def _begun(self, entry: JailEntry, generation: Generation, liveness: Liveness, run: Run) -> _Watched:
        """Begin to watch a run: its first round is somewhere in its first interval, so that all are spread over it."""
        now = self._clock.monotonic()
        due = now + random.uniform(0.0, liveness.interval)  # noqa: S311 -- to spread them
        watched = _Watched(entry, generation, liveness, run, due)
        self._watched[entry.name] = watched
        entry.health = HealthStatus(since=self._clock.now())
        return watched

    async def _round(self, watched: _Watched) -> None:
        entry, generation = watched.entry, watched.generation
        try:
            if self._is_checkable(watched):
                problem = await self._health_checks.problems(entry.name, generation.number, generation.spec)
                if self._is_checkable(watched):  # what a stop made of it says nothing
                    await self._judge(watched, problem)
        except Exception:  # noqa: BLE001 -- one jail that is sick harms no other
            self._log.exception("a round of liveness checks died", jail=watched.entry.name)
        finally:
            watched.asking = False
            # Late ones are not made up for.
            watched.due = max(watched.due + watched.liveness.interval, self._clock.monotonic())

    def _is_checkable(self, watched: _Watched) -> bool:
        """Whether the run is still the jail's, and nobody changes it."""
        entry = watched.entry
        return (
            entry.run is watched.run
            and entry.generation is watched.generation
            and not self._dispatcher.is_changing(f"jails/{entry.name}", but=_SERVES_ON)
            and self._inventory.may(entry, Intent.RUN_ON)
        )

    async def _judge(self, watched: _Watched, problem: str) -> None:
        entry = watched.entry
        before = entry.health or HealthStatus(since=self._clock.now())
        now = entry.health = after_round(before, problem, self._clock.now(), watched.liveness.failures)
        if now.state is before.state or now.flaps == 0:
            return  # a jail that becomes healthy for the first time is what all expect
        if now.state is Health.UNHEALTHY:
            message, kind = (
                f"{quantity.count(now.failures, 'round')} of liveness checks failed: {now.output}",
                "jail.unhealthy",
            )
        else:
            message, kind = f"healthy after {now.since - before.since:.0f} s", "jail.healthy"
        await self._events.emit(kind, f"jails/{entry.name}", message, flaps=str(now.flaps))
        if now.state is Health.UNHEALTHY:
            await self._restarts.unhealthy(entry, watched.run)
