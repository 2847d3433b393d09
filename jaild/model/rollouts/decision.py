"""What a rollout does next: decided from how its members stand, with no memory of its own.

A member, a jail of a host or a host of a fleet:

    waiting ─► changing ─┬─► soaking ─┬─► done ─────────┐
       ▲          │      │            └─► failed (moved)┼─► undoing ─┬─► undone
       └─ later ──┤      └─► failed (as before)         │            └─► stuck
                  └─► skipped               soaking ────┘

All of it:

    running ◄──► paused        a breach of the budget, or somebody's word
       │           │
       ├───────────┼─► cancelling: what has begun ends ─► cancelled
       │           └─► undoing: what moved is taken back ─► undone | incomplete
       └─► done

Whoever carries it out does what a decision says, writes down what came of it, and asks again. Each decision takes one
look at every member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from jaild.model.rollouts.policy import OnBreach, RolloutPolicy
from jaild.model.rollouts.waves import CANARIES


class MemberState(StrEnum):
    """How far a member is."""

    WAITING = "waiting"
    CHANGING = "changing"
    SOAKING = "soaking"  # moved, and watched
    DONE = "done"
    FAILED = "failed"  # and where it was, unless it `moved`
    UNDOING = "undoing"
    UNDONE = "undone"
    STUCK = "stuck"  # moved, and could not be taken back
    REFUSED = "refused"  # by its plan, before anything began
    SKIPPED = "skipped"  # nothing was to be done


class RolloutState(StrEnum):
    """How far a rollout is."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    UNDOING = "undoing"
    DONE = "done"
    CANCELLED = "cancelled"
    UNDONE = "undone"
    INCOMPLETE = "incomplete"  # undone, but for some that are stuck
    REFUSED = "refused"  # by its plan: nothing was touched


