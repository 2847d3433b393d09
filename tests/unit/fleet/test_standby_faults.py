"""A fault at every call of a round, of a promotion, and of a hand-over to a standby: one owner, nothing lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import JaildError
from jaild.model.jails.spec import Volume
from jaild.model.layers.records import Ownership
from jaild.model.views import JailState
from tests.fakes.faults import Effect, is_worth
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts import invariants
from tests.hosts.asking import active, configure
from tests.hosts.points import points
from tests.hosts.standbys import booted, hosts_with, promote, record, rounds, write, written

pytestmark = pytest.mark.exhaustive  # all calls, minutes

DOWN = "alpha is down"
ROUND, FORCE, PLANNED = "round", "force", "planned"


@dataclass
class Trial:
    """One of the three with at most one fault: at a port's call of one host, or at a call between them."""

    what: str
    struck: str  # alpha, beta, network
    at: int | None
    effect: Effect | Fault
    calls: list[str] = field(default_factory=list)

    async def run(self, folder: Path) -> list[str]:
        """Return what was wrong, during it and after recovery."""
        alpha, beta = hosts = await hosts_with(folder, "beta")
        try:
            if self.what == ROUND and self.struck == "beta":
                await _remove_a_volume(alpha)  # which the round takes from beta
            write(alpha, "second")
            if self.what == FORCE:
                await alpha.stop()
            self._arm(alpha, beta)
            acts = {ROUND: self._round, FORCE: self._promote_by_force, PLANNED: self._promote}
            await acts[self.what](alpha, beta)
            counted = alpha.network.calls if self.struck == "network" else self._struck(alpha, beta).life.calls
            self.calls = list(counted)
            alpha.network.counting = alpha.life.counting = beta.life.counting = False
            wrong = await invariants.unsafe([h for h in hosts if h.reachable], "web")
            alpha.network.heal()
            return wrong + await self._recovered(alpha, beta)
        finally:
            for host in hosts:
                await host.stop()
            shutil.rmtree(folder)

    def _arm(self, alpha: FakeHost, beta: FakeHost) -> None:
        network = alpha.network
        if isinstance(self.effect, Fault):
            network.calls.clear()
            network.at, network.fault, network.counting = self.at, self.effect, True
            return
        life = self._struck(alpha, beta).life
        life.at, life.effect, life.counting = self.at, self.effect, True

    def _struck(self, alpha: FakeHost, beta: FakeHost) -> FakeHost:
        return alpha if self.struck == "alpha" else beta

    async def _round(self, alpha: FakeHost, beta: FakeHost) -> None:
        await _until_dead((alpha, beta), rounds(alpha))

    async def _promote_by_force(self, alpha: FakeHost, beta: FakeHost) -> None:
        await _until_dead((beta,), promote(beta, down=True, confirm=DOWN))
        del alpha

    async def _promote(self, alpha: FakeHost, beta: FakeHost) -> None:
        await _until_dead((alpha, beta), promote(beta))

    async def _recovered(self, alpha: FakeHost, beta: FakeHost) -> list[str]:
        for host in (alpha, beta):
            if host.life.dead and not (host is alpha and self.what == FORCE):
                await host.restart()
        if self.what != FORCE:
            for operation in alpha.core.use_cases.operations.list():  # Activate is sent until it is acknowledged
                await alpha.end_of(operation)
            await asyncio.gather(alpha.quiet(), beta.quiet())
        act = {ROUND: self._round_again, FORCE: self._taken_by_force, PLANNED: self._planned}[self.what]
        return await act(alpha, beta)

    async def _round_again(self, alpha: FakeHost, beta: FakeHost) -> list[str]:
        wrong = await invariants.unsafe((alpha, beta), "web") + await invariants.unserved((alpha, beta), "web")
        await rounds(alpha)
        kept = await record(beta)
        if kept.state is not Ownership.STANDBY or kept.replica is None or kept.replica.taken < alpha.clock.time - 1:
            wrong.append(
                f"the replica is {kept}, at {alpha.clock.time}: {alpha.core.use_cases.jails.get('web').standbys}"
            )
        wrong += await invariants.unclaimed((alpha, beta), "web")
        wrong += [f"beta keeps {volume}" for volume in await beta.core.use_cases.volumes.list("web")]
        await alpha.stop()
        wrong += await _forced(beta)
        if written(beta) != "second":
            wrong.append(f"the replica has {written(beta)!r}")
        return wrong

    async def _taken_by_force(self, alpha: FakeHost, beta: FakeHost) -> list[str]:
        await booted(beta)
        wrong = await invariants.unsafe((beta,), "web")
        if (await record(beta)).state is Ownership.STANDBY:
            wrong += await _forced(beta)
        if beta.core.use_cases.jails.get("web").state is JailState.FAILED:  # as the operation has said
            await beta.restart()
            await booted(beta)
        await alpha.restart(reboot=True)
        await asyncio.gather(alpha.quiet(), beta.quiet())
        wrong += await invariants.unsafe((alpha, beta), "web")
        if (shown := alpha.core.use_cases.jails.get("web").state) is not JailState.FENCED:
            wrong.append(f"the former owner is {shown}")
        wrong += await invariants.unserved((alpha, beta), "web")
        if written(beta) != "first":
            wrong.append(f"it serves {written(beta)!r}")
        return wrong

    async def _planned(self, alpha: FakeHost, beta: FakeHost) -> list[str]:
        hosts = (alpha, beta)
        wrong = await invariants.unsafe(hosts, "web") + await invariants.unserved(hosts, "web")
        owning = await invariants.owners(hosts, "web")
        if len(owning) != 1:
            return [*wrong, f"owned by {owning}"]
        owner = next(host for host in hosts if host.name in owning)
        if written(owner) != "second":
            wrong.append(f"the owner has {written(owner)!r}")
        if owner is alpha and (state := (await record(beta)).state) is not Ownership.STANDBY:
            wrong.append(f"the replica is {state}")
        return wrong


