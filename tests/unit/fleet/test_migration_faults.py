"""Two hosts, one migration, and a fault at every call of either host's ports and of every call between them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import pytest

from jaild.model.jails.spec import Hooks, HttpHook
from jaild.model.operation import Operation
from tests.fakes.faults import Effect, is_worth
from tests.fakes.host import FakeHost
from tests.fakes.network import Fault, applies
from tests.hosts import invariants
from tests.hosts.asking import configure
from tests.hosts.migrating import MARK, SPEC, last_words, migrate, two_hosts, writes_at_its_end
from tests.hosts.picture import layer_holds
from tests.hosts.points import points

pytestmark = pytest.mark.exhaustive  # all calls, minutes

HOOKED = msgspec.structs.replace(
    SPEC,
    hooks=Hooks(
        before_stop=(HttpHook(url="http://192.0.2.1/drain"),), after_start=(HttpHook(url="http://192.0.2.1/serve"),)
    ),
)


@dataclass
class Trial:
    """One migration with at most one fault: at a port's call of one side, or at a call between them."""

    side: str  # source, target, network
    at: int | None
    effect: Effect | Fault
    back: bool = False
    reboot: bool = False
    calls: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)  # that the jail wrote, each time it was stopped

    async def run(self, folder: Path) -> list[str]:
        """Return what was wrong, during it and after recovery."""
        source, target = await two_hosts(folder, back=self.back, spec=HOOKED)
        try:
            await configure(source, msgspec.structs.replace(HOOKED, labels={"staged": "yes"}), stage=True)
            if not self.back:  # else nothing is written after the last round, and its data is not sent again
                self.words = writes_at_its_end(source, target)
            return await self._run(source, target)
        finally:
            await source.stop()
            await target.stop()
            shutil.rmtree(folder)

    async def _run(self, source: FakeHost, target: FakeHost) -> list[str]:
        hosts = (source, target)
        self._arm(source, target)
        counted = source.network.calls if self.side == "network" else self._struck(source, target).life.calls
        operation = await self._struggle(source, target)
        await source.network.deliver()
        source.network.counting = source.life.counting = target.life.counting = False
        self.calls = list(counted)
        if self.at is None:
            assert operation.failure is None, operation.failure
        wrong = await invariants.unsafe(hosts, "web")
        if not source.life.dead and not target.life.dead:
            wrong += [f"before a restart: {problem}" for problem in await self._by_itself(hosts, operation)]
        for host in hosts:
            await host.restart(reboot=self.reboot)
        wrong += await invariants.unsafe(hosts, "web")
        for host in hosts:
            await host.quiet()
        return wrong + await self._recovered(hosts)

    def _arm(self, source: FakeHost, target: FakeHost) -> None:
        network = source.network
        if isinstance(self.effect, Fault):
            network.at, network.fault, network.counting = self.at, self.effect, True
            return
        life = self._struck(source, target).life
        life.at, life.effect, life.counting = self.at, self.effect, True

    def _struck(self, source: FakeHost, target: FakeHost) -> FakeHost:
        return source if self.side == "source" else target

    async def _struggle(self, source: FakeHost, target: FakeHost) -> Operation:
        """Migrate; whoever dies or is cut off comes back while the other one is still trying."""
        operation = await migrate(source, target)
        end = asyncio.create_task(source.end_of(operation))
        while not end.done():
            target_died = asyncio.create_task(target.life.died.wait())
            cut = asyncio.create_task(source.network.cut.wait())
            await asyncio.wait({end, target_died, cut}, return_when=asyncio.FIRST_COMPLETED)
            for task in (target_died, cut):
                task.cancel()
            if target.life.dead and not source.life.dead:
                await target.restart(reboot=self.reboot)
            if source.network.down:
                await asyncio.sleep(0.005)
                source.network.heal()
        if source.network.down:
            source.network.heal()
        return await end

    async def _by_itself(self, hosts: Sequence[FakeHost], operation: Operation) -> list[str]:
        """Return what both live daemons have not brought in order by themselves."""
        wrong = [] if operation.done else ["the operation is not done"]
        for host in hosts:
            await host.quiet()
        if operation.failure is not None and operation.failure.reason == "ACTIVATED_UNHEALTHY":
            return wrong  # it is said that the target could not start it
        for host in hosts:
            wrong += invariants.unended(host)
        return wrong + await invariants.unserved(hosts, "web")

    async def _recovered(self, hosts: Sequence[FakeHost]) -> list[str]:
        wrong = await invariants.unsafe(hosts, "web") + await invariants.unserved(hosts, "web")
        for host in hosts:
            if invariants.running([host], "web") and host.probe.called[-1:] != ["/serve"]:
                wrong.append(f"it serves on {host.name}, and was not told so last: {host.probe.called}")
            wrong += await invariants.unsettled(host)
            wrong += [f"{host.name} still holds a layer: {hold}" for hold in await layer_holds(host)]
        owning = await invariants.owners(hosts, "web")
        if len(owning) != 1:
            return [*wrong, f"owned by {owning}"]
        owner = next(host for host in hosts if host.name in owning)
        other = next(host for host in hosts if host is not owner)
        if (await invariants.records(owner))["web"].staged is None:
            wrong.append("what was staged is lost")
        mark = owner.core.inventory.jails["web"].folder / "data" / "var" / "mark"
        if not mark.exists() or mark.read_text() != MARK:
            wrong.append("the jail's data is lost")
        if self.words and (last := last_words(owner).read_text()) != self.words[-1]:
            wrong.append(f"the jail wrote {self.words[-1]!r} last, and has {last!r}")
        return wrong + await self._again(owner, other)

    async def _again(self, owner: FakeHost, other: FakeHost) -> list[str]:
        """Move it there and back again: nothing of the fault is in the way any more."""
        for source, target in ((owner, other), (other, owner)):
            try:
                ended = await source.end_of(await migrate(source, target))
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
                return [f"migrated again: {error}"]
            if ended.failure is not None:
                return [f"migrated again: {ended.failure.reason}: {ended.failure.message}"]
        return await invariants.unclaimed((owner, other), "web")


