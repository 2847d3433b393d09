"""What a rollout makes of a jail while it watches it: liveness checks, ends, restarts by the spec's own policy."""

from __future__ import annotations

import msgspec

from jaild.model.jails.spec import Backoff, ExecCheck, JailSpec, Liveness, Restart
from jaild.model.rollouts.decision import RolloutState
from tests.fakes.host import FakeHost
from tests.hosts.asking import active, create, reason_of
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
    ended = await host.end_of(operation)
    assert reason_of(ended) == ""
    step = host.core.use_cases.rollouts.get(operation.id).steps[0]
    run = host.core.inventory.jails["a"].run
    assert run is not None
    assert run.started > step.moved
    assert host.clock.now() >= run.started + 20.0
