"""What comes of what hosts answer, of their silence, and of somebody's word: by tables."""

from __future__ import annotations

import msgspec
import pytest

from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.fleet import (
    ATTEMPTS,
    EXPIRY,
    FleetPolicy,
    FleetRollout,
    FleetSpec,
    HostStep,
    Look,
    Seen,
    Word,
    health,
    heeded,
    jails_exceeded,
    may,
    next_decision,
    observed,
    silenced,
)
from jaild.model.rollouts.policy import Share
from jaild.model.rollouts.waves import Target, arrange_sites

NOW = 1_000_000.0
M, R = MemberState, RolloutState
POLICY = FleetPolicy(silence=300.0)


def step(state: MemberState = M.CHANGING, **more: object) -> HostStep:
    made = HostStep(name="a", state=state, began=NOW - 10, heard=NOW - 10, jails=20)
    return msgspec.structs.replace(made, **more)


def rollout(state: RolloutState = R.RUNNING, **policy: object) -> FleetRollout:
    spec = FleetSpec(each={}, target="*", policy=FleetPolicy(**policy))  # type: ignore[arg-type]
    return FleetRollout(id="r", spec=spec, actor="me", state=state)


@pytest.mark.parametrize(
    ("before", "look", "state"),
    [
        (step(), Look(state=R.RUNNING), M.CHANGING),
        (step(), Look(state=R.DONE, moved=20), M.SOAKING),
        (step(), Look(state=R.PAUSED, failed=1), M.FAILED),
        (step(), Look(state=R.PAUSED), M.CHANGING),  # by somebody's word, on the host
        (step(), Look(state=R.CANCELLED), M.FAILED),
        (step(), Look(state=R.UNDONE), M.FAILED),
        (step(), Look(state=R.REFUSED, reason="MERGE_CONFLICT"), M.FAILED),
        (step(), Look(state=R.REFUSED, reason="NOTHING_TO_ROLL_OUT"), M.SKIPPED),
        (step(), Look(state=R.REFUSED, reason="ROLLOUT_UNDER_WAY"), M.WAITING),
        (step(attempts=ATTEMPTS), Look(state=R.REFUSED, reason="ROLLOUT_UNDER_WAY"), M.FAILED),
        (step(), Look(), M.CHANGING),  # what was sent may still be on its way
        (step(began=NOW - EXPIRY), Look(), M.WAITING),
        (step(M.UNDOING, moved=NOW), Look(state=R.UNDOING, back=R.UNDOING), M.UNDOING),
        (step(M.UNDOING, moved=NOW), Look(state=R.DONE, back=R.DONE), M.UNDONE),
        (step(M.UNDOING, moved=NOW), Look(state=R.UNDONE, back=R.UNDONE), M.UNDONE),
        (step(M.UNDOING, moved=NOW), Look(state=R.DONE, back=R.REFUSED, reason="NOTHING_TO_ROLL_OUT"), M.UNDONE),
        (step(M.UNDOING, moved=NOW), Look(state=R.DONE, back=R.REFUSED, reason="NO_SPACE"), M.STUCK),
        (step(M.UNDOING, moved=NOW), Look(state=R.DONE, back=R.REFUSED, reason="JAIL_MIGRATING"), M.DONE),
        (step(M.UNDOING, moved=NOW), Look(state=R.INCOMPLETE, back=R.INCOMPLETE), M.STUCK),
        (step(M.UNDOING, moved=NOW), Look(state=R.DONE), M.DONE),  # it was not told: it is told again
        (step(M.UNDOING, moved=NOW, reason="NOT_HEALTHY"), Look(state=R.DONE), M.FAILED),
        (step(M.UNDOING), Look(state=R.RUNNING), M.CHANGING),  # it was silent, and is at it
        (step(M.UNDOING), Look(), M.UNDOING),  # or may still begin
        (step(M.UNDOING, began=NOW - EXPIRY), Look(), M.UNDONE),
        (step(M.SOAKING, moved=NOW), Look(state=R.DONE, moved=20), M.SOAKING),
        (step(silent=True, counts=True), Look(state=R.RUNNING), M.CHANGING),
        (step(M.WAITING, silent=True, counts=True, began=0.0), Look(), M.WAITING),
        (step(M.FAILED, silent=True), Look(state=R.DONE, moved=20), M.SOAKING),  # it was given up
        (step(M.STUCK, silent=True, moved=NOW), Look(state=R.UNDONE, back=R.UNDONE), M.UNDONE),
    ],
)
def test_what_a_host_answers_says_where_it_is(before: HostStep, look: Look, state: MemberState) -> None:
    after = observed(before, look, NOW)
    assert after.state is state
    assert after.silent is False
    assert after.heard == NOW
    assert after.counts is (state is M.FAILED and before.state is not M.UNDOING)
    assert state is not M.UNDONE or not after.moved


