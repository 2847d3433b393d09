"""A rollout over the jails of a host, as the host remembers it. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import msgspec

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.change import Axis, Change, Deploy, Rollback, Upgrade
from jaild.model.layers.records import Generation
from jaild.model.operation import IN_THE_WAY, LATER, Failure
from jaild.model.problems import Accepted, Problem, Severity
from jaild.model.replication.policy import moment
from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.policy import RolloutPolicy
from jaild.model.views import Caller

KIND = "rollout"  # of its operation
ATTEMPTS = 5  # for a change that may go better the next time
_PAUSE = 2.0  # seconds before the second, doubled each time
_LONGEST_PAUSE = 30.0
_NOT_HERE = frozenset(
    {
        *("JAIL_NOT_FOUND", "JAIL_MOVED", "JAIL_DELETING", "JAIL_NOT_OWNED", "JAIL_FENCED"),
        *("JAIL_SUPERSEDED", "JAIL_STANDBY", "JAIL_INCOMING", "OWNER_SUPERSEDED"),
    }
)
_PROBLEMS = 20  # of a jail's plan that are kept
_EVIDENCE = 10  # lines of each


class RolloutSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for: one of `base`, `channel`, `release` and `undoes`, and of which jails."""

    base: str = ""
    channel: str = ""  # to the base that it names when the rollout is planned: the jails that follow it
    release: str = ""  # app/version: the jails that run the app
    undoes: str = ""  # id of an earlier rollout: the jails that it moved, back on its axis
    jails: tuple[str, ...] = ()  # these only
    labels: dict[str, str] = {}  # those only that have all of these
    policy: RolloutPolicy = RolloutPolicy()
    leave_out_refused: bool = False  # go on without the jails whose plans are refused
    accepted: tuple[Accepted, ...] = ()  # problems that would refuse a jail's plan, of every jail

    @property
    def axis(self) -> Axis:
        """The axis that it moves; of an undo it is the earlier one's."""
        return Axis.APP if self.release else Axis.BASE


class Runs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a jail is on, as it is found on this host: names, guids of the sealed snapshots, digests of what came."""

    generation: int = 0
    base: str = ""
    base_guid: int = 0
    base_sha256: str = ""
    release: str = ""
    release_guid: int = 0
    release_sha256: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One jail of a rollout; it is a `Member`."""

    name: str
    wave: int
    group: str = ""
    before: str  # the base, or the release, that it was on
    target: str  # and the one that it goes to
    number: int = 0  # generation that has `before`
    target_number: int = 0  # one that has `target`: of an undo
    state: MemberState = MemberState.WAITING
    began: float = 0.0
    moved: float = 0.0
    counts: bool = False
    not_before: float = 0.0
    attempts: int = 0
    operation: str = ""  # id of the last one
    expected: float | None = None  # seconds of downtime; None: not known
    downtime: float | None = None  # of the change
    downtime_back: float | None = None  # of its undoing
    problems: tuple[Problem, ...] = msgspec.field(name="findings", default=())  # of its plan; named as in `Problem`
    reason: str = ""
    message: str = ""
    hint: str = msgspec.field(name="remedy", default="")
    runs: Runs | None = None  # when the rollout ended

    @property
    def silent(self) -> bool:
        """A jail of this host answers."""
        return False


class Rollout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it. Replaced whole; `id` is that of its operation."""

    id: str
    spec: RolloutSpec
    axis: Axis = Axis.BASE
    target: str = ""  # base or release; empty for an undo, where each jail has its own
    caller: Caller
    state: RolloutState = RolloutState.RUNNING
    created: float = 0.0
    planned: bool = False  # `steps` holds the plan
    duration: float = 0.0  # seconds that it takes, as planned
    deadline: float | None = None  # seconds since the epoch
    steps: tuple[Step, ...] = ()  # wave after wave
    message: str = ""  # why it is paused, or how it ended
    finished: float = 0.0

    @property
    def on_behalf(self) -> Caller:
        """Who its jails are changed for, and with what they accept."""
        return msgspec.structs.replace(self.caller, accepted=self.spec.accepted)

    @property
    def over(self) -> bool:
        """Whether nothing more is done about it."""
        return bool(self.finished)


def require(spec: RolloutSpec) -> None:
    """Raise `InvalidArgumentError` (INVALID_ROLLOUT) if it does not say what is to be done."""
    named = [name for name in ("base", "channel", "release", "undoes") if getattr(spec, name)]
    if len(named) != 1:
        raise InvalidArgumentError(
            "INVALID_ROLLOUT",
            f"a rollout is of one thing, and this is of {' and '.join(named) or 'nothing'}",
            hint="name a base, a channel, a release, or the rollout to undo",
        )
    if spec.base and not (spec.jails or spec.labels):
        raise InvalidArgumentError(
            "INVALID_ROLLOUT",
            "a rollout of a base by its name is of jails that are named, or that have labels",
            hint="name jails or labels; or let jails follow a channel, and roll out that",
        )


def layer_of(generation: Generation, axis: Axis) -> str:
    """Return what a generation is on: its base or its release."""
    return generation.base if axis is Axis.BASE else generation.release


def change_to(layer: str, axis: Axis, current: Generation, older: Generation | None) -> Change:
    """Return the change that takes a jail to a layer on one axis, and leaves the others, and its channel, as they are.

    `older`: a generation that is said to be on that layer, if there still is one: then it is a rollback.
    """
    same = older is not None and older.number != current.number and layer_of(older, axis) == layer
    if older is not None and same and (axis is Axis.APP or older.spec.channel == current.spec.channel):
        return Rollback(older.number, axis)
    return Upgrade(layer, current.spec.channel or "") if axis is Axis.BASE else Deploy(layer)


def with_step(rollout: Rollout, step: Step) -> Rollout:
    """Return the rollout with one jail's step replaced."""
    steps = tuple(step if known.name == step.name else known for known in rollout.steps)
    return msgspec.structs.replace(rollout, steps=steps)


