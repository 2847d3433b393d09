"""A rollout over hosts, of what each host says that its own would do: who goes when, and what was found. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from jaild.model.errors import InvalidArgumentError, JaildError
from jaild.model.problems import Problem, Severity
from jaild.model.quantity import count
from jaild.model.rollouts import policy as policies
from jaild.model.rollouts.decision import MemberState
from jaild.model.rollouts.fleet import FleetRollout, FleetSpec, HostStep, Look, next_decision
from jaild.model.rollouts.policy import LONGEST
from jaild.model.rollouts.waves import Target, arrange_sites, duration
from jaild.salt.rollout.messages import HostPlan

_NOTHING = "NOTHING_TO_ROLL_OUT"
_NAMED = 5  # hosts that a problem names
_LEAST = 1.0  # seconds that a host takes


@dataclass(frozen=True)
class Where:
    """Where a host is."""

    site: str = ""
    group: str = ""  # its rack, say: at most one host of a group of a site is changed at a time; empty: of none


@dataclass(frozen=True)
class Order:
    """Who goes first."""

    sites: tuple[str, ...] = ()  # these first, in this order; the others by name
    canaries: tuple[str, ...] = ()  # these hosts; if none, as many as the policy says


@dataclass(frozen=True)
class Planned:
    """What would be done."""

    rollout: FleetRollout
    steps: tuple[HostStep, ...]  # wave after wave; then who is silent, who refuses, who has nothing to do
    idle: tuple[str, ...]  # hosts where nothing is to be done
    problems: tuple[Problem, ...]
    seconds: float  # that it takes if nothing fails

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Return what lets it not begin."""
        return tuple(each for each in self.problems if each.severity is Severity.ERROR)


def require(spec: FleetSpec) -> None:
    """Raise `InvalidArgumentError` (INVALID_ROLLOUT) unless its policy makes sense."""
    policies.require(spec.policy)
    if not 1 <= spec.policy.silence <= spec.policy.give_up <= LONGEST:
        message = f"silence must be at least 1 second, and no more than give_up, which may be {LONGEST:.0f}"
        raise InvalidArgumentError("INVALID_ROLLOUT", message, hint="correct it and ask again")


def planned(rollout: FleetRollout, plans: Mapping[str, HostPlan], where: Mapping[str, Where], order: Order) -> Planned:
    """Return the plan of a rollout, of those of the hosts."""
    idle = tuple(name for name, plan in plans.items() if _reason(plan) == _NOTHING)
    refused = [name for name, plan in plans.items() if _reason(plan) not in {"", _NOTHING}]
    silent = {name: plan.error for name, plan in plans.items() if plan.error}
    moving = {name: plan for name, plan in plans.items() if plan.refused is None and not plan.error}
    placed = arrange_sites(_sites(moving, where, order.sites), rollout.spec.policy, order.canaries)
    steps = [
        HostStep(
            name=place.name,
            site=site,
            group=place.group,
            wave=place.wave,
            jails=sum(not jail.refused for jail in moving[place.name].jails),
            ailing=moving[place.name].ailing,
        )
        for site, place in placed
    ]
    last = max((step.wave for step in steps), default=1)
    steps += (_silent(name, why, where.get(name, Where()), last) for name, why in silent.items())
    steps += (_without_a_change(name, plans[name], where.get(name, Where())) for name in (*refused, *idle))
    problems = [
        *(_unknown_canaries(order.canaries, {*moving, *idle}) if moving else ()),
        *(_idle_canaries(order.canaries, idle) if moving else ()),
        *_different(moving),
        *_refusals(refused, plans, leave_out=rollout.spec.leave_out_refused),
        *_partly(moving),
        *_of_no_rack(steps),
        *_silences(silent),
    ]
    if not moving:
        problems.append(_nothing(len(idle)))
    if breach := next_decision(rollout, steps, {}, rollout.created).breach:
        problems.append(
            _problem(
                "ROLLOUT_REFUSED", f"it would stop at once: {breach}", hint="see to these hosts, or allow for them"
            )
        )
    seconds = {name: _LEAST + plan.duration for name, plan in moving.items()}
    return Planned(
        rollout=rollout,
        steps=tuple(steps),
        idle=idle,
        problems=tuple(problems),
        seconds=duration([place for _, place in placed], rollout.spec.policy, seconds),
    )


def in_the_way(steps: Iterable[HostStep], others: Iterable[tuple[str, Iterable[HostStep]]]) -> tuple[Problem, ...]:
    """Find rollouts that are not over and have a host or a rack of these steps; `others`: their ids and steps."""
    held = _held(steps)
    found = []
    for other, its_steps in others:
        if both := sorted(held & _held(its_steps)):
            found.append(
                _problem(
                    "ROLLOUT_UNDER_WAY",
                    f"rollout {other} has {_named(both)}: of a rack one host is changed at a time",
                    hint=f"wait for it, or end it: salt-run jaild_rollout.cancel {other}",
                )
            )
    return tuple(found)


def unreadable(error: JaildError) -> Problem:
    """Return what a rollout is in the way for that cannot be read: which racks it has is not known."""
    return _problem(error.reason, error.message, hint=error.hint)


def _held(steps: Iterable[HostStep]) -> set[str]:
    """Return the hosts that a rollout changes, or may take back, and their racks."""
    held = [step for step in steps if step.state not in {MemberState.REFUSED, MemberState.SKIPPED}]
    return {step.name for step in held} | {f"rack {step.group.removeprefix('/')}" for step in held if step.group}