def test_a_host_that_has_failed_is_taken_back_if_a_jail_of_it_moved_or_its_own_rollout_is_not_over() -> None:
    assert observed(step(), Look(state=R.DONE, moved=20), NOW).moved == NOW
    assert observed(step(), Look(state=R.PAUSED, failed=1), NOW).moved == NOW
    assert observed(step(), Look(state=R.CANCELLED, moved=1), NOW).moved == NOW
    assert observed(step(), Look(state=R.CANCELLED), NOW).moved == 0.0


def test_a_host_that_says_nothing_counts_after_a_while_and_no_more_once_it_does() -> None:
    assert silenced(step(), POLICY, NOW) == step()
    quiet = silenced(step(heard=NOW - 300), POLICY, NOW)
    assert (quiet.state, quiet.silent, quiet.counts, quiet.reason) == (M.CHANGING, True, True, "HOST_SILENT")
    assert silenced(step(heard=NOW - 9000), POLICY, NOW, NOW - 299) == step(heard=NOW - 9000)  # nobody had asked it
    undoing = silenced(step(M.UNDOING, heard=NOW - 300), POLICY, NOW)
    assert (undoing.state, undoing.silent) == (M.UNDOING, True)  # it may be at it
    assert silenced(undoing, POLICY, NOW + 3300).state is M.STUCK
    assert silenced(quiet, POLICY, NOW + 3000) == quiet
    given_up = silenced(quiet, POLICY, NOW + 3300)
    assert (given_up.state, given_up.silent, given_up.counts) == (M.FAILED, True, True)
    heard = observed(quiet, Look(state=R.RUNNING), NOW + 1)
    assert (heard.silent, heard.counts, heard.reason, heard.message) == (False, False, "", "")
    soaks = step(M.SOAKING, heard=NOW - 300)
    assert silenced(soaks, POLICY, NOW) == soaks  # it will not be found healthy


def test_a_silent_host_holds_its_rack_and_nobody_else() -> None:
    members = [
        step(name="a", group="r1", silent=True, counts=True),
        step(M.WAITING, name="b", group="r1", began=0.0),
        step(M.WAITING, name="c", group="r2", began=0.0),
        step(M.WAITING, name="d", group="r3", wave=2, began=0.0),
    ]
    found = next_decision(rollout(failure_budget=Share(1)), members, {}, NOW)
    assert (found.state, found.start) == (R.RUNNING, ("c",))  # with its place, though one may be changed at a time
    members[2] = step(M.DONE, name="c", group="r2", moved=NOW)
    assert next_decision(rollout(failure_budget=Share(1)), members, {}, NOW).start == ("d",)
    members[3] = step(M.DONE, name="d", group="r3", moved=NOW)
    waits = next_decision(rollout(failure_budget=Share(1)), members, {}, NOW)
    assert (waits.state, waits.acts) == (R.RUNNING, False)
    again = rollout(failure_budget=Share(1))
    _, given_up = heeded(again, members, Word.RESUME, "me", NOW)
    assert next_decision(again, given_up, {}, NOW).start == ("b",)