class Member(Protocol):
    """What a decision looks at. Times in seconds since the epoch."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def group(self) -> str:
        """At most one of a group is changing, soaking or undoing at a time; empty: of none."""

    @property
    def wave(self) -> int:
        """Its wave; `CANARIES` first."""

    @property
    def state(self) -> MemberState:
        """How far it is."""

    @property
    def began(self) -> float:
        """When its change was begun last; 0: never."""

    @property
    def moved(self) -> float:
        """When its change was committed, as long as it is not taken back; 0: it is where it was."""

    @property
    def counts(self) -> bool:
        """Whether it has failed, and was not forgiven since."""

    @property
    def not_before(self) -> float:
        """When it may be tried again; 0: at once."""

    @property
    def silent(self) -> bool:
        """Whether it has not answered for too long: what it does is not known, and nothing is begun with it.

        One that had begun holds its group, and nobody else waits for it. A jail of this host always answers.
        """


@dataclass(frozen=True)
class Health:
    """How a member is that moved."""

    since: float | None = None  # it has been healthy without a break; None: it is not healthy
    over: str = ""  # why it will not become healthy by itself
    watched: float = 0.0  # nobody looked at it before that: its time to become healthy begins no earlier


@dataclass(frozen=True)
class Verdict:
    """A member that is not healthy enough, and why."""

    name: str
    message: str


@dataclass(frozen=True)
class Decision:
    """What is to be done now, and when to ask again."""

    state: RolloutState
    start: tuple[str, ...] = ()  # begin the change of these
    undo: tuple[str, ...] = ()  # take these back
    passed: tuple[str, ...] = ()  # these are done
    failed: tuple[Verdict, ...] = ()  # these are failed, and moved
    breach: str = ""  # why it is paused or undone by itself, if that is decided now
    until: float | None = None  # ask again then at the latest; None: when something has happened
    opens: float | None = None  # its maintenance windows are closed until then, and somebody waits for that

    @property
    def acts(self) -> bool:
        """Whether there is anything to be done or written down."""
        return bool(self.start or self.undo or self.passed or self.failed or self.breach)


ENDED = frozenset(
    {
        *(RolloutState.DONE, RolloutState.CANCELLED, RolloutState.UNDONE),
        *(RolloutState.INCOMPLETE, RolloutState.REFUSED),
    }
)
IN_FLIGHT = frozenset({MemberState.CHANGING, MemberState.SOAKING, MemberState.UNDOING})
_OPEN = IN_FLIGHT | {MemberState.WAITING}
_NEVER_MOVED = frozenset({MemberState.REFUSED, MemberState.SKIPPED})


def decide(
    policy: RolloutPolicy,
    state: RolloutState,
    members: Sequence[Member],
    health: Mapping[str, Health],
    *,
    now: float,
    deadline: float | None = None,
    opens: float = 0.0,
    exceeded: str = "",
) -> Decision:
    """Return what is to be done now.

    `health`: of those that soak; one that is not in it is not known to be healthy. `deadline`: when all of it must be
    over, in seconds since the epoch. `opens`: when changes may be begun next, as its maintenance windows say; nothing
    else waits for that. `exceeded`: why it may not go on, by another budget than the policy's. A decision that `acts`
    is carried out, and then it is asked again: what it starts is not yet waited for.
    """
    if state in ENDED:
        return Decision(state)
    look = _Look(policy, members, health, now)
    if state is not RolloutState.UNDOING:
        look.judge()
    breach = look.breach(deadline) or exceeded if state is RolloutState.RUNNING else ""
    if breach:
        state = RolloutState.PAUSED if policy.on_breach is OnBreach.PAUSE else RolloutState.UNDOING
    start: list[str] = []
    undo = [*look.undo(everything=state is RolloutState.UNDOING)]
    if state is RolloutState.RUNNING:
        start = [*look.start()] if now >= opens else []
        if deadline is not None:
            look.wake(deadline)
    if not (start or undo or look.passed or look.failed):
        state = look.end(state)
    closed = state is RolloutState.RUNNING and now < opens and MemberState.WAITING in look.states
    if closed:
        look.wake(opens)
    return Decision(
        state=state,
        start=tuple(start),
        undo=tuple(undo),
        passed=tuple(look.passed),
        failed=tuple(look.failed),
        breach=breach,
        until=look.until,
        opens=opens if closed else None,
    )


@dataclass
class _Look:
    """All members, as they are once what is found out about them is written down."""

    policy: RolloutPolicy
    members: Sequence[Member]
    health: Mapping[str, Health]
    now: float
    passed: list[str] = field(default_factory=list)
    failed: list[Verdict] = field(default_factory=list)
    until: float | None = None
    held: bool = False  # one is to be taken back, and not yet

    def __post_init__(self) -> None:
        self.states = [member.state for member in self.members]
        # A fleet has thousands of members, most of which are done or wait: what is of few is not looked for among all.
        self.open = [place for place, state in enumerate(self.states) if state in _OPEN]
        self.lost = [place for place, state in enumerate(self.states) if state is MemberState.FAILED]
        flying = [self.members[place] for place in self.open if self.states[place] is not MemberState.WAITING]
        self.busy_groups = {member.group for member in flying} - {""}
        self.quiet_groups = {member.group for member in flying if member.silent} - {""}
        self.free = self.policy.max_parallel - sum(not member.silent for member in flying)
        self.counted = [0, 0]  # failures: of canaries, of all
        for member in self.members:
            if member.counts:
                self._count(member)

    def _count(self, member: Member) -> None:
        self.counted[0] += member.wave == CANARIES
        self.counted[1] += 1

    def wake(self, at: float) -> None:
        """Have it asked again at that time."""
        if at > self.now:
            self.until = at if self.until is None else min(self.until, at)

    def judge(self) -> None:
        """Find those that have soaked for long enough, and those that will not."""
        for place in self.open:
            if self.states[place] is not MemberState.SOAKING:
                continue
            member = self.members[place]
            found = self.health.get(member.name, Health())
            last = max(member.moved, found.watched) + self.policy.healthy_deadline
            since = None if found.since is None else max(found.since, member.moved)
            if found.over:
                self._fail(place, found.over)
            elif since is not None and self.now >= since + self.policy.min_healthy_time:
                self.states[place] = MemberState.DONE
                self._free(member)
                self.passed.append(member.name)
            elif self.now >= last:
                self._fail(
                    place, f"not healthy for {self.policy.min_healthy_time:g} s within {last - member.moved:g} s"
                )
            else:
                self.wake(last)
                if since is not None:
                    self.wake(since + self.policy.min_healthy_time)

    def _fail(self, place: int, message: str) -> None:
        member = self.members[place]
        self.states[place] = MemberState.FAILED
        self.lost.append(place)
        self._free(member)
        self._count(member)
        self.failed.append(Verdict(member.name, message))

    def _free(self, member: Member) -> None:
        self.free += 1
        self.busy_groups.discard(member.group)

    def _take(self, member: Member) -> bool:
        """Take a place for one that is to be changed; say whether there is one."""
        if self.free <= 0 or member.group in self.busy_groups:
            return False
        self.free -= 1
        if member.group:
            self.busy_groups.add(member.group)
        return True

    def breach(self, deadline: float | None) -> str:
        """Return why it may not go on; '' if it may."""
        of_canaries, failures = self.counted
        budget = self.policy.failure_budget.of(sum(state not in _NEVER_MOVED for state in self.states))
        if of_canaries:
            return f"{of_canaries} of the canaries failed"
        if failures > budget:
            return f"{failures} failed, {budget} may"
        if deadline is not None and self.now >= deadline and any(self.states[place] in _OPEN for place in self.open):
            return f"it was to be over within {self.policy.deadline:g} s"
        return ""

    def undo(self, *, everything: bool) -> Iterator[str]:
        """Take back those that failed, if the policy says so; or everything that moved."""
        for place in range(len(self.members)) if everything else sorted(self.lost):
            member, state = self.members[place], self.states[place]
            if member.silent:  # it may have moved
                wanted = everything and bool(member.began) and state in {MemberState.CHANGING, MemberState.FAILED}
            elif state is MemberState.FAILED:
                wanted = bool(member.moved) and (everything or self.policy.auto_revert)
            else:
                wanted = bool(member.moved) and everything and state in {MemberState.DONE, MemberState.SOAKING}
            if not wanted:
                continue
            if self.now < member.not_before:
                self.held = True
                self.wake(member.not_before)
                continue
            if state is MemberState.SOAKING:
                self._free(member)
            elif state is MemberState.CHANGING:
                self.busy_groups.discard(member.group)
            if self._take(member):
                self.states[place] = MemberState.UNDOING
                yield member.name
            else:  # when another one has ended, or is given up
                self.held = True

    def start(self) -> Iterator[str]:
        """Begin with those whose turn it is."""
        wave = self._wave()
        last = max((member.began for member in self.members), default=0.0) if self.policy.stagger else 0.0
        next_one = last + self.policy.stagger if last else self.now
        for place in self.open:
            member = self.members[place]
            if member.wave != wave or self.states[place] is not MemberState.WAITING or member.silent:
                continue
            if self.free <= 0:  # whoever ends next makes room
                return
            if self.now < member.not_before:
                self.wake(member.not_before)
                continue
            if self.now < next_one:
                self.wake(next_one)
                return
            if not self._take(member):
                continue
            self.states[place] = MemberState.CHANGING
            yield member.name
            if self.policy.stagger:
                return

    def _wave(self) -> int | None:
        """Return the first wave that is waited for; None: of none."""
        wave = None
        for place in self.open:  # mostly in the order of their waves: only the first of one is looked at closely
            its = self.members[place].wave
            if (wave is None or its < wave) and self._is_waited_for(place):
                wave = its
        return wave

    def _is_waited_for(self, place: int) -> bool:
        """Whether the next wave waits for a member: not for who does not answer, nor for who waits for such a one."""
        member, state = self.members[place], self.states[place]
        if member.silent or state not in _OPEN:
            return False
        return state is not MemberState.WAITING or member.group not in self.quiet_groups

    def end(self, state: RolloutState) -> RolloutState:
        """Return what it is now that nothing is to be done: over, or as before."""
        answering = [self.states[place] for place in self.open if not self.members[place].silent]
        if self.held or any(each in IN_FLIGHT for each in answering):
            return state
        if state is RolloutState.CANCELLING:
            return RolloutState.CANCELLED
        if state is RolloutState.UNDOING:
            unknown = any(self.states[place] is MemberState.UNDOING for place in self.open)  # silent, all of them
            return RolloutState.INCOMPLETE if unknown or MemberState.STUCK in self.states else RolloutState.UNDONE
        if state is RolloutState.RUNNING and MemberState.WAITING not in answering:
            return RolloutState.DONE
        return state
