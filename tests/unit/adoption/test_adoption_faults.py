"""A fault at every call of an adoption: the old jail serves or the new one, and the old one's data is untouched."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from jaild.model.foreign.jail import Tool
from jaild.model.foreign.wish import Wish
from jaild.model.operation import Operation
from jaild.model.snapshots import CLONE
from tests.fakes.faults import Crash, Effect, is_worth
from tests.fakes.host import FakeHost, caller
from tests.hosts import foreign, invariants
from tests.hosts.fixtures import furnished
from tests.hosts.points import points

pytestmark = pytest.mark.exhaustive  # all calls, minutes

WISH = Wish(tool=Tool.IOCAGE, name="web", jail="web", base="deb-1", stop=True)


async def adopt(host: FakeHost) -> Operation:
    return await host.end_of(await host.core.use_cases.adoptions.adopt(WISH, validate_only=False, caller=caller()))


@dataclass
class Trial:
    """One adoption of a jail that runs, with at most one fault."""

    at: int | None
    effect: Effect
    reboot: bool = False
    calls: list[str] = field(default_factory=list)

    async def run(self, folder: Path) -> list[str]:
        """Return what was wrong afterwards."""
        host = FakeHost(folder)
        await furnished(host)
        old = await foreign.iocage(host, running=True)
        try:
            return await self._run(host, old)
        finally:
            await host.stop()
            shutil.rmtree(folder)

    async def _run(self, host: FakeHost, old: foreign.OldJail) -> list[str]:
        before = foreign.picture(await foreign.root_of(host))
        host.life.at, host.life.effect, host.life.counting = self.at, self.effect, True
        with suppress(Crash, Exception):
            operation = await adopt(host)
            assert self.at is not None or operation.failure is None, operation.failure
        host.life.counting = False
        self.calls = host.life.calls
        wrong = await invariants.unsafe([host], "web")
        await host.restart(reboot=self.reboot)
        await host.quiet()
        wrong += await invariants.unsettled(host)
        there = "web" in await invariants.records(host)
        if there:
            wrong += await invariants.unserved([host], "web")
        if old.running is there:
            wrong.append(f"the old jail runs: {old.running}, the new one is there: {there}")
        if foreign.picture(await foreign.root_of(host)) != before:
            wrong.append("the old jail's data was touched")
        kept = [each.tag for each in await host.zfs.snapshots(foreign.OLD) if each.purpose == CLONE]
        if len(kept) != there:
            wrong.append(f"snapshots of the old jail: {kept}")
        if not there:
            again = await adopt(host)
            wrong += [f"asked again: {again.failure}"] if again.failure is not None else []
        return wrong


@pytest.mark.parametrize("effect", ["error", "error after it took effect", "crash", "crash of the whole host"])
async def test_a_fault_at_any_call_of_an_adoption_leaves_one_of_the_two_serving(quick_path: Path, effect: str) -> None:
    reboot = effect == "crash of the whole host"
    kind = Effect.CRASH if reboot else Effect(effect)
    clean = Trial(None, kind)
    assert await clean.run(quick_path / "clean") == []
    told = [call.replace(str(quick_path), "") for call in clean.calls]
    failures = []
    for number, call in points(told, partial(is_worth, kind)):
        problems = await Trial(number, kind, reboot).run(quick_path / str(number))
        failures += [f"{kind} at {number} ({call}): {problem}" for problem in problems]
    assert not failures, "\n".join(failures)
