"""How a rollout over hosts stands, for who is woken by it: what, why, what may be done, then what is not well. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from jaild.model import maintenance
from jaild.model.errors import JaildError
from jaild.model.quantity import count
from jaild.model.replication.policy import moment
from jaild.model.rollouts.decision import IN_FLIGHT, MemberState, RolloutState
from jaild.model.rollouts.fleet import FleetRollout, HostStep, Word
from jaild.salt import plain
from jaild.salt.rollout.messages import HostPlan, JailRuns
from jaild.salt.rollout.planning import Planned

MOST = 20  # hosts of a kind that are told one by one
_TROUBLE = frozenset({MemberState.FAILED, MemberState.STUCK, MemberState.REFUSED})
_RUN = "salt-run jaild_rollout."
_WORDS = {
    RolloutState.RUNNING: ("pause", "cancel", "undo"),
    RolloutState.PAUSED: ("resume", "cancel", "undo"),
    RolloutState.CANCELLING: ("undo",),
    RolloutState.DONE: ("undo",),
    RolloutState.CANCELLED: ("undo",),
    RolloutState.INCOMPLETE: ("undo",),
}


def brief(rollout: FleetRollout, steps: Sequence[HostStep]) -> dict[str, Any]:
    """Return a rollout in a few words, for a list."""
    counts = Counter(step.state for step in steps)
    told = {
        "state": rollout.state.value,
        "why": rollout.message,
        "what": what(rollout),
        "hosts": f"{counts[MemberState.DONE] + counts[MemberState.SKIPPED]} of {len(steps)} done",
        "begun": moment(rollout.created),
        "ended": moment(rollout.finished) if rollout.over else "",
        "by": rollout.actor,
    }
    return {name: value for name, value in told.items() if value}


def status(
    rollout: FleetRollout,
    steps: Sequence[HostStep],
    *,
    pid: int | None,
    words: Sequence[tuple[Word, str]],
    messages: Mapping[int, tuple[int, int]],
    now: float,
) -> dict[str, Any]:
    """Return how it stands.

    `pid`: the process that carries it out. `words`: what that has not heard yet. `messages`: jobs and answers by wave.
    """
    policy = rollout.spec.policy
    counted = sum(step.counts for step in steps)
    moving = sum(step.state not in {MemberState.REFUSED, MemberState.SKIPPED} for step in steps)
    jails = sum(step.jails for step in steps)
    failed = sum(step.jails_failed - step.jails_forgiven for step in steps)
    told = {
        "rollout": rollout.id,
        "state": rollout.state.value,
        "why": rollout.message or _waits_for(rollout, steps, now),
        "what": what(rollout),
        "next": [f"{_RUN}{word} {rollout.id}" for word in _WORDS.get(rollout.state, ())],
        "carried_out_by": _by(rollout, pid),
        "not_heeded_yet": [f"{word} by {actor}" for word, actor in words],
        "wave": _wave(steps),
        "hosts": _counts(steps),
        "jails": {
            "moved": sum(step.jails_moved for step in steps),
            "failed": sum(step.jails_failed for step in steps),
            "of": jails,
        },
        "failures": {
            "hosts": f"{counted} of {policy.failure_budget.of(moving)} that may",
            "jails": f"{failed} of {policy.jail_budget.of(jails)} that may" if policy.jail_budget else str(failed),
        },
        "silent": _some(steps, lambda step: step.silent, now),
        "trouble": _some(steps, _is_trouble, now),
        "under_way": _some(steps, lambda step: step.state in IN_FLIGHT and not step.silent, now),
        "messages": {
            f"wave {wave}" if wave else "canaries": f"{count(jobs, 'job')}, {count(answers, 'answer')}"
            for wave, (jobs, answers) in messages.items()
        },
        "begun": f"{moment(rollout.created)} by {rollout.actor}",
        "deadline": moment(rollout.deadline) if rollout.deadline and not rollout.over else "",
        "ended": moment(rollout.finished) if rollout.over else "",
    }
    return {name: value for name, value in told.items() if value not in ("", [], {})}


def _by(rollout: FleetRollout, pid: int | None) -> str:
    if rollout.over or pid:
        return f"process {pid}" if pid else ""
    if rollout.state is RolloutState.PAUSED:
        return "nobody: it waits for a word"
    return f"nobody: {_RUN}go_on {rollout.id}"


def text(told: Mapping[str, Any]) -> str:
    """Return what `status` returns as lines, in its order."""
    return "\n".join(line for name, value in told.items() for line in _lines(name.replace("_", " "), value))


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key} {each}" for key, each in value.items())
    if not isinstance(value, list):
        yield f"{name}: {value}"
        return
    yield f"{name}:"
    yield from (f"  {each}" for each in value)


def what(rollout: FleetRollout) -> str:
    """Return what is rolled out, and where."""
    each = rollout.spec.each
    layer = next((each[name] for name in ("base", "channel", "release") if each.get(name)), "")
    return f"{layer} on {rollout.spec.target}"


def plan(planned: Planned, plans: Mapping[str, HostPlan]) -> dict[str, Any]:
    """Return what would be done: waves with hosts and jails, each host's findings, and what was found of all."""
    waves: dict[str, dict[str, Any]] = {}
    for step in planned.steps:
        if step.state is MemberState.WAITING and not step.silent:
            name = "canaries" if not step.wave else f"wave {step.wave}" + (f" ({step.site})" if step.site else "")
            waves.setdefault(name, {})[step.name] = _host_plan(step, plans[step.name])
    jails = sum(step.jails for step in planned.steps)
    told = {
        "what": what(planned.rollout),
        "hosts": sum(map(len, waves.values())),
        "jails": jails,
        "takes": f"about {planned.seconds:.0f} s",
        "errors": [_problem(each) for each in planned.errors],
        "warnings": [_problem(each) for each in planned.problems if each not in planned.errors],
        "waves": waves,
        "silent": [step.name for step in planned.steps if step.silent],
        "refused": {
            step.name: _refusal(step, plans[step.name]) for step in planned.steps if step.state is MemberState.REFUSED
        },
        "nothing_to_do": len(planned.idle),
    }
    return {name: value for name, value in told.items() if value not in ([], {}, 0)}


