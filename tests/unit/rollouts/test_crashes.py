"""A daemon that dies at any call in the middle of a rollout: the next one goes on, and each jail moves once."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.sqlite import SqliteStore
from jaild.model.errors import JaildError
from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.policy import OnBreach, RolloutPolicy
from jaild.model.rollouts.record import Rollout, RolloutSpec
from tests.fakes.faults import Crash, Effect, Life
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import SPEC, active, create, reason_of, serves
from tests.hosts.fixtures import furnished
from tests.hosts.points import points
from tests.unit.rollouts.test_rollouts import told

NAMES = ("a", "b", "c")
UNDOING = RolloutPolicy(on_breach=OnBreach.UNDO, min_healthy_time=2.0, healthy_deadline=30.0)
POLICY = RolloutPolicy(canaries=1, max_parallel=2, min_healthy_time=2.0, healthy_deadline=30.0)


# By how it ended; what is STUCK may be on either.
BASES = {RolloutState.DONE: {"deb-2"}, RolloutState.UNDONE: {"deb-1"}, RolloutState.REFUSED: {"deb-1"}}


async def trial(folder: Path, at: int | None, effect: Effect) -> tuple[list[str], list[str]]:
    """Let a fault strike at one call of a rollout; return all calls, and what is wrong in the end."""
    host = FakeHost(folder)
    await furnished(host)
    for name in NAMES:
        await create(host, msgspec.structs.replace(SPEC, labels={"tier": "edge"}), name=name)
    life = Life()
    await host.restart(life=life)
    await host.quiet()
    life.at, life.effect, life.counting = at, effect, True
    with suppress(Crash, asyncio.CancelledError, JaildError):  # it may not even be accepted
        policy = POLICY if effect is Effect.CRASH else UNDOING
        spec = RolloutSpec(base="deb-2", labels={"tier": "edge"}, policy=policy)
        operation = await host.core.use_cases.rollouts.start(spec, caller=caller())
        await ended(host, operation.id)
    life.counting = False
    if life.dead:
        await host.restart()
        with suppress(Crash):
            for rollout in host.core.use_cases.rollouts.list():
                await ended(host, rollout.id)
    found = host.core.use_cases.rollouts.list()
    where = BASES.get(found[0].state if found else RolloutState.REFUSED, {"deb-1", "deb-2"})
    wrong = [f"{name} is on {active(host, name).base}" for name in NAMES if active(host, name).base not in where]
    wrong += [f"it is {rollout.state}" for rollout in found if not rollout.over]
    wrong += [f"{name} was moved twice" for name in NAMES if active(host, name).number > 2 and effect is Effect.CRASH]
    wrong += [f"{name} does not serve" for name in NAMES if not serves(host, active(host, name).number, name)]
    await host.restart()  # what a commit left behind is for the next daemon
    await host.quiet()
    wrong += await invariants.unsettled(host)
    await host.stop()
    shutil.rmtree(folder)
    return life.calls, wrong


async def ended(host: FakeHost, rollout: str) -> None:
    """Wait until it is over, or the daemon is dead."""
    await host.end_of(host.core.use_cases.operations.get(rollout))


@pytest.mark.exhaustive
async def test_a_daemon_that_dies_at_any_call_is_gone_on_for_and_each_jail_moves_once(quick_path: Path) -> None:
    calls, wrong = await trial(quick_path / "none", None, Effect.CRASH)
    assert wrong == []
    for number, call in points(calls):
        _, wrong = await trial(quick_path / str(number), number, Effect.CRASH)
        assert wrong == [], (number, call)


@pytest.mark.exhaustive
@pytest.mark.parametrize("effect", [Effect.ERROR, Effect.ERROR_AFTER])
async def test_an_error_of_any_call_ends_in_an_end_and_every_jail_serves(quick_path: Path, effect: Effect) -> None:
    calls, wrong = await trial(quick_path / "none", None, effect)
    assert wrong == []
    for number, call in points(calls):
        _, wrong = await trial(quick_path / str(number), number, effect)
        assert wrong == [], (number, call)


@pytest.mark.parametrize("part", [1, 2, 3, 4])
async def test_a_daemon_that_dies_in_mid_wave_is_gone_on_for(quick_path: Path, part: int) -> None:
    calls, wrong = await trial(quick_path / "none", None, Effect.CRASH)
    assert wrong == []
    number = len(calls) * part // 5
    _, wrong = await trial(quick_path / "struck", number, Effect.CRASH)
    assert wrong == [], (number, calls[number])


@pytest.mark.parametrize("state", [MemberState.WAITING, MemberState.CHANGING])
async def test_what_a_rollout_did_is_known_by_its_jails_and_not_by_its_record(
    host: FakeHost, state: MemberState
) -> None:
    """The last writes before the daemon's death are lost: the jail has moved all the same, and is not moved again."""
    await create(host, msgspec.structs.replace(SPEC, labels={"tier": "edge"}))
    rollouts = host.core.use_cases.rollouts
    spec = RolloutSpec(base="deb-2", jails=("web",), policy=POLICY)
    operation = await rollouts.start(spec, caller=caller())
    await told(host, "rollout.planned", "rollouts")
    before = rollouts.get(operation.id)
    await told(host, "generation.committed", "jails/web")
    await host.kill()
    store = SqliteStore(host.folder / "jaild.db")
    await store.open()
    steps = tuple(msgspec.structs.replace(step, state=state, operation="") for step in before.steps)
    await store.put_rollout(msgspec.structs.replace(before, steps=steps))
    for known in await store.operations():
        if known.id != operation.id:  # of the jail's change, and so its request id, nothing is known either
            await store.delete_operation(known.id)
    await store.close()
    await host.start()
    assert reason_of(await host.end_of(operation)) == ""
    assert (active(host).number, active(host).base) == (2, "deb-2")


async def test_a_jail_that_moved_while_its_rollout_was_being_paused_is_told_as_moved(host: FakeHost) -> None:
    await create(host, SPEC)
    rollouts = host.core.use_cases.rollouts
    operation = await rollouts.start(RolloutSpec(base="deb-2", jails=("web",), policy=POLICY), caller=caller())
    await told(host, "generation.committed", "jails/web")
    known = rollouts.get(operation.id)
    await host.kill()
    store = SqliteStore(host.folder / "jaild.db")
    await store.open()
    steps = tuple(msgspec.structs.replace(step, state=MemberState.CHANGING, moved=0.0) for step in known.steps)
    await store.put_rollout(msgspec.structs.replace(known, steps=steps, state=RolloutState.PAUSED))
    await store.close()
    await host.start()
    await host.core.use_cases.rollouts.cancel(operation.id, caller=caller())
    assert reason_of(await host.end_of(operation)) == "OPERATION_CANCELLED"
    (step,) = host.core.use_cases.rollouts.get(operation.id).steps
    assert step.state is MemberState.DONE


async def test_a_rollout_that_was_written_down_and_never_accepted_is_over_for_the_next_daemon(host: FakeHost) -> None:
    await create(host, SPEC)
    rollout = Rollout(id="never", spec=RolloutSpec(base="deb-2", jails=("web",)), caller=caller(), target="deb-2")
    assert host.store is not None
    await host.store.put_rollout(rollout)
    await host.restart()
    await host.quiet()
    assert host.core.use_cases.rollouts.get("never").over
    assert active(host).base == "deb-1"