def arrived(step: Step, downtime: float | None, now: float) -> Step:
    """Return a step whose jail is on its target, which is to be watched."""
    return msgspec.structs.replace(
        step,
        state=MemberState.SOAKING,
        moved=now,
        downtime=downtime,
        not_before=0.0,
        attempts=0,
        reason="",
        message="",
        hint="",
    )


def returned(step: Step, downtime: float | None) -> Step:
    """Return a step whose jail is back where it was; why it had to be stays."""
    return msgspec.structs.replace(step, state=MemberState.UNDONE, moved=0.0, downtime_back=downtime)


def missed(step: Step, failure: Failure, now: float, *, back: bool) -> Step:
    """Return a step whose jail is not where it was to go: waiting to be tried again, failed or skipped."""
    errors = [problem for problem in failure.problems if problem.severity == "error"]
    reason, message, hint = failure.reason, failure.message, failure.hint
    if reason == "PLAN_REFUSED" and errors:
        reason, message, hint = errors[0].code, errors[0].message, errors[0].hint
    told = msgspec.structs.replace(
        step, reason=reason, message=message, hint=hint, attempts=step.attempts + 1, not_before=0.0
    )
    if is_gone(reason):
        return msgspec.structs.replace(told, state=MemberState.SKIPPED, moved=0.0)
    if reason in IN_THE_WAY or (reason in LATER and told.attempts < ATTEMPTS):
        later = now + min(_PAUSE * 2.0 ** min(step.attempts, ATTEMPTS), _LONGEST_PAUSE)
        return msgspec.structs.replace(told, state=_again(step, back=back), not_before=later)
    if back:
        return msgspec.structs.replace(told, state=MemberState.STUCK)
    return msgspec.structs.replace(told, state=MemberState.FAILED, counts=True)


def is_gone(reason: str) -> bool:
    """Whether a refusal says that a jail is not this host's any more."""
    return reason in _NOT_HERE


def kept(step: Step) -> Step:
    """Return a step as it is written down, again and again: without its plan's notes, and with the evidence's begin."""
    found = [problem for problem in step.problems if problem.severity is not Severity.NOTE][:_PROBLEMS]
    short = tuple(msgspec.structs.replace(problem, evidence=problem.evidence[:_EVIDENCE]) for problem in found)
    return msgspec.structs.replace(step, problems=short)


def anew(step: Step) -> Step:
    """Return a step as it was before the change that a daemon before this one had begun, and that did not happen."""
    back = step.state is MemberState.UNDOING
    return msgspec.structs.replace(step, state=_again(step, back=back), operation="")


def _again(step: Step, *, back: bool) -> MemberState:
    if not back:
        return MemberState.WAITING
    return MemberState.FAILED if step.reason else MemberState.DONE


def gone(step: Step, why: str) -> Step:
    """Return a step whose jail is no longer this rollout's: it is elsewhere, or somebody else moved it."""
    return msgspec.structs.replace(
        step, state=MemberState.SKIPPED, moved=0.0, reason="MOVED_SINCE", message=why, hint="look at the jail"
    )


def unhealthy(step: Step, message: str) -> Step:
    """Return a step whose jail moved, and was not healthy for long enough."""
    return msgspec.structs.replace(
        step,
        state=MemberState.FAILED,
        counts=True,
        reason="NOT_HEALTHY",
        message=message,
        hint="look at its log and its checks; it is taken back unless the policy says otherwise",
    )


def told_closed(opens: float | None) -> str:
    """Return what is told of a rollout that waits for a maintenance window; '' if it waits for none."""
    if opens is None:
        return ""
    known = f"it goes on at {moment(opens)}" if opens < math.inf else "this host knows the time zone of none"
    return f"outside of its maintenance windows: {known}"


def forgiven(rollout: Rollout, now: float) -> Rollout:
    """Return a rollout that goes on after a pause: what failed before counts no more, its deadline begins anew."""
    deadline = now + rollout.spec.policy.deadline if rollout.spec.policy.deadline else None
    steps = tuple(msgspec.structs.replace(step, counts=False) for step in rollout.steps)
    return msgspec.structs.replace(rollout, state=RolloutState.RUNNING, steps=steps, deadline=deadline, message="")


def summary(rollout: Rollout) -> str:
    """Return how it stands, in one line."""
    counts = Counter(step.state for step in rollout.steps)
    parts = [f"{counts[MemberState.DONE]} of {len(rollout.steps)} done"]
    parts += [f"{counts[state]} {state.value}" for state in MemberState if counts[state] and state not in _PLAIN]
    return ", ".join(parts) + (f"; {rollout.message}" if rollout.message else "")


_PLAIN = {MemberState.DONE, MemberState.WAITING}


def downtime(steps: Iterable[Step]) -> tuple[float, bool]:
    """Return the expected downtime of all that are to move, in sum, and whether it may be more: one is not known."""
    known = [step.expected for step in steps if step.state is not MemberState.REFUSED]
    return sum(each for each in known if each is not None), None in known
