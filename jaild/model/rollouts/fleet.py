"""A rollout over hosts, as a master remembers it, and what comes of what hosts answer. Pure.

A host is a member of it as a jail is one of a host's rollout (`decision`): what it moves are all chosen jails of the
host, by a rollout of the host's own. What a host has done is only known by what it answers. One that says nothing for
`silence` seconds is silent: it counts as failed, and is told nothing, only asked how it is. It keeps its group for
itself, since it may be at it, until it is given up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgspec

from jaild.model import maintenance, quantity
from jaild.model.operation import IN_THE_WAY, LATER
from jaild.model.replication.policy import moment
from jaild.model.rollouts.decision import Decision, Health, MemberState, RolloutState, decide
from jaild.model.rollouts.policy import RolloutPolicy, Share

ATTEMPTS = 5  # for a host whose refusal may go over
EXPIRY = 120.0  # seconds after which a host does not begin any more what it was told
_PAUSE = 30.0  # seconds before it is tried again, doubled each time
_LONGEST_PAUSE = 600.0
_NOTHING = "NOTHING_TO_ROLL_OUT"
_NOT_UNDONE = frozenset({RolloutState.REFUSED, RolloutState.INCOMPLETE, RolloutState.PAUSED, RolloutState.CANCELLED})
_AGAIN = LATER | {"ROLLOUT_UNDER_WAY", "ROLLOUT_STATE", "ROLLOUT_EXPIRED"}
_GIVEN_UP = {MemberState.CHANGING: MemberState.FAILED, MemberState.UNDOING: MemberState.STUCK}
_HEARD_AGAIN = {after: before for before, after in _GIVEN_UP.items()}


class FleetPolicy(RolloutPolicy, frozen=True, kw_only=True):
    """As of a rollout over jails, with hosts as targets."""

    jail_budget: Share | None = None  # jails that may fail, of all hosts; None: as many as their hosts' budgets allow
    silence: float = 300.0  # seconds without an answer after which a host counts as failed
    give_up: float = 3600.0  # and after which its group goes on without it


class FleetSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for."""

    each: dict[str, Any]  # a host's own rollout: `jaild.v1.RolloutSpec` as data
    target: str  # which hosts, as Salt writes it
    target_type: str = "glob"
    policy: FleetPolicy = FleetPolicy()
    leave_out_refused: bool = False  # go on without the hosts whose plans are refused


class HostStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One host of a rollout; it is a `Member`. Times by the master's clock."""

    name: str
    site: str = ""
    group: str = ""
    wave: int = 1
    state: MemberState = MemberState.WAITING
    began: float = 0.0
    moved: float = 0.0
    counts: bool = False
    not_before: float = 0.0
    silent: bool = False
    heard: float = 0.0  # when it answered last, or was told something
    attempts: int = 0  # refusals that it was tried again after
    backs: int = 0  # the same of being taken back
    rollout: str = ""  # id of its own rollout, once it is known
    jails: int = 0  # that are to move
    jails_moved: int = 0
    jails_failed: int = 0
    jails_forgiven: int = 0  # of those that failed: by a resume
    ailing: tuple[str, ...] = ()  # its jails that were not well before
    reason: str = ""
    message: str = ""
    hint: str = ""


class FleetRollout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it, but for its hosts."""

    id: str
    spec: FleetSpec
    actor: str
    state: RolloutState = RolloutState.RUNNING
    created: float = 0.0
    deadline: float | None = None
    message: str = ""  # why it is paused, or how it ended
    finished: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more is done about it."""
        return bool(self.finished)