def test_a_rollout_ends_without_those_that_never_answer() -> None:
    members = [step(silent=True, counts=True), step(M.DONE, name="b", moved=NOW)]
    assert next_decision(rollout(failure_budget=Share(1)), members, {}, NOW).state is R.DONE
    assert next_decision(rollout(R.CANCELLING), members, {}, NOW).state is R.CANCELLED
    assert next_decision(rollout(R.UNDOING, max_parallel=9), members, {}, NOW).undo == ("a", "b")  # it may have moved


def test_a_silent_host_that_was_told_nothing_is_not_begun_and_not_taken_back() -> None:
    members = [step(M.WAITING, silent=True, counts=True, began=0.0), step(M.DONE, name="b", moved=NOW)]
    assert next_decision(rollout(failure_budget=Share(1)), members, {}, NOW).start == ()
    assert next_decision(rollout(R.UNDOING, max_parallel=9), members, {}, NOW).undo == ("b",)


@pytest.mark.parametrize(
    ("seen", "since"),
    [
        (None, None),
        (Seen(NOW, Look(healthy=1000.0)), NOW - 60),  # it moved then
        (Seen(NOW, Look(healthy=20.0)), NOW - 20),
        (Seen(NOW - 50, Look(healthy=1000.0)), NOW - 10),  # what was not seen does not count
        (Seen(NOW, Look(healthy=None)), None),
        (Seen(NOW, Look(healthy=1000.0, ailing=("x",))), None),  # another jail than before is not well
        (Seen(NOW, Look(healthy=1000.0, ailing=("old",))), NOW - 60),
    ],
)
def test_a_host_is_healthy_for_as_long_as_it_was_seen_to_be(seen: Seen | None, since: float | None) -> None:
    assert health(step(M.SOAKING, moved=NOW - 60, ailing=("old",)), seen, NOW).since == since


def test_jails_that_fail_on_whatever_hosts_have_a_budget_of_their_own() -> None:
    members = [step(M.DONE, jails_failed=1), step(M.DONE, name="b", jails_failed=2, jails_forgiven=1)]
    assert jails_exceeded(FleetPolicy(), members) == ""
    assert jails_exceeded(FleetPolicy(jail_budget=Share(5, percent=True)), members) == ""  # 2 of 40
    assert jails_exceeded(FleetPolicy(jail_budget=Share(1)), members) == "2 jails failed, 1 may"
    found = next_decision(
        rollout(jail_budget=Share(1), failure_budget=Share(9)), [*members, step(M.WAITING, name="c")], {}, NOW
    )
    assert (found.state, found.breach, found.start) == (R.PAUSED, "2 jails failed, 1 may", ())


def test_a_resume_forgives_and_another_word_changes_what_is_wanted() -> None:
    members = [step(M.FAILED, counts=True, jails_failed=2), step(M.DONE, name="b")]
    head, steps = heeded(rollout(R.PAUSED, deadline=60.0), members, Word.RESUME, "me", NOW)
    assert (head.state, head.deadline, steps[0].counts, steps[0].jails_forgiven) == (R.RUNNING, NOW + 60, False, 2)
    assert steps[1] is members[1]
    head, _ = heeded(rollout(), members, Word.PAUSE, "me", NOW)
    assert (head.state, head.message) == (R.PAUSED, "paused by me")
    late, _ = heeded(rollout(R.DONE), members, Word.PAUSE, "me", NOW)
    assert late.state is R.DONE
    assert may(R.DONE, Word.UNDO)
    assert not may(R.UNDONE, Word.UNDO)


def test_each_site_has_waves_of_its_own_after_the_canaries() -> None:
    sites = {name: [Target(f"{name}{n}", f"r{n % 2}") for n in range(4)] for name in ("x", "y")}
    policy = FleetPolicy(canaries=1, waves=(Share(1),))
    found = [(site, place.name, place.wave) for site, place in arrange_sites(sites, policy)]
    assert found == [
        *(("x", "x0", 0), ("x", "x1", 1), ("x", "x2", 2), ("x", "x3", 2)),
        *(("y", "y0", 3), ("y", "y1", 4), ("y", "y2", 4), ("y", "y3", 4)),
    ]
    named = {place.name for _, place in arrange_sites(sites, policy, ("y3",)) if place.wave == 0}
    assert named == {"y3"}
