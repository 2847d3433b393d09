"""A fault at any call of what a restart policy does about an end: no end is lost, and none counts twice."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import pytest

from jaild.model.jails.restarts import Verdict
from jaild.model.jails.spec import Backoff, Restart
from jaild.model.views import JailState
from tests.fakes.faults import Crash, Effect, Life, is_worth
from tests.fakes.host import FakeHost
from tests.hosts import invariants
from tests.hosts.asking import SPEC, create
from tests.hosts.fixtures import furnished
from tests.hosts.points import points

pytestmark = pytest.mark.exhaustive

_BEFORE = 1  # ends before the one that the fault strikes
# The end that the fault strikes is followed by another start, or is the one too many.
MOST = {"again": 8, "crash-loop": _BEFORE}
_UNWRITTEN = "store.put_restarts"  # that this may fail keeps no jail down: the next daemon knows of one end less


@dataclass
class Trial:
    """One end with at most one fault, and what the next daemon makes of it. `second`: where that one dies, too."""

    most: int
    at: int | None
    effect: Effect
    reboot: bool = False
    second: int | None = None
    calls: list[str] = field(default_factory=list)
    second_reached: bool = False

    async def run(self, folder: Path) -> list[str]:
        """Return what was wrong."""
        host = FakeHost(folder)
        await furnished(host)
        try:
            return await self._run(host)
        finally:
            await host.stop()
            shutil.rmtree(folder)

    async def _run(self, host: FakeHost) -> list[str]:
        policy = Restart(policy="always", max=self.most, within=3600, backoff=Backoff(first=1, longest=60))
        await create(host, msgspec.structs.replace(SPEC, restart=policy))
        for _ in range(_BEFORE):
            await _dies(host)
        host.life.at, host.life.effect, host.life.counting = self.at, self.effect, True
        await _dies(host)
        host.life.counting = False
        self.calls = host.life.calls
        failed = _failed(host)
        wrong = await invariants.unsafe([host], "web")
        if not host.life.dead:
            wrong += [f"before the restart: {each}" for each in await self._counted(host, failed, lost=0)]
        if self.second is not None:
            await self._die_again(host)
        await host.restart(reboot=self.reboot)
        await host.quiet()
        wrong += await invariants.unsettled(host)
        if self.reboot:
            return wrong + await invariants.unserved([host], "web") + _none_counted(host)
        struck = self.calls[self.at] if self.at is not None and self.at < len(self.calls) else ""
        lost = int(self.effect is Effect.ERROR and struck.startswith(_UNWRITTEN))
        return wrong + await self._counted(host, failed, lost)

    async def _die_again(self, host: FakeHost) -> None:
        life = Life()
        life.at, life.effect, life.counting = self.second, Effect.CRASH, True
        with suppress(Crash):
            await host.restart(life=life)
            await host.quiet()
        self.second_reached = life.hit

    async def _counted(self, host: FakeHost, failed: int, lost: int) -> list[str]:
        """Return what is wrong with the count, and with what is done by it; `failed`: tries to start it again."""
        entry = host.core.inventory.jails["web"]
        state = host.core.use_cases.jails.get("web").state
        ends = len(entry.restarts.ends) if entry.restarts is not None else 0
        all_ends = min(_BEFORE + 1 + failed, self.most + 1)
        wrong = [] if all_ends - lost <= ends <= all_ends else [f"{ends} ends are counted, not {all_ends}"]
        over = entry.restarts is not None and entry.restarts.verdict is Verdict.CRASH_LOOP
        if over is not (ends > self.most):
            wrong.append(f"{entry.restarts} after {ends} ends of {self.most}")
        if not over:
            return wrong + await invariants.unserved([host], "web")
        if state is not JailState.CRASH_LOOP or invariants.running([host], "web"):
            wrong.append(f"it is {state} though it was started too often")
        assert host.store is not None
        told = [event for event in await host.store.events(0, "jails/web", 1000) if event.kind == "jail.crash_loop"]
        return wrong if told else [*wrong, "nobody was told of the crash-loop"]


async def _dies(host: FakeHost) -> None:
    """Let the jail end, and wait until all that comes of it has been done, or the daemon is dead."""
    host.runtime.end("web", 1, 1)
    seen, died = (
        asyncio.ensure_future(each) for each in (host.core.supervisor.over("watch web"), host.life.died.wait())
    )
    await asyncio.wait({seen, died}, return_when=asyncio.FIRST_COMPLETED)
    for each in (seen, died):
        each.cancel()
    await host.quiet()


def _failed(host: FakeHost) -> int:
    operations = host.core.use_cases.operations.list()
    return sum(each.kind == "restart" and each.failure is not None for each in operations)


def _none_counted(host: FakeHost) -> list[str]:
    restarts = host.core.inventory.jails["web"].restarts
    return [] if restarts is None else [f"counted before the boot, and still: {restarts}"]


@pytest.mark.parametrize("effect", ["error", "error after it took effect", "crash", "crash of the whole host"])
@pytest.mark.parametrize("name", MOST)
async def test_an_end_is_counted_once_and_its_jail_runs_or_is_in_a_crash_loop_whatever_fails(
    quick_path: Path, name: str, effect: str
) -> None:
    reboot = effect == "crash of the whole host"
    kind = Effect.CRASH if reboot else Effect(effect)
    clean = Trial(MOST[name], None, kind, reboot)
    assert await clean.run(quick_path / "clean") == []
    told = [call.replace(str(quick_path), "") for call in clean.calls]
    assert any(call.startswith(_UNWRITTEN) for call in told)
    failures = []
    for number, call in points(told, partial(is_worth, kind)):
        problems = await Trial(MOST[name], number, kind, reboot).run(quick_path / str(number))
        failures += [f"{kind} at {number} ({call}): {problem}" for problem in problems]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("name", MOST)
async def test_a_crash_of_the_next_daemon_too_loses_no_end_and_counts_none_twice(quick_path: Path, name: str) -> None:
    clean = Trial(MOST[name], None, Effect.CRASH)
    assert await clean.run(quick_path / "clean") == []
    failures = []
    for number, call in points(clean.calls):
        for second in itertools.count(0, 2):
            trial = Trial(MOST[name], number, Effect.CRASH, second=second)
            problems = await trial.run(quick_path / f"{number}-{second}")
            failures += [f"crash at {number} ({call}), then at {second}: {problem}" for problem in problems]
            if not trial.second_reached:
                break
    assert not failures, "\n".join(failures)
