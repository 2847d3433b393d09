"""Emptying a host: what moves where and when, what stays and why, and what a restart or a cancel leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.evacuation.record import Evacuation
from jaild.model.jails.spec import HttpCheck, Limits, Placement, Readiness
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault
from tests.fakes.runtime import FACTS
from tests.hosts import invariants
from tests.hosts.asking import SPEC, create, deploy, reason_of, touched
from tests.hosts.fixtures import furnished
from tests.hosts.fleet import Fleet, Gate, dead, evacuate, fleet, outcome, report, until

G = 1 << 30


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Fleet]:
    made = await fleet(tmp_path)
    yield made
    await made.stop()


async def jails(host: FakeHost, *names: str) -> None:
    """Create jails that leave in this order."""
    for position, name in enumerate(names):
        await create(host, msgspec.structs.replace(SPEC, placement=Placement(priority=900 - position)), name=name)


def moved(hosts: Fleet, jail: str) -> str:
    """Return the host on which the jail runs; it must be one."""
    (run,) = invariants.running(hosts.hosts, jail)
    return run.partition(":")[0]


async def test_every_jail_moves_and_the_host_stays_drained(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b", "c")
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha))
    assert done.failure is None
    assert done.result == f"evacuations/{done.id}"
    assert {state for state, _ in outcome(hosts.alpha, done).values()} == {"moved"}
    assert {moved(hosts, jail) for jail in ("a", "b", "c")} <= {"beta", "gamma"}
    for host in hosts.hosts:
        assert await invariants.unsettled(host) == []
    assert report(hosts.alpha, done).finished
    with pytest.raises(FailedPreconditionError) as refused:
        await create(hosts.alpha, name="late")
    assert refused.value.reason == "HOST_DRAINING"


async def test_the_higher_priority_moves_first(hosts: Fleet) -> None:
    for name, priority in (("low", 1), ("high", 900), ("usual", 100)):
        spec = msgspec.structs.replace(SPEC, placement=Placement(priority=priority))
        await create(hosts.alpha, spec, name=name)
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha, parallel=1))
    assert list(outcome(hosts.alpha, done)) == ["high", "usual", "low"]
    events = [event async for event in hosts.alpha.core.use_cases.events.watch(0, "", False)]
    committed = [event.target for event in events if event.kind == "migration.committed"]
    assert committed == ["jails/high", "jails/usual", "jails/low"]


async def test_jails_go_where_their_memory_fits_and_the_rest_stays_with_each_hosts_reason(hosts: Fleet) -> None:
    hosts.beta.runtime.host_facts = replace(FACTS, memory=4 * G)
    hosts.gamma.runtime.host_facts = replace(FACTS, memory=2 * G)
    for name, memory in (("big", "8G"), ("fits", "3G"), ("small", "2G")):
        await create(hosts.alpha, msgspec.structs.replace(SPEC, limits=Limits(memory=memory)), name=name)
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha))
    assert outcome(hosts.alpha, done) == {"fits": ("moved", "beta"), "small": ("moved", "gamma"), "big": ("failed", "")}
    assert reason_of(done) == "EVACUATION_INCOMPLETE"
    big = report(hosts.alpha, done).moves[-1]
    assert big.reason == "NO_HOST_TAKES_IT"
    assert "beta: " in big.message
    assert "gamma: " in big.message
    assert moved(hosts, "big") == "alpha"


async def test_jails_of_a_label_end_on_different_hosts(hosts: Fleet) -> None:
    spec = msgspec.structs.replace(SPEC, labels={"service": "dns"}, placement=Placement(apart="service"))
    for name in ("dns1", "dns2"):
        await create(hosts.alpha, spec, name=name)
    assert (await hosts.alpha.end_of(await evacuate(hosts.alpha))).failure is None
    assert {moved(hosts, "dns1"), moved(hosts, "dns2")} == {"beta", "gamma"}


async def test_a_move_that_fails_stops_no_other_and_leaves_its_jail_where_it_was(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b", "c")
    original = hosts.alpha.zfs.snapshot

    async def failing(name: str, tag: str, *, recursive: bool = False, purpose: str = "") -> None:
        if name.endswith("/b"):
            raise FailedPreconditionError("DATASET_BUSY", "a disk does not answer", hint="replace it")
        await original(name, tag, recursive=recursive, purpose=purpose)

    hosts.alpha.zfs.snapshot = failing  # type: ignore[method-assign, assignment]
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha))
    states = {jail: state for jail, (state, _) in outcome(hosts.alpha, done).items()}
    assert states == {"a": "moved", "b": "failed", "c": "moved"}
    (failed,) = [move for move in report(hosts.alpha, done).moves if move.jail == "b"]
    assert (failed.reason, failed.hint) == ("DATASET_BUSY", "replace it")
    assert moved(hosts, "b") == "alpha"
    assert done.failure is not None
    assert "still here: b" in done.failure.message


async def test_a_jail_that_is_not_healthy_where_it_went_is_told_apart_from_one_that_stays(hosts: Fleet) -> None:
    check = (HttpCheck(port=80),)
    spec = msgspec.structs.replace(SPEC, health=check, readiness=Readiness(deadline=0.5, successes=1))
    await create(hosts.alpha, spec, name="sick")
    hosts.beta.probe.problem = "nobody listens"
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha, ("beta",)))
    assert outcome(hosts.alpha, done) == {"sick": ("unhealthy", "beta")}
    assert reason_of(done) == "EVACUATION_INCOMPLETE"
    assert await invariants.owners(hosts.hosts, "sick") == ["beta"]


async def test_a_plan_tells_what_goes_where_and_what_would_be_refused_and_touches_nothing(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a")
    await create(hosts.alpha, msgspec.structs.replace(SPEC, limits=Limits(memory="99G")), name="huge")
    for host in hosts.hosts:
        touched(host)
    planned = await evacuate(hosts.alpha, validate_only=True)
    assert planned.plan is not None
    assert planned.plan.steps[0] == "drain host"
    assert planned.plan.steps[1].startswith("a to beta, priority 900, ")
    (problem,) = [found for found in planned.plan.problems if found.severity == "warning"]
    assert (problem.code, problem.subject) == ("NO_HOST_TAKES_IT", "jails/huge")
    assert [line.partition(":")[0] for line in problem.evidence] == ["beta", "gamma"]
    assert [touched(host) for host in hosts.hosts] == [[], [], []]
    assert (await hosts.alpha.core.host.view()).drain is None
    assert hosts.alpha.core.use_cases.evacuations.list() == []


async def test_after_a_crash_in_the_middle_it_goes_on_with_what_is_left(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b", "c")
    gate = Gate(hosts.beta, "jails/b")
    operation = await evacuate(hosts.alpha, ("beta",), parallel=1)
    await gate.reached.wait()
    assert outcome(hosts.alpha, operation)["a"] == ("moved", "beta")
    hosts.alpha.life.kill()
    gate.open.set()
    await hosts.alpha.restart()
    done = await hosts.alpha.end_of(operation)
    await hosts.alpha.quiet()
    assert done.failure is None
    assert set(outcome(hosts.alpha, operation).values()) == {("moved", "beta")}
    assert {moved(hosts, jail) for jail in ("a", "b", "c")} == {"beta"}
    for host in hosts.hosts:
        assert await invariants.unsettled(host) == []


async def test_a_daemon_that_is_stopped_in_order_leaves_it_open_for_its_successor(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b")
    gate = Gate(hosts.beta)
    operation = await evacuate(hosts.alpha, ("beta",), parallel=1)
    await gate.reached.wait()
    await hosts.alpha.stop()
    gate.open.set()
    await hosts.alpha.start()
    done = await hosts.alpha.end_of(operation)
    assert done.failure is None
    assert {moved(hosts, jail) for jail in ("a", "b")} == {"beta"}


async def test_a_jail_that_had_been_handed_over_before_the_crash_is_not_moved_again(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a")
    original = hosts.alpha.core.journals.put

    async def dying(journal: object) -> None:
        if getattr(journal, "phase", "") == "committed":
            hosts.alpha.life.die()
        await original(journal)  # type: ignore[arg-type]

    hosts.alpha.core.journals.put = dying  # type: ignore[method-assign]
    operation = await evacuate(hosts.alpha, ("beta",))
    await dead(hosts.alpha)
    await hosts.alpha.restart()
    done = await hosts.alpha.end_of(operation)
    await hosts.alpha.quiet()
    assert done.failure is None
    assert outcome(hosts.alpha, operation) == {"a": ("moved", "beta")}
    assert moved(hosts, "a") == "beta"
    assert len(hosts.alpha.core.use_cases.migrations.list()) == 1


async def test_cancelled_it_takes_back_what_can_be_and_begins_no_more(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b", "c")
    gate = Gate(hosts.beta, "jails/b")
    operation = await evacuate(hosts.alpha, ("beta",), parallel=1)
    await gate.reached.wait()
    await hosts.alpha.core.use_cases.operations.cancel(operation.id, caller())
    gate.open.set()
    done = await hosts.alpha.end_of(operation)
    assert reason_of(done) == "OPERATION_CANCELLED"
    states = {jail: state for jail, (state, _) in outcome(hosts.alpha, operation).items()}
    assert states == {"a": "moved", "b": "skipped", "c": "skipped"}
    assert [moved(hosts, jail) for jail in ("a", "b", "c")] == ["beta", "alpha", "alpha"]
    assert (await hosts.alpha.core.host.view()).drain is not None


async def test_a_cancel_that_a_restart_came_between_is_not_forgotten(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b")
    gate = Gate(hosts.beta)
    operation = await evacuate(hosts.alpha, ("beta",), parallel=1)
    await gate.reached.wait()
    await hosts.alpha.core.use_cases.operations.cancel(operation.id, caller())
    hosts.alpha.life.kill()
    gate.open.set()
    await hosts.alpha.restart()
    assert reason_of(await hosts.alpha.end_of(operation)) == "OPERATION_CANCELLED"
    await hosts.alpha.quiet()
    assert [moved(hosts, jail) for jail in ("a", "b")] == ["alpha", "alpha"]


async def test_a_host_that_comes_back_goes_on_receiving(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a")
    gate = Gate(hosts.beta)
    operation = await evacuate(hosts.alpha, ("beta",))
    await gate.reached.wait()
    hosts.beta.life.kill()
    gate.open.set()
    move = hosts.alpha.core.use_cases.operations.get(report(hosts.alpha, operation).moves[0].operation)
    await until(hosts.alpha, move, lambda: "has been away" in report(hosts.alpha, operation).moves[0].message)
    await hosts.beta.restart()
    done = await hosts.alpha.end_of(operation)
    assert done.failure is None
    assert moved(hosts, "a") == "beta"
    assert report(hosts.alpha, operation).moves[0].attempts == 1


async def test_a_host_that_did_not_answer_is_tried_again(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a")
    network = hosts.alpha.network
    network.at, network.fault, network.counting = ("alpha>beta preflight", 1), Fault.REQUEST_LOST, True
    operation = await evacuate(hosts.alpha, ("beta",))
    assert (await hosts.alpha.end_of(operation)).failure is None
    assert moved(hosts, "a") == "beta"
    assert report(hosts.alpha, operation).moves[0].attempts > 1


async def test_no_more_than_were_asked_for_move_at_once(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b", "c", "d", "e")
    operation = await evacuate(hosts.alpha, parallel=2)
    most = 0
    async with asyncio.timeout(20):
        async for _ in hosts.alpha.core.use_cases.operations.watch(operation.id):
            most = max(most, sum(move.state == "moving" for move in report(hosts.alpha, operation).moves))
    assert most == 2


async def test_while_a_target_is_away_the_jails_for_the_other_ones_move(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b", "c")
    gate = Gate(hosts.beta)
    operation = await evacuate(hosts.alpha, ("beta", "gamma"), parallel=1)
    await gate.reached.wait()
    hosts.beta.life.kill()
    gate.open.set()
    async with asyncio.timeout(20):
        async for _ in hosts.alpha.core.use_cases.operations.watch(operation.id):
            if sum(move.state == "moved" for move in report(hosts.alpha, operation).moves) == 1:
                break
    states = {jail: state for jail, (state, _) in outcome(hosts.alpha, operation).items()}
    assert states["a"] == "moving"
    await hosts.beta.restart()
    done = await hosts.alpha.end_of(operation)
    assert moved(hosts, "a") == "beta"
    assert moved(hosts, "b") == "gamma"
    assert done.failure is None or moved(hosts, "c") == "alpha"  # it was tried five times while beta was away


async def test_two_cannot_be_under_way_and_a_repeated_request_is_the_first(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a")
    gate = Gate(hosts.beta)
    operation = await evacuate(hosts.alpha, ("beta",), request_id="r-1")
    await gate.reached.wait()
    with pytest.raises(FailedPreconditionError) as refused:
        await evacuate(hosts.alpha, ("beta",))
    assert refused.value.reason == "EVACUATION_UNDER_WAY"
    with pytest.raises(FailedPreconditionError) as refused:
        await hosts.alpha.core.use_cases.evacuations.undrain(caller=caller())
    assert refused.value.reason == "EVACUATION_UNDER_WAY"
    assert (await evacuate(hosts.alpha, ("beta",), request_id="r-1")).id == operation.id
    gate.open.set()
    assert (await hosts.alpha.end_of(operation)).failure is None


async def test_a_target_that_is_drained_itself_or_away_takes_nothing(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a")
    await hosts.beta.core.use_cases.evacuations.drain("", caller=caller())
    hosts.gamma.reachable = False
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha))
    (move,) = report(hosts.alpha, done).moves
    assert move.state == "failed"
    assert "HOST_DRAINING" in move.message
    assert "PEER_UNREACHABLE" in move.message


async def test_a_host_without_jails_is_evacuated_at_once(hosts: Fleet) -> None:
    assert (await hosts.alpha.end_of(await evacuate(hosts.alpha))).failure is None


async def test_all_streams_together_keep_to_the_bandwidth(hosts: Fleet) -> None:
    await jails(hosts.alpha, "a", "b")
    began = hosts.alpha.clock.time
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha, bandwidth=1000))
    sent = sum(move.bytes for move in report(hosts.alpha, done).moves)
    largest = 1 << 20  # the last piece of a stream is not waited for
    assert sent > 1000
    assert hosts.alpha.clock.time - began >= (sent - largest) / 1000


@pytest.mark.parametrize(
    ("targets", "how", "reason"),
    [
        ((), {}, "TARGET_MISSING"),
        (("beta",), {"parallel": 0}, "INVALID_EVACUATION"),
        (("beta",), {"parallel": 33}, "INVALID_EVACUATION"),
        (("beta",), {"bandwidth": -1}, "INVALID_EVACUATION"),
        (("delta",), {}, "PEER_UNKNOWN"),
    ],
)
async def test_an_evacuation_that_makes_no_sense_is_refused_before_anything(
    hosts: Fleet, targets: tuple[str, ...], how: dict[str, Any], reason: str
) -> None:
    with pytest.raises((InvalidArgumentError, NotFoundError)) as refused:
        await evacuate(hosts.alpha, targets, **how)
    assert refused.value.reason == reason
    assert (await hosts.alpha.core.host.view()).drain is None


async def test_the_newest_twenty_are_kept(hosts: Fleet) -> None:
    evacuations = hosts.alpha.core.use_cases.evacuations
    ids = [(await hosts.alpha.end_of(await evacuate(hosts.alpha))).id for _ in range(23)]
    kept = {evacuation.id for evacuation in evacuations.list()}
    assert kept >= set(ids[-20:])
    assert ids[0] not in kept
    with pytest.raises(NotFoundError):
        evacuations.get(ids[0])


async def test_a_stopped_jail_moves_too_and_stays_stopped(hosts: Fleet) -> None:
    await create(hosts.alpha, name="idle", stopped=True)
    assert (await hosts.alpha.end_of(await evacuate(hosts.alpha, ("beta",)))).failure is None
    assert hosts.beta.core.use_cases.jails.get("idle").state is JailState.STOPPED


async def test_a_jail_whose_change_waits_to_be_confirmed_stays_and_that_is_told(hosts: Fleet) -> None:
    await create(hosts.alpha)
    await create(hosts.alpha, name="other")
    assert reason_of(await deploy(hosts.alpha, "web/2", confirm_within=600)) == ""
    done = await hosts.alpha.end_of(await evacuate(hosts.alpha))
    (stays,) = [move for move in report(hosts.alpha, done).moves if move.jail == "web"]
    assert (stays.reason, done.failure is not None) == ("CHANGE_UNCONFIRMED", True)
    assert "jailctl jail confirm-change web" in stays.hint
    assert outcome(hosts.alpha, done)["other"][0] == "moved"


async def test_an_evacuation_that_was_written_down_and_never_accepted_is_over_for_the_next_daemon(
    tmp_path: Path,
) -> None:
    host = await furnished(FakeHost(tmp_path))
    assert host.store is not None
    await host.store.put_evacuation(Evacuation(id="never", targets=("beta",), parallel=1))
    await host.restart()
    await host.quiet()
    assert host.core.use_cases.evacuations.get("never").finished
    assert not host.core.supervisor.is_under_way("evacuation never")
    await host.stop()
