"""What a rollout does next, by tables and by whole runs with members that do as hypothesis says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaild.model.errors import InvalidArgumentError
from jaild.model.rollouts import policy as policies
from jaild.model.rollouts.decision import ENDED, IN_FLIGHT, Decision, Health, MemberState, RolloutState, decide
from jaild.model.rollouts.policy import OnBreach, RolloutPolicy, Share, share
from jaild.model.rollouts.waves import CANARIES, Place, Target, arrange, duration

START = 1_000_000.0


@dataclass(frozen=True)
class Jail:
    """A member."""

    name: str
    wave: int = 1
    group: str = ""
    state: MemberState = MemberState.WAITING
    began: float = 0.0
    moved: float = 0.0
    counts: bool = False
    not_before: float = 0.0
    silent: bool = False


def soaking(name: str, moved: float = START, **more: object) -> Jail:
    return replace(Jail(name, state=MemberState.SOAKING, began=moved, moved=moved), **more)  # type: ignore[arg-type]


def asked(
    members: Sequence[Jail],
    now: float = START,
    state: RolloutState = RolloutState.RUNNING,
    health: Mapping[str, Health] | None = None,
    deadline: float | None = None,
    opens: float = 0.0,
    **policy: object,
) -> Decision:
    made = RolloutPolicy(**policy)  # type: ignore[arg-type]
    return decide(made, state, members, health or {}, now=now, deadline=deadline, opens=opens)


def test_so_many_are_begun_as_may_be_at_once() -> None:
    assert asked([Jail("a"), Jail("b"), Jail("c")], max_parallel=2).start == ("a", "b")
    assert asked([soaking("a"), Jail("b"), Jail("c")], max_parallel=2).start == ("b",)


def test_a_wave_begins_when_everyone_before_it_is_over() -> None:
    members = [Jail("a", wave=CANARIES), Jail("b"), Jail("c", wave=2)]
    assert asked(members, max_parallel=9).start == ("a",)
    members[0] = replace(members[0], state=MemberState.DONE)
    assert asked(members, max_parallel=9).start == ("b",)
    members[1] = replace(members[1], state=MemberState.REFUSED)
    assert asked(members, max_parallel=9).start == ("c",)


def test_one_of_a_group_is_in_flight_at_a_time() -> None:
    members = [Jail("a", group="x"), Jail("b", group="x"), Jail("c", group="y"), Jail("d"), Jail("e")]
    assert asked(members, max_parallel=9).start == ("a", "c", "d", "e")


def test_what_was_healthy_for_long_enough_is_done_and_what_was_not_by_its_deadline_failed() -> None:
    members = [soaking("a"), soaking("b"), soaking("c"), soaking("d")]
    health = {"a": Health(START - 5), "b": Health(START + 4), "c": Health(), "d": Health(over="it crashes")}
    found = asked(members, START + 10, health=health, min_healthy_time=10, healthy_deadline=20, failure_budget=Share(9))
    assert found.passed == ("a",)
    assert [(verdict.name, verdict.message) for verdict in found.failed] == [("d", "it crashes")]
    assert found.until == START + 14
    late = asked([soaking("c")], START + 20, min_healthy_time=10, healthy_deadline=20)
    assert [verdict.name for verdict in late.failed] == ["c"]


def test_a_failure_beyond_the_budget_pauses_or_undoes_and_one_within_it_does_not() -> None:
    failed = replace(Jail("a"), state=MemberState.FAILED, counts=True)
    rest = [Jail("b"), soaking("c"), replace(soaking("d"), state=MemberState.DONE)]
    within = asked([failed, *rest], max_parallel=2, failure_budget=share("25%"))
    assert (within.state, within.start, within.breach) == (RolloutState.RUNNING, ("b",), "")
    paused = asked([failed, *rest], max_parallel=2)
    assert (paused.state, paused.start, paused.undo) == (RolloutState.PAUSED, (), ())
    assert paused.breach == "1 failed, 0 may"
    undone = asked([failed, *rest], max_parallel=2, on_breach=OnBreach.UNDO)
    assert (undone.state, undone.start, undone.undo) == (RolloutState.UNDOING, (), ("c", "d"))


def test_outside_of_its_windows_nothing_is_begun_and_all_else_goes_on() -> None:
    failed = replace(soaking("c"), state=MemberState.FAILED, counts=True)
    members = [Jail("a"), soaking("b"), failed]
    health = {"b": Health(START)}
    closed = asked(
        members,
        START + 11,
        health=health,
        opens=START + 60,
        min_healthy_time=10,
        max_parallel=9,
        failure_budget=Share(9),
    )
    assert (closed.start, closed.passed, closed.undo, closed.opens) == ((), ("b",), ("c",), START + 60)
    waits = asked([Jail("a")], START, opens=START + 60)
    assert (waits.state, waits.until, waits.acts) == (RolloutState.RUNNING, START + 60, False)
    opened = asked([Jail("a")], START + 60, opens=START + 60)
    assert (opened.start, opened.opens) == (("a",), None)
    assert asked([replace(Jail("a"), state=MemberState.DONE)], opens=START + 60).state is RolloutState.DONE


def test_a_canary_may_not_fail_whatever_the_budget() -> None:
    failed = replace(Jail("a", wave=CANARIES), state=MemberState.FAILED, counts=True)
    found = asked([failed, Jail("b")], failure_budget=Share(100, percent=True))
    assert (found.state, found.breach) == (RolloutState.PAUSED, "1 of the canaries failed")


def test_a_target_that_moved_and_failed_is_taken_back_if_the_policy_says_so() -> None:
    failed = soaking("a", state=MemberState.FAILED, counts=True)
    assert asked([failed], failure_budget=Share(1)).undo == ("a",)
    assert asked([failed], failure_budget=Share(1), auto_revert=False).undo == ()
    as_before = replace(failed, moved=0.0)
    assert asked([as_before], failure_budget=Share(1)).undo == ()


def test_a_deadline_that_passes_before_all_are_over_is_a_breach() -> None:
    found = asked([Jail("a")], START + 5, deadline=START + 5)
    assert found.state is RolloutState.PAUSED
    before = asked([Jail("a", group="x"), soaking("b", group="x")], START + 4, deadline=START + 5)
    assert (before.state, before.until) == (RolloutState.RUNNING, START + 5)


def test_between_two_beginnings_there_is_the_stagger() -> None:
    first = asked([Jail("a"), Jail("b")], max_parallel=2, stagger=30)
    assert first.start == ("a",)
    members = [replace(Jail("a"), state=MemberState.CHANGING, began=START), Jail("b")]
    found = asked(members, START + 10, max_parallel=2, stagger=30)
    assert (found.start, found.until) == ((), START + 30)
    assert asked(members, START + 30, max_parallel=2, stagger=30).start == ("b",)


def test_one_that_is_to_be_tried_later_holds_up_no_other_of_its_wave() -> None:
    members = [replace(Jail("a"), not_before=START + 3), Jail("b"), Jail("c", wave=2)]
    found = asked(members, max_parallel=9)
    assert (found.start, found.until) == (("b",), START + 3)


def test_a_pause_and_a_cancel_begin_nothing_and_let_end_what_has_begun() -> None:
    members = [soaking("a"), Jail("b")]
    for state, end in (
        (RolloutState.PAUSED, RolloutState.PAUSED),
        (RolloutState.CANCELLING, RolloutState.CANCELLED),
    ):
        now = asked(members, state=state, max_parallel=2)
        assert (now.state, now.start) == (state, ())
        later = asked(members, START + 99, state=state, health={"a": Health(START)}, max_parallel=2)
        assert later.passed == ("a",)
        over = [replace(members[0], state=MemberState.DONE), members[1]]
        assert asked(over, state=state).state is end


def test_an_undo_waits_for_changes_under_way_and_leaves_alone_what_never_moved() -> None:
    members = [replace(Jail("a"), state=MemberState.CHANGING, began=START), Jail("b")]
    found = asked(members, state=RolloutState.UNDOING, max_parallel=2)
    assert (found.state, found.undo) == (RolloutState.UNDOING, ())
    done = [replace(members[0], state=MemberState.UNDONE), members[1]]
    assert asked(done, state=RolloutState.UNDOING).state is RolloutState.UNDONE
    stuck = [replace(members[0], state=MemberState.STUCK), members[1]]
    assert asked(stuck, state=RolloutState.UNDOING).state is RolloutState.INCOMPLETE


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_is_over_stays_over(state: RolloutState) -> None:
    assert asked([Jail("a")], state=state) == Decision(state)


# -- waves


def test_waves_are_taken_in_order_and_who_is_left_is_a_last_one() -> None:
    targets = [Target(f"j{number:02}") for number in range(20)]
    places = arrange(targets, RolloutPolicy(canaries=2, waves=(Share(3), share("25%"))))
    sizes = [sum(place.wave == wave for place in places) for wave in range(4)]
    assert sizes == [2, 3, 5, 10]
    assert [place.name for place in places] == [target.name for target in targets]


def test_canaries_are_of_different_groups_as_long_as_there_are_any() -> None:
    targets = [Target("a", "x"), Target("b", "x"), Target("c", "y"), Target("d", "x")]
    canaries = [p.name for p in arrange(targets, RolloutPolicy(canaries=2)) if p.wave == CANARIES]
    assert canaries == ["a", "c"]
    canaries = [p.name for p in arrange(targets, RolloutPolicy(canaries=3)) if p.wave == CANARIES]
    assert sorted(canaries) == ["a", "b", "c"]


def test_the_duration_counts_waves_groups_and_the_stagger() -> None:
    places = [Place("a", "", 0), Place("b", "x", 1), Place("c", "x", 1), Place("d", "", 1)]
    policy = RolloutPolicy(max_parallel=2, min_healthy_time=10)
    seconds = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert duration(places, policy, seconds) == 11 + 12 + 13  # d goes beside b, c after b
    assert duration(places[:1], policy, {}) == 10
    assert duration([], policy, {}) == 0


# -- policies


@pytest.mark.parametrize("text", ["", "-1", "101%", "x", "1.5", "%", "5 %", "99999999"])
def test_a_share_is_a_number_or_a_percentage(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        share(text)
    assert caught.value.reason == "INVALID_ROLLOUT"


@given(number=st.integers(0, 100), total=st.integers(0, 10_000))
def test_a_percentage_is_rounded_up_and_never_more_than_all(number: int, total: int) -> None:
    found = share(f"{number}%").of(total)
    assert number * total / 100 <= found < number * total / 100 + 1
    assert found <= total


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_parallel": 0},
        {"canaries": -1},
        {"waves": (Share(0),)},
        {"stagger": -1.0},
        {"deadline": float("nan")},
        {"min_healthy_time": float("inf")},
        {"min_healthy_time": 60.0, "healthy_deadline": 60.0},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    policies.require(RolloutPolicy())
    with pytest.raises(InvalidArgumentError) as caught:
        policies.require(RolloutPolicy(**wrong))  # type: ignore[arg-type]
    assert caught.value.reason == "INVALID_ROLLOUT"


# -- whole runs

POLICIES = st.builds(
    RolloutPolicy,
    canaries=st.integers(0, 3),
    waves=st.lists(
        st.builds(Share, st.integers(1, 5)) | st.builds(lambda n: Share(n, percent=True), st.integers(1, 100)),
        max_size=3,
    ).map(tuple),
    max_parallel=st.integers(1, 4),
    min_healthy_time=st.sampled_from([0.0, 10.0]),
    healthy_deadline=st.just(25.0),
    stagger=st.sampled_from([0.0, 7.0]),
    failure_budget=st.builds(Share, st.integers(0, 3)),
    auto_revert=st.booleans(),
    on_breach=st.sampled_from(OnBreach),
    deadline=st.sampled_from([0.0, 40.0]),
)
ENDS = st.sampled_from(["well", "well", "well", "refused change", "later", "ill", "crashes", "away", "stuck"])
WORDS = st.sampled_from([None, None, None, RolloutState.PAUSED, RolloutState.CANCELLING, RolloutState.UNDOING])


@dataclass
class Run:
    """A rollout over jails of which each ends as it is told to; what must hold at every moment is looked at."""

    policy: RolloutPolicy
    ends: Mapping[str, str]
    members: dict[str, Jail]
    word: RolloutState | None  # somebody's, after the first wave has begun
    state: RolloutState = RolloutState.RUNNING
    now: float = START
    tried: int = 0

    def go(self) -> None:
        deadline = START + self.policy.deadline if self.policy.deadline else None
        for turn in range(2_000):
            if turn == 5 and self.word is not None and self.state not in ENDED:
                self.state = self.word
            decision = decide(
                self.policy, self.state, list(self.members.values()), self.health(), now=self.now, deadline=deadline
            )
            self.look(decision)
            self.carry_out(decision)
            if self.state in ENDED:
                return
            if decision.acts:
                continue
            if not self.finish_changes():
                if decision.until is None:
                    assert self.state is RolloutState.PAUSED, "it waits for nothing"
                    self.resume()
                    deadline = None
                else:
                    self.now = max(self.now, decision.until)
        raise AssertionError("it goes on for ever")

    def health(self) -> dict[str, Health]:
        ill = {"ill": Health(), "crashes": Health(over="it crashes"), "stuck": Health()}
        return {name: ill.get(self.ends[name], Health(START)) for name in self.members}

    def look(self, decision: Decision) -> None:
        assert not decision.start or self.state is RolloutState.RUNNING
        for name in decision.start:
            member = self.members[name]
            assert member.state is MemberState.WAITING
            assert not any(
                each.wave < member.wave and each.state in IN_FLIGHT | {MemberState.WAITING}
                for each in self.members.values()
                if each.name not in {*decision.passed, *(verdict.name for verdict in decision.failed)}
            )
        for name in decision.undo:
            assert self.members[name].moved
        began = [each.began for each in self.members.values() if each.began]
        if decision.start and self.policy.stagger and began:
            assert self.now >= max(began) + self.policy.stagger
            assert len(decision.start) == 1
        if decision.breach:
            assert not decision.start
            assert decision.state is not RolloutState.RUNNING

    def carry_out(self, decision: Decision) -> None:
        for name in decision.passed:
            self.become(name, MemberState.DONE)
        for verdict in decision.failed:
            self.become(verdict.name, MemberState.FAILED, counts=True)
        for name in decision.start:
            self.become(name, MemberState.CHANGING, began=self.now)
        for name in decision.undo:
            self.become(name, MemberState.UNDOING)
        self.state = decision.state
        flying = [each for each in self.members.values() if each.state in IN_FLIGHT]
        assert len(flying) <= self.policy.max_parallel
        groups = [each.group for each in flying if each.group]
        assert len(groups) == len(set(groups))

    def finish_changes(self) -> bool:
        """Let the changes under way end, if there are any."""
        flying = [each for each in self.members.values() if each.state in {MemberState.CHANGING, MemberState.UNDOING}]
        for each in flying:
            end = self.ends[each.name]
            if each.state is MemberState.UNDOING:
                stuck = end == "stuck"
                self.become(each.name, MemberState.STUCK if stuck else MemberState.UNDONE, moved=each.moved * stuck)
            elif end == "refused change":
                self.become(each.name, MemberState.FAILED, counts=True)
            elif end == "away":
                self.become(each.name, MemberState.SKIPPED)
            elif end == "later" and each.not_before == 0.0:
                self.become(each.name, MemberState.WAITING, not_before=self.now + 3)
            else:
                self.become(each.name, MemberState.SOAKING, moved=self.now)
        self.now += 1
        return bool(flying)

    def resume(self) -> None:
        """Somebody looks at it, and lets it go on."""
        self.tried += 1
        for each in self.members.values():
            self.become(each.name, each.state, counts=False)
        self.state = RolloutState.RUNNING

    def become(self, name: str, state: MemberState, **changes: object) -> None:
        self.members[name] = replace(self.members[name], state=state, **changes)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(
    policy=POLICIES,
    jails=st.lists(st.tuples(st.sampled_from(["", "", "x", "y"]), ENDS), min_size=1, max_size=12),
    word=WORDS,
)
def test_every_run_ends_and_keeps_to_its_policy_at_every_moment(
    policy: RolloutPolicy, jails: list[tuple[str, str]], word: RolloutState | None
) -> None:
    targets = [Target(f"j{number:02}", group) for number, (group, _) in enumerate(jails)]
    ends = {target.name: end for target, (_, end) in zip(targets, jails, strict=True)}
    places = arrange(targets, policy)
    assert sorted(place.name for place in places) == sorted(ends)
    run = Run(policy, ends, {place.name: Jail(place.name, place.wave, place.group) for place in places}, word)
    run.go()
    by_state = {name: member.state for name, member in run.members.items()}
    if run.state is RolloutState.DONE:
        assert not {MemberState.WAITING, *IN_FLIGHT} & set(by_state.values())
    if run.state in {RolloutState.UNDONE, RolloutState.INCOMPLETE}:
        moved = [name for name, member in run.members.items() if member.moved]
        assert moved == [name for name, state in by_state.items() if state is MemberState.STUCK]
        assert (run.state is RolloutState.INCOMPLETE) == bool(moved)
    if policy.auto_revert and run.state is not RolloutState.UNDONE:
        assert not any(m.state is MemberState.FAILED and m.moved for m in run.members.values())


class Counted:
    """A member that counts how often it is looked at."""

    looks = 0

    def __init__(self, jail: Jail) -> None:
        self._jail = jail

    def __getattr__(self, name: str) -> object:
        Counted.looks += 1
        return getattr(self._jail, name)


def test_a_decision_looks_at_each_of_ten_thousand_members_a_few_times() -> None:
    def looks(count: int) -> float:
        members: Iterable[Jail] = (Jail(f"h{number}", group=f"g{number % 7}") for number in range(count))
        Counted.looks = 0
        decide(RolloutPolicy(max_parallel=50), RolloutState.RUNNING, [*map(Counted, members)], {}, now=START)  # type: ignore[list-item]
        return Counted.looks / count

    assert looks(10_000) <= looks(100) * 1.5 <= 20