class Look(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a host stands with a rollout, as it says itself."""

    state: RolloutState | None = None  # of its own rollout; None: it knows of none
    back: RolloutState | None = None  # of what takes it back
    rollout: str = ""  # its id
    jails: int = 0  # of it
    moved: int = 0  # jails
    failed: int = 0  # jails
    healthy: float | None = None  # seconds that all jails that moved have been well for; None: one is not
    over: str = ""  # why one will not be well by itself
    ailing: tuple[str, ...] = ()  # all jails of the host that are not well
    reason: str = ""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Seen:
    """A host's health, and when it was seen."""

    at: float
    look: Look


class Word(StrEnum):
    """What somebody may say of a rollout that goes on."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    UNDO = "undo"


_HEEDED = {
    Word.PAUSE: (RolloutState.PAUSED, frozenset({RolloutState.RUNNING, RolloutState.PAUSED})),
    Word.RESUME: (RolloutState.RUNNING, frozenset({RolloutState.RUNNING, RolloutState.PAUSED})),
    Word.CANCEL: (
        RolloutState.CANCELLING,
        frozenset({RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.CANCELLING}),
    ),
    Word.UNDO: (
        RolloutState.UNDOING,
        frozenset(
            {
                *(RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.CANCELLING, RolloutState.UNDOING),
                *(RolloutState.DONE, RolloutState.CANCELLED, RolloutState.INCOMPLETE),  # also when it is over
            }
        ),
    ),
}


def begun(rollout: str, spec: FleetSpec, actor: str, now: float) -> FleetRollout:
    """Return a new one."""
    return FleetRollout(id=rollout, spec=spec, actor=actor, created=now, deadline=_deadline(spec, now))


def _deadline(spec: FleetSpec, now: float) -> float | None:
    return now + spec.policy.deadline if spec.policy.deadline else None


def may(state: RolloutState, word: Word) -> bool:
    """Return whether a rollout in that state can heed a word."""
    return state in _HEEDED[word][1]


def heeded(
    rollout: FleetRollout, steps: Sequence[HostStep], word: Word, actor: str, now: float
) -> tuple[FleetRollout, tuple[HostStep, ...]]:
    """Return a rollout after somebody's word. One that came too late changes nothing.

    After an undo what could not be taken back is tried again. After a resume what failed before counts no more, a host
    that is silent is given up, so that its group goes on, and the deadline begins anew.
    """
    to, of = _HEEDED[word]
    if rollout.state not in of:
        return rollout, tuple(steps)
    if word is not Word.RESUME:
        message = rollout.message if rollout.state is to else f"{to} by {actor}"
        again = rollout.state is RolloutState.INCOMPLETE
        rollout = msgspec.structs.replace(rollout, state=to, message=message, finished=0.0)
        return rollout, tuple(map(_taken_back_again, steps) if again else steps)
    rollout = msgspec.structs.replace(rollout, state=to, message="", deadline=_deadline(rollout.spec, now))
    return rollout, tuple(map(_forgiven, steps))


def _taken_back_again(step: HostStep) -> HostStep:
    if step.state not in {MemberState.STUCK, MemberState.UNDOING}:
        return step
    return msgspec.structs.replace(step, state=_before_undo(step), backs=step.backs + 1, not_before=0.0)


def _forgiven(step: HostStep) -> HostStep:
    if not step.counts and step.jails_failed == step.jails_forgiven:
        return step
    state = _GIVEN_UP.get(step.state, step.state) if step.silent else step.state
    return msgspec.structs.replace(step, counts=False, state=state, jails_forgiven=step.jails_failed)


def next_decision(
    rollout: FleetRollout, steps: Sequence[HostStep], seen: Mapping[str, Seen], now: float, since: float = 0.0
) -> Decision:
    """Return what is to be done now; `seen`: how those were that soak. `since`: nobody asked them before that."""
    windows = rollout.spec.policy.maintenance
    return decide(
        rollout.spec.policy,
        rollout.state,
        steps,
        {
            step.name: replace(health(step, seen.get(step.name), now), watched=since)
            for step in steps
            if step.state is MemberState.SOAKING
        },
        now=now,
        deadline=rollout.deadline,
        opens=maintenance.next_opening(windows, now) if windows else 0.0,
        exceeded=jails_exceeded(rollout.spec.policy, steps),
    )


def health(step: HostStep, seen: Seen | None, now: float) -> Health:
    """Return how a host is that moved: by its jails that moved, and by those that were well before.

    Only what was seen counts: one that is not asked, or does not answer, does not become any healthier.
    """
    if seen is None:
        return Health()
    worse = sorted(set(seen.look.ailing) - set(step.ailing))
    if seen.look.over or seen.look.healthy is None or worse:
        return Health(over=seen.look.over)
    return Health(since=now - min(seen.look.healthy, seen.at - step.moved))


def jails_exceeded(policy: FleetPolicy, steps: Iterable[HostStep]) -> str:
    """Return why jails that failed, on whatever hosts, let it not go on; '' if they do."""
    if policy.jail_budget is None:
        return ""
    failed, total = 0, 0
    for step in steps:
        failed += step.jails_failed - step.jails_forgiven
        total += step.jails
    budget = policy.jail_budget.of(total)
    return f"{quantity.count(failed, 'jail')} failed, {budget} may" if failed > budget else ""


def decided(step: HostStep, decision: Decision, verdict: str, now: float) -> HostStep:
    """Return one of the steps that a decision names as it says; `verdict`: why it failed, if it did."""
    if verdict:
        step = msgspec.structs.replace(
            step,
            state=MemberState.FAILED,
            counts=True,
            reason="NOT_HEALTHY",
            message=verdict,
            hint="look at its jails; it is taken back unless the policy says otherwise",
        )
    if step.name in decision.passed:
        step = msgspec.structs.replace(step, state=MemberState.DONE)
    if step.name in decision.start:
        step = msgspec.structs.replace(step, state=MemberState.CHANGING, began=now, heard=now)
    if step.name in decision.undo:
        step = msgspec.structs.replace(step, state=MemberState.UNDOING, heard=now, silent=False)
    return step


def silenced(step: HostStep, policy: FleetPolicy, now: float, since: float = 0.0) -> HostStep:
    """Return a step as it is if its host has not answered for too long; the same one if it has.

    `since`: nobody asked it before that, as when the master was down, and so its silence says nothing.
    """
    for_so_long = now - max(step.heard, since)
    if step.state not in _GIVEN_UP:
        return step
    if step.silent:
        lost = for_so_long >= policy.give_up
        return msgspec.structs.replace(step, state=_GIVEN_UP[step.state]) if lost else step
    if for_so_long < policy.silence:
        return step
    return msgspec.structs.replace(
        step,
        silent=True,
        counts=True,
        reason="HOST_SILENT",
        message=f"it has not answered since {moment(step.heard)}: what it runs is not known",
        hint="see to the host: it is asked again, and told nothing before it has answered",
    )


def observed(step: HostStep, look: Look, now: float) -> HostStep:
    """Return a step after its host has answered how it stands."""
    if step.silent:
        step = _heard_again(step)
    step = msgspec.structs.replace(
        step,
        heard=now,
        rollout=look.rollout or step.rollout,
        jails=look.jails or step.jails,
        jails_moved=look.moved,
        jails_failed=look.failed,
        jails_forgiven=min(step.jails_forgiven, look.failed),
    )
    match step.state:
        case MemberState.CHANGING:
            return _of_change(step, look, now)
        case MemberState.UNDOING:
            return _of_undo(step, look, now)
    return step


def _heard_again(step: HostStep) -> HostStep:
    """Return the step of a host that was silent, as it was before: its answer says how it is."""
    state = _HEARD_AGAIN.get(step.state, step.state)
    return msgspec.structs.replace(step, silent=False, counts=False, state=state, reason="", message="", hint="")


def _of_change(step: HostStep, look: Look, now: float) -> HostStep:
    match look.state:
        case None:
            # What was sent may still be on its way, and is refused by the host once it is too old.
            return step if now < step.began + EXPIRY else msgspec.structs.replace(step, state=MemberState.WAITING)
        case RolloutState.DONE:
            return msgspec.structs.replace(
                step, state=MemberState.SOAKING, moved=now, reason=look.reason, message=look.message, hint=look.hint
            )
        case RolloutState.REFUSED:
            return refused(step, look, now)
        case RolloutState.PAUSED if not look.failed:  # somebody's word, on the host
            return msgspec.structs.replace(step, message=f"paused on the host: {look.message}")
        case RolloutState.PAUSED | RolloutState.CANCELLED | RolloutState.UNDONE | RolloutState.INCOMPLETE:
            # A paused one is not over, and would be in the way of the next until it is taken back.
            back = look.moved or look.state is RolloutState.PAUSED
            return _failed(step, look, now if back else 0.0)
    return step


def _of_undo(step: HostStep, look: Look, now: float) -> HostStep:
    gone = look.back is RolloutState.REFUSED and look.reason == _NOTHING
    if look.back in {RolloutState.DONE, RolloutState.UNDONE} or gone:
        return msgspec.structs.replace(step, state=MemberState.UNDONE, moved=0.0)
    if look.back is None:
        return _not_told(step, look, now)
    if look.back is RolloutState.REFUSED and look.reason in _AGAIN and step.backs < ATTEMPTS:
        again = msgspec.structs.replace(step, backs=step.backs + 1)
        return _later(again, look, now, step.backs, _before_undo(step))
    if look.back in _NOT_UNDONE:
        return msgspec.structs.replace(
            step, state=MemberState.STUCK, reason=look.reason, message=look.message, hint=look.hint
        )
    return step


def _not_told(step: HostStep, look: Look, now: float) -> HostStep:
    """Return the step of a host that is to be taken back, and knows nothing of that."""
    if step.moved:  # it is told, once more
        return msgspec.structs.replace(step, state=_before_undo(step))
    if look.state is not None:  # it was silent, and is found to be at it
        return _of_change(msgspec.structs.replace(step, state=MemberState.CHANGING), look, now)
    never_began = now >= step.began + EXPIRY
    return msgspec.structs.replace(step, state=MemberState.UNDONE) if never_began else step


def _before_undo(step: HostStep) -> MemberState:
    return MemberState.FAILED if step.reason else MemberState.DONE


def _failed(step: HostStep, look: Look, moved: float) -> HostStep:
    return msgspec.structs.replace(
        step,
        state=MemberState.FAILED,
        counts=True,
        moved=moved,
        reason=look.reason or "ROLLOUT_ENDED",
        message=look.message,
        hint=look.hint,
    )


def refused(step: HostStep, look: Look, now: float) -> HostStep:
    """Return the step of a host that refused its own rollout: it has nothing to do, is tried again, or has failed."""
    if look.reason == _NOTHING:
        return msgspec.structs.replace(step, state=MemberState.SKIPPED, reason=look.reason, message=look.message)
    if look.reason in IN_THE_WAY or (look.reason in _AGAIN and step.attempts < ATTEMPTS):
        again = msgspec.structs.replace(step, attempts=step.attempts + 1, rollout="")
        return _later(again, look, now, step.attempts, MemberState.WAITING)
    return _failed(step, look, 0.0)


def _later(step: HostStep, look: Look, now: float, before: int, state: MemberState) -> HostStep:
    """Return a step that is tried again, after so many tries `before`."""
    pause = min(_PAUSE * math.pow(2.0, min(before, ATTEMPTS)), _LONGEST_PAUSE)
    return msgspec.structs.replace(
        step, state=state, not_before=now + pause, reason=look.reason, message=look.message, hint=look.hint
    )
