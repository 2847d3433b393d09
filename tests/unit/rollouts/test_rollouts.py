"""Rollouts on a host of fakes: which jails move, what a failure does, and that only the rollout's axis moves back."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime

import msgspec
import pytest

from jaild.model import layout
from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError, PermissionDeniedError
from jaild.model.jails.spec import ExecCheck, JailSpec, Placement, Readiness
from jaild.model.operation import Operation
from jaild.model.problems import Accepted, Problem, Severity
from jaild.model.replication.policy import moment
from jaild.model.rollouts import record
from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.policy import OnBreach, RolloutPolicy, Share
from jaild.model.rollouts.record import Rollout, RolloutSpec
from jaild.model.views import Caller
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import active, create, deploy, reason_of

QUICK = RolloutPolicy(min_healthy_time=5.0, healthy_deadline=30.0, max_parallel=2)
CHECKED = JailSpec(
    base="deb-1", app="web/1", health=(ExecCheck(command=("check",)),), readiness=Readiness(deadline=1.0)
)
NAMES = ("a", "b", "c", "d")


async def jails(host: FakeHost, names: tuple[str, ...] = NAMES, spec: JailSpec = CHECKED) -> None:
    for name in names:
        labels = {"tier": "edge", "service": name}
        assert reason_of(await create(host, msgspec.structs.replace(spec, labels=labels), name=name)) == ""


def to_base(base: str = "deb-2", **policy: object) -> RolloutSpec:
    made = msgspec.structs.replace(QUICK, **policy)
    return RolloutSpec(base=base, labels={"tier": "edge"}, policy=made)


async def begin(host: FakeHost, spec: RolloutSpec, who: Caller | None = None) -> Operation:
    return await host.core.use_cases.rollouts.start(spec, caller=who or caller())


async def roll_out(host: FakeHost, spec: RolloutSpec) -> Rollout:
    """Carry one out; return it as it ended."""
    operation = await host.end_of(await begin(host, spec))
    return host.core.use_cases.rollouts.get(operation.id)


async def until(host: FakeHost, rollout: str, state: RolloutState) -> Rollout:
    """Wait until a rollout is in a state; each turn of it that does anything is a change of its operation."""
    async with asyncio.timeout(host.patience):
        async for _ in host.core.use_cases.operations.watch(rollout):
            if host.core.use_cases.rollouts.get(rollout).state is state:
                break
    return host.core.use_cases.rollouts.get(rollout)


async def told(host: FakeHost, kind: str, target: str, times: int = 1) -> None:
    """Wait until an event was told so many times."""
    async with asyncio.timeout(host.patience):
        async for event in host.core.use_cases.events.watch(0, target, True):
            times -= event.kind == kind
            if not times:
                return


def states(rollout: Rollout) -> dict[str, str]:
    return {step.name: step.state.value for step in rollout.steps}


def bases(host: FakeHost, names: tuple[str, ...] = NAMES) -> list[str]:
    return [active(host, name).base for name in names]


async def test_jails_move_canary_first_then_wave_after_wave_and_it_ends_with_what_runs(host: FakeHost) -> None:
    await jails(host)
    host.runtime.calls.clear()
    done = await roll_out(host, to_base(canaries=1, waves=(Share(1),)))
    assert done.state is RolloutState.DONE
    assert states(done) == dict.fromkeys(NAMES, "done")
    assert [(step.name, step.wave) for step in done.steps] == [("a", 0), ("b", 1), ("c", 2), ("d", 2)]
    starts = [name for call, name in host.runtime.calls if call == "start"]
    assert starts[:2] == ["a.2", "b.2"]
    assert sorted(starts[2:]) == ["c.2", "d.2"]
    moved = {step.name: step.moved for step in done.steps}
    assert moved["b"] >= moved["a"] + 5.0
    guid = host.core.inventory.bases["deb-2"].guid
    for step in done.steps:
        assert step.runs is not None
        assert (step.runs.generation, step.runs.base, step.runs.base_guid) == (2, "deb-2", guid)
        assert step.downtime is not None


async def test_a_plan_holds_each_jails_own_and_touches_nothing(host: FakeHost) -> None:
    await jails(host)
    (layout.generation_folder(host.core.inventory.jails["b"].folder, 1) / "etc/motd").write_text("mine\n")
    unknown = await host.core.use_cases.rollouts.plan(to_base(), caller=caller())
    assert record.downtime(unknown.steps) == (0.0, True)  # nobody was stopped yet
    host.runtime.takes = {"stop": 2.0, "start": 1.0}
    await host.end_of(await host.core.use_cases.jails.restart("a", caller=caller()))
    host.runtime.calls.clear()
    plan = await host.core.use_cases.rollouts.plan(to_base(), caller=caller())
    assert states(plan) == {"a": "waiting", "b": "refused", "c": "waiting", "d": "waiting"}
    (refused,) = [step for step in plan.steps if step.state is MemberState.REFUSED]
    assert (refused.reason, [problem.code for problem in refused.problems]) == ("MERGE_CONFLICT", ["MERGE_CONFLICT"])
    assert [step.expected for step in plan.steps if step.name != "b"] == [3.0, 2.0, 2.0]
    assert record.downtime(plan.steps) == (7.0, False)
    assert plan.duration > 10.0  # two at a time
    assert not [call for call, _ in host.runtime.calls if call in {"create", "start", "stop"}]
    assert host.core.use_cases.rollouts.list() == []


async def test_a_jail_whose_plan_is_refused_stops_all_of_it_unless_it_may_be_left_out(host: FakeHost) -> None:
    await jails(host)
    (layout.generation_folder(host.core.inventory.jails["b"].folder, 1) / "etc/motd").write_text("mine\n")
    operation = await host.end_of(await begin(host, to_base()))
    assert reason_of(operation) == "ROLLOUT_REFUSED"
    assert operation.failure is not None
    assert [problem.code for problem in operation.failure.problems] == ["MERGE_CONFLICT"]
    refused = host.core.use_cases.rollouts.get(operation.id)
    assert (refused.state, states(refused)["b"]) == (RolloutState.REFUSED, "refused")
    assert bases(host) == ["deb-1"] * 4
    done = await roll_out(host, msgspec.structs.replace(to_base(), leave_out_refused=True))
    assert states(done) == {"a": "done", "b": "refused", "c": "done", "d": "done"}
    assert bases(host) == ["deb-2", "deb-1", "deb-2", "deb-2"]


async def test_what_somebody_accepts_of_each_jails_plan_is_accepted_there_and_back_and_recorded(host: FakeHost) -> None:
    await jails(host)
    host.runtime.problems = (Problem(severity=Severity.ERROR, code="MISSING_LIBRARY", message="no x", subject="/x.so"),)
    refused = await roll_out(host, to_base())
    assert (refused.state, refused.steps[0].reason) == (RolloutState.REFUSED, "MISSING_LIBRARY")
    accepted = (Accepted(code="MISSING_LIBRARY", reason="never opened", by="tester"),)
    asked = msgspec.structs.replace(to_base(), accepted=accepted)
    assert (await host.core.use_cases.rollouts.plan(asked, caller=caller())).steps[0].state is MemberState.WAITING
    began = await begin(host, asked)
    await told(host, "generation.committed", "jails/a")
    await host.restart()  # the next daemon accepts as much
    await host.end_of(began)
    done = host.core.use_cases.rollouts.get(began.id)
    assert (done.state, bases(host)) == (RolloutState.DONE, ["deb-2"] * 4)
    assert {active(host, name).accepted for name in NAMES} == {accepted}
    undo = host.core.use_cases.rollouts.undo
    assert (await host.end_of(await undo(done.id, caller=caller()))).failure is not None
    may = msgspec.structs.replace(caller(), accepted=accepted)
    assert (await host.end_of(await undo(done.id, caller=may))).failure is None
    assert bases(host) == ["deb-1"] * 4


async def test_a_canary_that_fails_its_check_is_back_and_nobody_else_was_touched(host: FakeHost) -> None:
    await jails(host)
    host.runtime.say("a", 2, status=1)
    operation = await begin(host, to_base(canaries=1, failure_budget=Share(3)))
    paused = await until(host, operation.id, RolloutState.PAUSED)
    assert states(paused) == {"a": "failed", "b": "waiting", "c": "waiting", "d": "waiting"}
    assert (paused.steps[0].reason, paused.message) == ("HEALTH_CHECK_FAILED", "1 of the canaries failed")
    assert bases(host) == ["deb-1"] * 4
    assert [active(host, name).number for name in NAMES] == [1, 1, 1, 1]

    await host.core.use_cases.rollouts.resume(operation.id, caller=caller())  # somebody looked at it
    ended = await host.end_of(operation)
    assert reason_of(ended) == ""
    assert bases(host) == ["deb-1", "deb-2", "deb-2", "deb-2"]


async def test_on_a_breach_all_that_moved_is_taken_back_on_its_axis_alone(host: FakeHost) -> None:
    await jails(host)
    host.runtime.say("d", 2, status=1)
    operation = await begin(host, to_base(max_parallel=1, on_breach=OnBreach.UNDO))
    await asyncio.sleep(0)
    ended = await host.end_of(operation)
    assert reason_of(ended) == "ROLLOUT_UNDONE"
    found = host.core.use_cases.rollouts.get(operation.id)
    assert states(found) == {"a": "undone", "b": "undone", "c": "undone", "d": "failed"}
    assert bases(host) == ["deb-1"] * 4
    assert [active(host, name).reason for name in NAMES] == ["rollback", "rollback", "rollback", "create"]


async def test_a_jail_that_ends_while_it_is_watched_is_taken_back_and_counts(host: FakeHost) -> None:
    await jails(host, ("a", "b"))
    operation = await begin(host, to_base(max_parallel=1, min_healthy_time=20.0))
    await told(host, "generation.committed", "jails/a")
    host.runtime.end("a", 2, status=3)
    paused = await until(host, operation.id, RolloutState.PAUSED)
    await told(host, "generation.committed", "jails/a", 2)
    assert paused.message == "1 failed, 0 may"
    assert bases(host, ("a", "b")) == ["deb-1", "deb-1"]
    step = host.core.use_cases.rollouts.get(operation.id).steps[0]
    assert step.reason == "NOT_HEALTHY"
    await host.core.use_cases.rollouts.cancel(operation.id, caller=caller())
    assert reason_of(await host.end_of(operation)) == "OPERATION_CANCELLED"


async def test_of_a_group_one_jail_is_moved_at_a_time(host: FakeHost) -> None:
    spec = msgspec.structs.replace(CHECKED, placement=Placement(apart="pool"))
    for name in NAMES:
        labels = {"tier": "edge", "pool": "one"}
        assert reason_of(await create(host, msgspec.structs.replace(spec, labels=labels), name=name)) == ""
    done = await roll_out(host, to_base(max_parallel=4))
    moved = sorted(step.moved for step in done.steps)
    assert all(later >= earlier + 5.0 for earlier, later in itertools.pairwise(moved))


async def test_an_undo_days_later_moves_the_base_alone_and_leaves_alone_who_moved_since(host: FakeHost) -> None:
    await jails(host)
    done = await roll_out(host, to_base())
    await host.add_base("deb-3")
    assert reason_of(await deploy(host, "web/2", name="a")) == ""
    upgraded = await host.core.use_cases.jails.upgrade("b", "deb-3", etag="", validate_only=False, caller=caller())
    await host.end_of(upgraded)
    plan = await host.core.use_cases.rollouts.plan(RolloutSpec(undoes=done.id, policy=QUICK), caller=caller())
    assert [(step.name, step.before, step.target) for step in plan.steps] == [
        (name, "deb-2", "deb-1") for name in ("a", "c", "d")
    ]
    operation = await host.end_of(await host.core.use_cases.rollouts.undo(done.id, caller=caller()))
    assert reason_of(operation) == ""
    assert bases(host) == ["deb-1", "deb-3", "deb-1", "deb-1"]
    assert [active(host, name).release for name in NAMES] == ["web/2", "web/1", "web/1", "web/1"]


async def test_an_undo_goes_back_also_when_the_generation_of_before_is_not_kept_any_more(host: FakeHost) -> None:
    await jails(host, ("a",))
    done = await roll_out(host, to_base())
    for number in range(12):
        await deploy(host, f"web/{number % 2 + 1}", name="a")
    assert 1 not in host.core.inventory.jails["a"].references
    operation = await host.end_of(await host.core.use_cases.rollouts.undo(done.id, caller=caller()))
    assert reason_of(operation) == ""
    assert (active(host, "a").base, active(host, "a").release, active(host, "a").reason) == (
        "deb-1",
        "web/2",
        "upgrade",
    )


async def test_of_a_channel_those_move_that_follow_it_and_they_go_on_following(host: FakeHost) -> None:
    channels = host.core.use_cases.channels
    await channels.set("stable", "deb-1", caller=caller())
    await jails(host, ("a", "b"), msgspec.structs.replace(CHECKED, base="", channel="stable"))
    await jails(host, ("c",))
    await channels.set("stable", "deb-2", caller=caller())
    done = await roll_out(host, RolloutSpec(channel="stable", policy=QUICK))
    assert states(done) == {"a": "done", "b": "done"}
    assert [active(host, name).spec.channel for name in ("a", "b", "c")] == ["stable", "stable", None]
    assert channels.get("stable").behind == ()
    await host.end_of(await host.core.use_cases.rollouts.undo(done.id, caller=caller()))
    assert channels.get("stable").behind == ("a", "b")


async def test_a_release_moves_over_the_jails_that_run_its_app(host: FakeHost) -> None:
    await jails(host, ("a", "b"))
    await create(host, JailSpec(base="deb-1", command=("/bin/run",)), name="other")
    done = await roll_out(host, RolloutSpec(release="web/2", policy=QUICK))
    assert states(done) == {"a": "done", "b": "done"}
    assert [active(host, name).release for name in ("a", "b", "other")] == ["web/2", "web/2", ""]
    assert bases(host, ("a", "b")) == ["deb-1", "deb-1"]
    await host.end_of(await host.core.use_cases.rollouts.undo(done.id, caller=caller()))
    assert [active(host, name).release for name in ("a", "b")] == ["web/1", "web/1"]


async def test_a_paused_one_begins_nothing_and_goes_on_when_it_is_told_to_also_by_the_next_daemon(
    host: FakeHost,
) -> None:
    await jails(host)
    operation = await begin(host, to_base(max_parallel=1))
    await told(host, "generation.committed", "jails/a")
    await host.core.use_cases.rollouts.pause(operation.id, caller=caller())
    await host.restart()
    assert host.core.use_cases.rollouts.get(operation.id).state is RolloutState.PAUSED
    assert not host.core.use_cases.operations.get(operation.id).done
    await host.core.use_cases.rollouts.resume(operation.id, caller=caller())
    assert reason_of(await host.end_of(operation)) == ""
    assert bases(host) == ["deb-2"] * 4


async def test_one_that_is_under_way_is_undone_by_a_word(host: FakeHost) -> None:
    await jails(host)
    operation = await begin(host, to_base(max_parallel=1, min_healthy_time=20.0))
    await told(host, "generation.committed", "jails/b")
    assert (await host.core.use_cases.rollouts.undo(operation.id, caller=caller())).id == operation.id
    assert reason_of(await host.end_of(operation)) == "ROLLOUT_UNDONE"
    assert bases(host) == ["deb-1"] * 4


async def test_a_jail_is_in_one_rollout_at_a_time(host: FakeHost) -> None:
    await jails(host, ("a",))
    host.runtime.say("a", 2, status=1)
    first = await begin(host, to_base())
    await until(host, first.id, RolloutState.PAUSED)
    second = await host.end_of(await begin(host, to_base()))
    assert reason_of(second) == "ROLLOUT_UNDER_WAY"


async def test_nothing_to_roll_out_is_told(host: FakeHost) -> None:
    await jails(host, ("a",))
    with pytest.raises(FailedPreconditionError) as caught:
        await host.core.use_cases.rollouts.plan(to_base("deb-1"), caller=caller())
    assert caught.value.reason == "NOTHING_TO_ROLL_OUT"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (RolloutSpec(), "INVALID_ROLLOUT"),
        (RolloutSpec(base="deb-2"), "INVALID_ROLLOUT"),
        (RolloutSpec(base="deb-2", channel="stable"), "INVALID_ROLLOUT"),
        (RolloutSpec(base="deb-2", jails=("a",), policy=RolloutPolicy(max_parallel=0)), "INVALID_ROLLOUT"),
        (RolloutSpec(base="deb-9", jails=("a",)), "BASE_NOT_FOUND"),
        (RolloutSpec(channel="stable"), "CHANNEL_NOT_FOUND"),
        (RolloutSpec(release="web/9"), "RELEASE_NOT_FOUND"),
        (RolloutSpec(undoes="nothing"), "ROLLOUT_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(host: FakeHost, spec: RolloutSpec, reason: str) -> None:
    with pytest.raises(JaildError) as caught:
        await begin(host, spec)
    assert caught.value.reason == reason
    assert host.core.use_cases.operations.list() == []


async def test_a_rollout_is_of_whose_axis_it_is(host: FakeHost) -> None:
    await jails(host, ("a",))
    source = Caller(actor="os-team", roles=frozenset({Role.SOURCE}))
    product = Caller(actor="web-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"web"}))
    other = Caller(actor="db-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"db"}))
    rollouts = host.core.use_cases.rollouts
    of_release = RolloutSpec(release="web/2", policy=QUICK)
    for spec, who in ((to_base(), product), (of_release, source), (of_release, other)):
        with pytest.raises(PermissionDeniedError):
            await rollouts.plan(spec, caller=who)
    operation = await host.end_of(await begin(host, to_base(), source))
    assert reason_of(operation) == ""
    with pytest.raises(PermissionDeniedError):
        await rollouts.undo(operation.id, caller=product)
    assert reason_of(await host.end_of(await begin(host, of_release, product))) == ""
    assert (active(host, "a").base, active(host, "a").release) == ("deb-2", "web/2")


async def test_a_request_that_is_repeated_begins_no_second_one(host: FakeHost) -> None:
    await jails(host, ("a",))
    first = await begin(host, to_base(), caller("r"))
    assert (await begin(host, to_base(), caller("r"))).id == first.id
    with pytest.raises(InvalidArgumentError):
        await begin(host, RolloutSpec(), caller("other"))


async def test_a_stopped_jail_moves_without_being_watched_and_stays_stopped(host: FakeHost) -> None:
    await create(host, msgspec.structs.replace(CHECKED, labels={"tier": "edge"}), name="a", stopped=True)
    done = await roll_out(host, to_base())
    assert states(done) == {"a": "done"}
    assert active(host, "a").base == "deb-2"
    assert not [call for call, _ in host.runtime.calls if call == "start"]


async def test_while_the_host_is_shut_down_nothing_is_healthy_and_what_waits_goes_on_waiting(host: FakeHost) -> None:
    await jails(host, ("a", "b"))
    operation = await begin(host, to_base(max_parallel=1, min_healthy_time=20.0, healthy_deadline=1e6))
    await told(host, "generation.committed", "jails/a")
    boot = host.core.use_cases.boot
    await host.end_of(await boot.stop(deadline=60.0, validate_only=False, caller=caller()))
    for _ in range(100):
        await host.clock.sleep(1.0)
    assert states(host.core.use_cases.rollouts.get(operation.id)) == {"a": "soaking", "b": "waiting"}
    await host.end_of(await boot.start(validate_only=False, caller=caller()))
    assert reason_of(await host.end_of(operation)) == ""
    assert bases(host, ("a", "b")) == ["deb-2", "deb-2"]


async def test_a_word_that_is_being_written_down_is_not_overtaken_by_what_is_decided_meanwhile(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await jails(host, ("a", "b"))
    operation = await begin(host, to_base(max_parallel=1, min_healthy_time=20.0))
    await told(host, "generation.committed", "jails/a")
    assert host.store is not None
    put, asked, written = host.store.put_rollout, asyncio.Event(), asyncio.Event()

    async def slowly(rollout: Rollout, since: Rollout | None) -> None:
        if rollout.state is RolloutState.PAUSED and not asked.is_set():
            asked.set()
            await written.wait()
        await put(rollout, since)

    monkeypatch.setattr(host.store, "put_rollout", slowly)
    pausing = asyncio.create_task(host.core.use_cases.rollouts.pause(operation.id, caller=caller()))
    await asked.wait()
    for _ in range(50):
        await host.clock.sleep(1.0)  # the first has soaked, and the next one's turn would be
    written.set()
    await pausing
    for _ in range(50):
        await host.clock.sleep(1.0)
    paused = host.core.use_cases.rollouts.get(operation.id)
    assert (paused.state, states(paused)) == (RolloutState.PAUSED, {"a": "done", "b": "waiting"})


async def test_what_a_rollout_moves_jails_to_and_from_is_not_pruned_before_it_is_over(host: FakeHost) -> None:
    await jails(host)
    rollouts, pruned = host.core.use_cases.rollouts, host.core.use_cases.bases.prune
    operation = await begin(host, to_base(canaries=1))
    await told(host, "rollout.planned", "rollouts")
    await rollouts.pause(operation.id, caller=caller())
    held = await pruned(min_age=0, validate_only=True, caller=caller())
    assert held.plan is not None
    assert held.plan.steps == ()
    with pytest.raises(FailedPreconditionError, match=f"rollouts/{operation.id}"):
        await host.core.use_cases.bases.delete("deb-2", validate_only=True, caller=caller())
    await rollouts.cancel(operation.id, caller=caller())
    await host.end_of(operation)
    assert [who for _, _, who in host.core.inventory.references() if who.startswith("rollouts/")] == []


async def test_outside_of_its_windows_a_rollout_waits_and_says_until_when(host: FakeHost) -> None:
    await jails(host, ("a", "b"))
    opens = (host.clock.now() // 3600 + 2) * 3600  # the hour after the next
    window = f"{datetime.fromtimestamp(opens, UTC):%H:%M}-{datetime.fromtimestamp(opens + 1800, UTC):%H:%M}"
    operation = await begin(host, to_base(maintenance=(window,)))
    await told(host, "rollout.waiting", f"rollouts/{operation.id}")
    waiting = host.core.use_cases.rollouts.get(operation.id)
    assert (waiting.state, states(waiting)) == (RolloutState.RUNNING, {"a": "waiting", "b": "waiting"})
    assert waiting.message == f"outside of its maintenance windows: it goes on at {moment(opens)}"
    assert reason_of(await host.end_of(operation)) == ""
    done = host.core.use_cases.rollouts.get(operation.id)
    assert (done.message, [step.began >= opens for step in done.steps]) == ("", [True, True])
    with pytest.raises(InvalidArgumentError, match="is not a window"):
        await begin(host, to_base(maintenance=("at night",)))