_clean: dict[tuple[str, bool, bool], list[str]] = {}  # the calls of a run without a fault: what fault is no matter


async def _all(folder: Path, clean: Trial, part: int = 0, of: int = 1) -> list[str]:
    """Strike every point, or every `of`th from `part` on; return what was wrong at which."""
    kind = clean.side, clean.back, clean.reboot
    if kind not in _clean:
        problems = await clean.run(folder / "clean")
        assert not problems, "\n".join(problems)
        _clean[kind] = [call.replace(str(folder / "clean"), "") for call in clean.calls]
    assert _clean[kind]
    failures = []
    effect = clean.effect
    worth = partial(is_worth, effect) if isinstance(effect, Effect) else partial(applies, effect)
    for number, call in list(points(_clean[kind], worth))[part::of]:
        trial = Trial(clean.side, number, clean.effect, back=clean.back, reboot=clean.reboot)
        try:
            found = await trial.run(folder / str(number))
        except TimeoutError:
            found = ["it never ends"]
        failures += [f"{clean.effect} at {number} ({call}): {problem}" for problem in found]
    return failures


BACK = pytest.mark.parametrize("back", [False, True], ids=["first move", "move back"])
PARTS = 4  # of the longest ones: tests that the two processes of `make test` share evenly


@BACK
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("effect", [Effect.ERROR, Effect.ERROR_AFTER, Effect.CRASH])
@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_fault_at_any_call_of_one_side_leaves_one_owner(
    quick_path: Path, side: str, effect: Effect, part: int, *, back: bool
) -> None:
    failures = await _all(quick_path, Trial(side, None, effect, back=back), part, PARTS)
    assert not failures, "\n".join(failures)


@BACK
async def test_a_source_that_hangs_up_during_any_call_of_the_target_leaves_one_owner(
    quick_path: Path, *, back: bool
) -> None:
    failures = await _all(quick_path, Trial("target", None, Effect.HANG_UP, back=back))
    assert not failures, "\n".join(failures)


@BACK
@pytest.mark.parametrize("fault", list(Fault))
async def test_a_fault_of_any_call_between_the_hosts_leaves_one_owner(
    quick_path: Path, fault: Fault, *, back: bool
) -> None:
    failures = await _all(quick_path, Trial("network", None, fault, back=back))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_reboot_of_both_hosts_after_any_call_of_one_side_leaves_one_owner(quick_path: Path, side: str) -> None:
    failures = await _all(quick_path, Trial(side, None, Effect.CRASH, reboot=True))
    assert not failures, "\n".join(failures)