def host(steps: Sequence[HostStep], plans: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that is known of one host: its step, its plan, and what its jails run."""
    made = msgspec.convert(plans, dict[str, HostPlan])
    told: dict[str, Any] = {}
    for step in steps:
        plan_of_it = {"plan": _host_plan(step, made[step.name])} if step.name in made else {}
        told |= {**msgspec.to_builtins(step), **plan_of_it}
    known = msgspec.convert(found, dict[str, list[JailRuns]])
    return {**told, **({"runs": _jails(*known.values())} if known else {})}


def runs(found: Mapping[str, Sequence[JailRuns]], unknown: Sequence[str]) -> dict[str, Any]:
    """Return what runs where, by host and jail; and who has not said it."""
    told: dict[str, Any] = {name: _jails(jails) for name, jails in found.items()}
    return {"hosts": told, **({"unknown": list(unknown)} if unknown else {})}


def refusal(error: JaildError) -> dict[str, Any]:
    """Return why something was not done."""
    told = {
        "refused": error.message,
        "reason": error.reason,
        "hint": error.hint,
        "problems": [_problem(each) for each in error.problems],
    }
    return {name: value for name, value in told.items() if value}


def _jails(jails: Sequence[JailRuns]) -> dict[str, Any]:
    return {
        jail.name: {name: value for name, value in msgspec.to_builtins(jail).items() if name != "name"}
        for jail in jails
    }


def _host_plan(step: HostStep, made: HostPlan) -> dict[str, Any]:
    jails = made.jails
    told: dict[str, Any] = {"group": step.group} if step.group else {}
    told["jails"] = {
        jail.name: f"{plain.short(jail.before)} -> {plain.short(jail.target)}" if not jail.refused else "stays out"
        for jail in jails
    }
    problems = {jail.name: [*jail.problems] for jail in jails if jail.problems}
    return {**told, **({"problems": problems} if problems else {})}


def _refusal(step: HostStep, made: HostPlan) -> dict[str, Any]:
    jails = made.jails
    problems = {jail.name: [*jail.problems] for jail in jails if jail.problems}
    return {
        "reason": step.reason,
        "message": step.message,
        "hint": step.hint,
        **({"problems": problems} if problems else {}),
    }


def _problem(problem: Any) -> str:
    hint = f" -- {problem.hint}" if problem.hint else ""
    return f"{problem.code}: {problem.message}{hint}"


def _waits_for(rollout: FleetRollout, steps: Sequence[HostStep], now: float) -> str:
    """Return what a rollout waits for that looks idle: racks of silent hosts, hosts that refused, its windows."""
    return "; ".join(filter(None, [_silent_racks(steps), _tried_again(steps, now), _closed(rollout, steps, now)]))


def _tried_again(steps: Sequence[HostStep], now: float) -> str:
    later = [step for step in steps if step.state is MemberState.WAITING and step.not_before > now]
    if not later:
        return ""
    first = min(later, key=lambda step: step.not_before)
    told = f"{first.name} refused ({first.reason}: {first.message}), and is tried again at {moment(first.not_before)}"
    return f"{told}, and {count(len(later) - 1, 'host')} likewise" if len(later) > 1 else told


def _closed(rollout: FleetRollout, steps: Sequence[HostStep], now: float) -> str:
    windows = rollout.spec.policy.maintenance
    opens = maintenance.next_opening(windows, now) if windows else now
    waits = rollout.state is RolloutState.RUNNING and any(step.state is MemberState.WAITING for step in steps)
    if opens <= now or not waits:
        return ""
    return f"its maintenance windows are closed until {moment(opens) if math.isfinite(opens) else 'further notice'}"


def _silent_racks(steps: Sequence[HostStep]) -> str:
    silent = {step.group: step.name for step in steps if step.silent and step.state in IN_FLIGHT and step.group}
    held = Counter(step.group for step in steps if step.state is MemberState.WAITING and step.group in silent)
    if not held:
        return ""
    told = [f"{number} of {group} wait for {silent[group]}" for group, number in held.most_common(MOST)]
    return f"{'; '.join(told)}, silent in mid-change: see to it; `resume` gives it up"


def _wave(steps: Sequence[HostStep]) -> str:
    is_open = {MemberState.WAITING} | IN_FLIGHT
    now = min((step.wave for step in steps if step.state in is_open and not step.silent), default=None)
    if now is None:
        return ""
    sites = sorted({step.site for step in steps if step.wave == now and step.site})
    told = "canaries" if not now else f"{now} of {max(step.wave for step in steps)}"
    return f"{told} ({', '.join(sites)})" if sites else told


def _counts(steps: Iterable[HostStep]) -> dict[str, int]:
    counts = Counter("silent" if step.silent else step.state.value for step in steps)
    return dict(sorted(counts.items()))


def _some(steps: Sequence[HostStep], chosen: Any, now: float) -> list[str]:
    found = [step for step in steps if chosen(step)]
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return [*(line for step in found[:MOST] for line in _line(step, now)), *more]


def _is_trouble(step: HostStep) -> bool:
    """Return whether a host is not well, or was taken back since it was not."""
    failed = step.state in _TROUBLE or (step.state is MemberState.UNDONE and bool(step.reason))
    return failed and not step.silent


def _line(step: HostStep, now: float) -> Iterator[str]:
    place = f" ({step.group or step.site})" if step.group or step.site else ""
    why = f": {step.reason}: {step.message}" if step.reason else f": {step.message}" if step.message else ""
    since = f" for {now - step.began:.0f} s" if step.state in IN_FLIGHT and step.began else ""
    jails = f", {step.jails_moved} of {count(step.jails, 'jail')}" if step.state is MemberState.CHANGING else ""
    yield f"{step.name}{place} {step.state.value}{since}{jails}{why}" + (f" -- {step.hint}" if step.hint else "")