def _sites(moving: Mapping[str, HostPlan], where: Mapping[str, Where], first: Sequence[str]) -> dict[str, list[Target]]:
    """Return the hosts by site, in order; those of a site by turns of each group, so that few wait for each other."""
    groups: dict[str, dict[str, list[Target]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(moving):
        place = where.get(name, Where())
        groups[place.site][_group(place)].append(Target(name, _group(place)))
    sites = [*(site for site in first if site in groups), *sorted(set(groups) - set(first))]
    return {site: list(_by_turns([*groups[site].values()])) for site in sites}


def _by_turns(groups: Sequence[Sequence[Target]]) -> Iterator[Target]:
    return (target for turn in zip_longest(*groups) for target in turn if target is not None)


def _silent(name: str, why: str, place: Where, wave: int) -> HostStep:
    return HostStep(
        name=name,
        site=place.site,
        group=_group(place),
        wave=wave,
        counts=True,
        silent=True,
        reason="HOST_SILENT",
        message=f"nothing was sent to it yet: {why}",
        hint="see to the host: it is asked again",
    )


def _without_a_change(name: str, plan: HostPlan, place: Where) -> HostStep:
    """Return the step of a host whose plan is refused, or has nothing to do: that host is as it is to be."""
    why = plan.refused or Look()
    return HostStep(
        name=name,
        site=place.site,
        group=_group(place),
        state=MemberState.SKIPPED if why.reason == _NOTHING else MemberState.REFUSED,
        reason=why.reason,
        message=why.message,
        hint=why.hint,
    )


def _group(place: Where) -> str:
    return f"{place.site}/{place.group}" if place.group else ""


# -- what was found


def _unknown_canaries(canaries: Collection[str], moving: Collection[str]) -> Iterator[Problem]:
    if absent := [name for name in canaries if name not in moving]:
        yield _problem(
            "INVALID_ROLLOUT", f"{_named(absent)}: canaries of which nothing is to be moved", hint="name others"
        )


def _idle_canaries(canaries: Collection[str], idle: Collection[str]) -> Iterator[Problem]:
    if tried := [name for name in canaries if name in idle]:
        message = f"{_named(tried)}: canaries that have nothing to do, and try nothing"
        yield _problem(_NOTHING, message, hint="name others, if it is to be tried", severity=Severity.WARNING)


def _nothing(idle: int) -> Problem:
    """Say that nothing is done: as it is to be where hosts said that they have nothing to do."""
    severity = Severity.WARNING if idle else Severity.ERROR
    return _problem(
        _NOTHING, "no host has anything to do", hint="see what each said; choose other hosts", severity=severity
    )


def _different(moving: Mapping[str, HostPlan]) -> Iterator[Problem]:
    """Find hosts whose target is another than that of most."""
    # By what it was made of, where that is known: what each host imported by itself has other guids.
    by_target: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, plan in moving.items():
        by_target[plan.target, plan.sha256 or str(plan.guid)].append(name)
    most, *others = sorted(by_target.items(), key=lambda item: -len(item[1])) or [(("", ""), [])]
    for (target, content), names in others:
        yield _problem(
            "TARGET_DIFFERS",
            f"{_named(names)}: there it is {target} ({content}), and {most[0][0]} ({most[0][1]}) on "
            f"{count(len(most[1]), 'host')}",
            hint="set the channel, or bring the same base or release to all of them",
        )


def _refusals(names: Sequence[str], plans: Mapping[str, HostPlan], *, leave_out: bool) -> Iterator[Problem]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_reason[_reason(plans[name])].append(name)
    for reason, hosts in by_reason.items():
        why = plans[hosts[0]].refused or Look()
        severity = Severity.WARNING if leave_out else Severity.ERROR
        yield _problem(reason, f"{_named(hosts)}: {why.message}", hint=why.hint, severity=severity)


def _partly(moving: Mapping[str, HostPlan]) -> Iterator[Problem]:
    refused = [name for name, plan in moving.items() if any(jail.refused for jail in plan.jails)]
    jails = sum(jail.refused for plan in moving.values() for jail in plan.jails)
    if not refused:
        return
    yield _problem(
        "ROLLOUT_REFUSED",
        f"{_named(refused)}: {count(jails, 'jail')} there stay out, their plans are refused",
        hint="each host's plan says why",
        severity=Severity.WARNING,
    )


def _of_no_rack(steps: Sequence[HostStep]) -> Iterator[Problem]:
    """Find hosts whose rack the master does not know, where it knows that of others: nothing keeps them apart."""
    unknown = [step.name for step in steps if not step.group]
    if unknown and len(unknown) < len(steps):
        yield _problem(
            "RACK_UNKNOWN",
            f"{_named(unknown)}: of no rack that the master knows, and so changed beside any other host",
            hint="give them the grain, then: salt HOST saltutil.refresh_grains",
            severity=Severity.WARNING,
        )


def _silences(silent: Mapping[str, str]) -> Iterator[Problem]:
    by_error: dict[str, list[str]] = defaultdict(list)
    for name, why in silent.items():
        by_error[why].append(name)
    for why, names in by_error.items():
        hint = "they count as failed until they answer"
        yield _problem("HOST_SILENT", f"{_named(names)}: {why}", hint=hint, severity=Severity.WARNING)


def _problem(code: str, message: str, *, hint: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(severity=severity, code=code, message=message, hint=hint)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(sorted(names)[:_NAMED]) + more


def _reason(plan: HostPlan) -> str:
    return plan.refused.reason if plan.refused is not None else ""
