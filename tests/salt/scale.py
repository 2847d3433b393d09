"""A rollout over 10,000 hosts that are made up, with failures, slow hosts and cuts: what it takes, wave by wave.

    python -m tests.salt.scale [--hosts 10000] [--jails 20] [--seed 1]

The planner, the driver and its store are the real ones; hosts and their clock are `tests.fakes.fleet`.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from jaild.model.rollouts.decision import Decision, MemberState, RolloutState
from jaild.model.rollouts.fleet import FleetPolicy, FleetRollout, FleetSpec, HostStep, Word
from jaild.model.rollouts.policy import Share
from jaild.salt.rollout.planning import Order, Where, planned
from jaild.salt.rollout.service import Rollouts
from jaild.salt.rollout.store import Store
from tests.fakes.fleet import START, Fleet, Host

RACK = 40  # hosts
SITES = 5
_MEMORY = Path("/dev/shm")
POLICY = FleetPolicy(
    canaries=10,
    waves=(Share(1, percent=True), Share(10, percent=True), Share(30, percent=True)),
    max_parallel=250,
    min_healthy_time=60.0,
    failure_budget=Share(3, percent=True),
    jail_budget=Share(1, percent=True),
    healthy_deadline=300.0,
)


def hosts(count: int, jails: int, seed: int) -> Iterator[Host]:
    """Make hosts: of a thousand ten fail or become sick, ten are cut off for a while, one for good, twenty are slow."""
    chance = random.Random(seed)  # noqa: S311  # to be made again
    for number in range(count):
        site, rack = number % SITES, number // SITES // RACK
        kind, begin = chance.random(), START + chance.uniform(0, 3 * 3600)
        yield Host(
            name=f"edge-{number:05}",
            site=f"site-{site}",
            group=f"rack-{site}-{rack}",
            jails=jails,
            seconds=chance.uniform(40, 120),
            failing=1 if kind < 0.005 else 0,
            sick_after=20.0 if 0.005 <= kind < 0.010 else None,
            away=((begin, math.inf),)
            if kind >= 0.999
            else ((begin, begin + chance.uniform(30, 1500)),)
            if kind >= 0.989
            else (),
            slow=chance.uniform(5, 45) if 0.010 <= kind < 0.030 else 0.0,
        )


@dataclass
class Watch:
    """What it took, by the wave that was begun last."""

    fleet: Fleet
    waves: dict[str, int]
    lines: list[tuple[int, float, float, int, int, float]] = field(default_factory=list)
    _wave: int = -1

    def told(self, _: FleetRollout, decision: Decision) -> None:
        wave = max((self.waves[name] for name in decision.start), default=self._wave)
        if wave > self._wave:
            self._wave = wave
            self.note(wave)

    def note(self, wave: int) -> None:
        self.lines.append((wave, self.fleet.now(), time.process_time(), self.fleet.jobs, self.fleet.answers, memory()))


def memory() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--jails", type=int, default=20, help="of each host")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    begin, bare = time.process_time(), memory()
    fleet = Fleet(hosts(asked.hosts, asked.jails, asked.seed))
    made = memory()
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        store = Store(Path(folder))
        rollouts = Rollouts(store, lambda _: nullcontext(fleet))
        rollout = FleetRollout(
            id="scale", spec=FleetSpec(each={}, target="*", policy=POLICY), actor="scale", created=START
        )
        plans = rollouts.ask_plans(rollout, [*fleet.hosts])
        where = {host.name: Where(host.site, host.group) for host in fleet.hosts.values()}
        found = planned(rollout, plans, where, Order())
        _say(f"plan: {fleet.jobs} jobs, {fleet.answers} answers, {time.process_time() - begin:.1f} s of CPU")
        rollouts.accept(found, plans)
        del plans
        watch = Watch(fleet, {step.name: step.wave for step in found.steps})
        resumed = 0
        while rollouts.carry_out("scale", watch.told) and store.rollout("scale").state is RolloutState.PAUSED:
            _say(f"paused after {fleet.now() - START:.0f} s, and resumed: {store.rollout('scale').message}")
            rollouts.say("scale", Word.RESUME, "operator")
            resumed += 1
        watch.note(-1)
        _print(watch, found.steps)
        steps = store.steps("scale")
        told = store.rollout("scale")
    states = {state.value: sum(step.state is state for step in steps) for state in MemberState}
    counts = ", ".join(f"{count} {name}" for name, count in states.items() if count)
    _say(f"end: {told.state} {told.message}: {counts}")
    _say(f"resumed by its operator: {resumed} times")
    _say(f"hosts that do not answer: {sum(step.silent for step in steps)}")
    _say(f"two hosts of a rack at once: {len(fleet.together)}")
    _say(f"hosts begun twice: {sum(len(host.begun) > 1 for host in fleet.hosts.values())}")
    _say(f"messages on their way at once: {fleet.most_waiting} at most")
    others = f"Python and jaild {bare:.0f}, the hosts that are made up {made - bare:.0f}"
    _say(f"memory: {memory():.0f} MiB, of which {others}")
    _say(f"CPU: {time.process_time() - begin:.1f} s for {fleet.now() - START:.0f} s of the fleet")
    return 0


def _print(watch: Watch, steps: tuple[HostStep, ...]) -> None:
    _say(f"{'wave':>6} {'hosts':>6} {'takes':>8} {'CPU':>7} {'jobs':>6} {'answers':>8} {'memory':>9}")
    for (wave, at, used, jobs, answers, _), after in zip(watch.lines, watch.lines[1:], strict=False):
        count = sum(step.wave == wave for step in steps)
        took = (after[1] - at, after[2] - used, after[3] - jobs, after[4] - answers, after[5])
        _say(f"{wave:>6} {count:>6} {took[0]:>6.0f} s {took[1]:>5.1f} s {took[2]:>6} {took[3]:>8} {took[4]:>5.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
