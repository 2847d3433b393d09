"""What a rollout makes of a jail while it watches it: liveness checks, ends, restarts by the spec's own policy."""

from __future__ import annotations

import msgspec

from jaild.model.jails.spec import Backoff, ExecCheck, JailSpec, Liveness, Restart
from jaild.model.rollouts.decision import RolloutState
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import active, create, ended, reason_of
from tests.unit.rollouts.test_rollouts import begin, roll_out, states, to_base, told, until

ALIVE = ("alive",)
LIVELY = JailSpec(
    base="deb-1",
    app="web/1",
    labels={"tier": "edge"},
    liveness=Liveness(checks=(ExecCheck(command=ALIVE),), interval=1.0, failures=1),
)


async def test_a_jail_that_is_alive_for_long_enough_is_done(host: FakeHost) -> None:
    await create(host, LIVELY, name="a")
    done = await roll_out(host, to_base())
    assert states(done) == {"a": "done"}


async def test_a_jail_that_passes_its_gate_and_is_not_alive_afterwards_is_taken_back(host: FakeHost) -> None:
    await create(host, LIVELY, name="a")
    host.runtime.say("a", 2, status=1, command=ALIVE)
    operation = await begin(host, to_base())
    await until(host, operation.id, RolloutState.PAUSED)
    await told(host, "generation.committed", "jails/a", 2)
    step = host.core.use_cases.rollouts.get(operation.id).steps[0]
    assert (step.reason, step.message) == ("NOT_HEALTHY", "not healthy for 5 s within 30 s")
    assert active(host, "a").base == "deb-1"


async def test_a_jail_that_its_own_policy_starts_again_is_watched_anew(host: FakeHost) -> None:
    again = Restart(policy="always", backoff=Backoff(first=1.0, longest=1.0))
    await create(host, msgspec.structs.replace(LIVELY, liveness=None, restart=again), name="a")
    operation = await begin(host, to_base(min_healthy_time=20.0, healthy_deadline=1000.0))
    await told(host, "generation.committed", "jails/a")
    host.runtime.end("a", 2, status=1)
    assert reason_of(await host.end_of(operation)) == ""
    step = host.core.use_cases.rollouts.get(operation.id).steps[0]
    run = host.core.inventory.jails["a"].run
    assert run is not None
    assert run.started > step.moved
    assert host.clock.now() >= run.started + 20.0


async def test_a_jail_whose_last_change_waits_for_its_confirmation_is_refused_and_not_left_out_untold(
    host: FakeHost,
) -> None:
    await create(host, LIVELY, name="a")
    await create(host, LIVELY, name="b")
    await deployed_for_now(host, "b")
    plan = await host.core.use_cases.rollouts.plan(to_base(), caller=caller())
    assert [(step.name, step.state, step.reason) for step in plan.steps] == [
        ("a", "waiting", ""),
        ("b", "refused", "CHANGE_UNCONFIRMED"),
    ]


async def test_what_is_only_in_the_way_of_a_jail_is_waited_for(host: FakeHost) -> None:
    await create(host, LIVELY, name="a")
    await create(host, LIVELY, name="b")
    operation = await begin(host, to_base(max_parallel=1))
    await told(host, "generation.committed", "jails/a")
    await deployed_for_now(host, "b")
    for _ in range(100):
        await host.clock.sleep(1.0)
    found = host.core.use_cases.rollouts.get(operation.id)
    assert (found.state, states(found)["a"]) == (RolloutState.RUNNING, "done")
    assert states(found)["b"] in {"waiting", "changing"}  # it is tried again and again
    await host.end_of(await host.core.use_cases.confirmations.confirm("b", caller=caller()))
    assert reason_of(await host.end_of(operation)) == ""
    assert (active(host, "b").base, active(host, "b").release) == ("deb-2", "web/2")


async def deployed_for_now(host: FakeHost, name: str) -> None:
    """Deploy a release that is taken back if nobody confirms it."""
    jails = host.core.use_cases.jails
    asked = jails.deploy(name, "web/2", etag="", validate_only=False, caller=caller(), confirm_within=100_000.0)
    assert reason_of(await ended(host, asked)) == ""