async def _remove_a_volume(alpha: FakeHost) -> None:
    spec = active(alpha).spec
    await configure(alpha, msgspec.structs.replace(spec, volumes={"cache": Volume(path="/var/cache")}))
    await rounds(alpha)
    await configure(alpha, spec)
    removed = await alpha.core.use_cases.volumes.remove("web", "cache", validate_only=False, caller=caller())
    assert (await alpha.end_of(removed)).failure is None


async def _forced(beta: FakeHost) -> list[str]:
    done = await promote(beta, down=True, confirm=DOWN)
    return [] if done.failure is None else [f"promoted again: {done.failure.reason} {done.failure.message}"]


async def _until_dead(hosts: Sequence[FakeHost], act: Awaitable[object]) -> None:
    """Do it until it is over, or a daemon is dead; what it raises is no matter here."""
    task = asyncio.ensure_future(act)
    deaths = [asyncio.create_task(host.life.died.wait()) for host in hosts]
    async with asyncio.timeout(20):
        await asyncio.wait({task, *deaths}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and not hosts[-1].life.dead and not hosts[0].life.dead:
            await task
    for each in (task, *deaths):
        each.cancel()
    for ended in await asyncio.gather(task, *deaths, return_exceptions=True):
        if isinstance(ended, Exception) and not isinstance(ended, JaildError):
            raise ended


async def _all(folder: Path, clean: Trial, worth: Callable[[str], bool]) -> list[str]:
    problems = await clean.run(folder / "clean")
    assert not problems, "\n".join(problems)
    assert clean.calls
    failures = []
    for number, call in points(clean.calls, worth):
        trial = Trial(clean.what, clean.struck, number, clean.effect)
        try:
            found = await trial.run(folder / str(number))
        except TimeoutError:
            found = ["it never ends"]
        failures += [f"{clean.effect} at {number} ({call}): {problem}" for problem in found]
    return failures


@pytest.mark.parametrize("effect", [Effect.ERROR, Effect.ERROR_AFTER, Effect.CRASH])
async def test_a_promotion_by_force_with_a_fault_at_any_call_leaves_one_owner_or_none_that_started(
    quick_path: Path, effect: Effect
) -> None:
    failures = await _all(quick_path, Trial(FORCE, "beta", None, effect), lambda call: is_worth(effect, call))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("struck", ["alpha", "beta"])
async def test_a_round_in_which_either_host_dies_at_any_call_leaves_the_jail_and_the_last_whole_round(
    quick_path: Path, struck: str
) -> None:
    failures = await _all(
        quick_path, Trial(ROUND, struck, None, Effect.CRASH), lambda call: is_worth(Effect.CRASH, call)
    )
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.TWICE, Fault.CUT, Fault.CALLEE_DIES_AFTER])
async def test_a_round_with_a_fault_at_any_call_between_the_hosts_is_made_up_for_by_the_next(
    quick_path: Path, fault: Fault
) -> None:
    failures = await _all(quick_path, Trial(ROUND, "network", None, fault), lambda _: True)
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.CUT, Fault.CALLEE_DIES, Fault.CALLER_DIES_AFTER])
async def test_a_hand_over_to_a_standby_with_a_fault_at_any_call_between_the_hosts_leaves_one_owner(
    quick_path: Path, fault: Fault
) -> None:
    failures = await _all(quick_path, Trial(PLANNED, "network", None, fault), lambda _: True)
    assert not failures, "\n".join(failures)
