"""What a rollout's plan said, beside what came of it: both as `jailctl -o json` prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.demo.table import Promise

CANARIES = 0
_Step = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rolled:
    """A rollout that is over. `sick`: the jail that cannot become healthy; `soak`: seconds.

    `guids` of bases by name, `jails` as their host shows them now, by name.
    """

    plan: Mapping[str, Any]
    done: Mapping[str, Any]
    sick: str
    soak: float
    max_parallel: int
    guids: Mapping[str, str]
    jails: Mapping[str, Mapping[str, Any]]


def broken(rolled: Rolled) -> list[str]:
    """Return every jail, and every order of jails, that is not as the plan said."""
    planned, done = (_by_jail(each["steps"]) for each in (rolled.plan, rolled.done))
    if planned.keys() != done.keys():
        return [f"other jails than planned: {sorted(planned.keys() ^ done.keys())}"]
    found = [problem for jail in planned for problem in _of_jail(rolled, planned[jail], done[jail])]
    return [*found, *_waves(rolled), *_at_once(rolled)]


def _of_jail(rolled: Rolled, planned: _Step, done: _Step) -> Iterator[str]:
    refused, sick = planned["state"] == "refused", planned["jail"] == rolled.sick
    moves = not (refused or sick)
    state = planned["state"] if refused else "failed" if sick else "done"
    base = planned["target"] if moves else planned["before"]
    jail = rolled.jails[planned["jail"]]
    expected = {
        "state": (state, done["state"]),
        "wave": (planned["wave"], done["wave"]),
        "base": (base, jail["base"]),
        "generation": (2 if moves else 1, jail["generation"]),  # more: it was moved twice
        "jail's state": ("running", jail["state"]),
        "base that the rollout tells": (base, done["runs"]["base"]),
        "guid that the rollout tells": (rolled.guids[base], done["runs"]["baseGuid"]),
    }
    for what, (wanted, have) in expected.items():
        if wanted != have:
            yield f"{planned['jail']}: {what} is {have}, not {wanted}"
    if refused and planned["reason"] != done["reason"]:
        yield f"{planned['jail']}: refused for {done['reason']}, not {planned['reason']}"


def _waves(rolled: Rolled) -> Iterator[str]:
    """Yield the waves that began before the one before them was over."""
    moved = [step for step in rolled.done["steps"] if step["state"] == "done"]
    waves = {wave: [step for step in moved if step["wave"] == wave] for wave in sorted({s["wave"] for s in moved})}
    for before, after in pairwise(waves):
        if min(_began(step) for step in waves[after]) < max(_over(step, rolled.soak) for step in waves[before]):
            yield f"wave {after} began before wave {before} was over"


def _at_once(rolled: Rolled) -> Iterator[str]:
    """Yield the moments at which more were changed or watched than may be."""
    moved = [step for step in rolled.done["steps"] if step["state"] == "done"]
    for step in moved:
        moment = _began(step)
        count = sum(_began(each) <= moment < _over(each, rolled.soak) for each in moved)
        if count > rolled.max_parallel:
            yield f"{count} at once when {step['jail']} began"


def rows(rolled: Rolled) -> Iterator[Promise]:
    """Yield what was planned and what happened, for people: the canary, each wave, who is left out, and the sums."""
    plan, done = rolled.plan, _by_jail(rolled.done["steps"])
    canary = done[rolled.sick]
    yield Promise("canary", "first, alone", f"{canary['state']}: {canary['reason']}; back on {_base(canary)}")
    waiting = [step for step in plan["steps"] if step["state"] == "waiting" and step["wave"] != CANARIES]
    for wave in sorted({step["wave"] for step in waiting}):
        jails = [step["jail"] for step in waiting if step["wave"] == wave]
        bases = sorted({_base(done[jail]) for jail in jails})
        states = sorted({done[jail]["state"] for jail in jails})
        happened = f"{len(jails)} {', '.join(states)}, on {', '.join(bases)}"
        yield Promise(f"wave {wave}", f"{len(jails)} to {_short(plan['target'])}", happened)
    for step in plan["steps"]:
        if step["state"] == "refused":
            after = done[step["jail"]]
            untouched = f"generation {after['runs']['generation']}, on {_base(after)}"
            yield Promise(_short(step["jail"]), f"refused: {step['reason']}", untouched)
    downtimes = [float(step["downtime"].removesuffix("s")) for step in done.values() if step["state"] == "done"]
    at_least = "at least " if plan["expectedAtLeast"] else ""
    planned = f"{at_least}{float(plan['expectedDowntime'].removesuffix('s')):.2f} s"
    yield Promise("downtime, in sum", planned, f"{sum(downtimes):.2f} s of the {len(downtimes)} that moved")


def _by_jail(steps: Sequence[_Step]) -> dict[str, _Step]:
    return {step["jail"]: step for step in steps}


def _began(step: _Step) -> datetime:
    return datetime.fromisoformat(step["beginTime"])


def _over(step: _Step, soak: float) -> datetime:
    return datetime.fromisoformat(step["moveTime"]) + timedelta(seconds=soak)


def _base(step: _Step) -> str:
    return _short(step["runs"]["base"])


def _short(name: str) -> str:
    return name.rpartition("/")[2]
