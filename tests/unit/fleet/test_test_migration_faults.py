"""A test migration, and a fault at every call of either host's ports: the jail serves where it is, nothing is left."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.faults import Effect, is_worth
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.migrating import MARK, two_hosts
from tests.hosts.points import points

pytestmark = pytest.mark.exhaustive  # all calls, minutes


async def trial(folder: Path, side: str, at: int | None, effect: Effect) -> tuple[list[str], list[str]]:
    """Return the struck side's calls, and what was wrong."""
    source, target = await two_hosts(folder, back=False)
    struck = source if side == "source" else target
    life = struck.life
    life.at, life.effect, life.counting = at, effect, True
    try:
        operation = await source.core.use_cases.migrations.test(
            "web", "beta", max_downtime=10.0, keep_copy=False, etag="", caller=caller()
        )
        end = asyncio.create_task(source.end_of(operation))
        died = asyncio.create_task(target.life.died.wait())
        await asyncio.wait({end, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if target.life.dead:
            await target.restart()
        done = await end
        life.counting = False
        if at is None:
            assert done.failure is None, done.failure
        if source.life.dead:
            await source.restart()
        return life.calls, await _wrong(source, target)
    finally:
        await source.stop()
        await target.stop()
        shutil.rmtree(folder)


async def _wrong(source: FakeHost, target: FakeHost) -> list[str]:
    hosts = (source, target)
    for host in hosts:
        await host.quiet()
    for host in hosts:  # a fault of the undoing itself: the next start undoes it
        if await invariants.unsettled(host) or await _left(target):
            await host.restart()
    for host in hosts:
        await host.quiet()
    wrong = [f"left on beta: {name}" for name in await _left(target)]
    wrong += await invariants.unserved(hosts, "web")
    for host in hosts:
        wrong += await invariants.unsettled(host)
    if (source.core.inventory.jails["web"].folder / "data/var/mark").read_text() != MARK:
        wrong.append("the jail's data is lost")
    return wrong


async def _left(target: FakeHost) -> list[str]:
    names = [dataset.name for dataset in await target.zfs.datasets("tank/jaild")]
    return [name for name in names if "/jails/" in name or "/rehearsals/" in name] + list(target.runtime.by_name)


@pytest.mark.parametrize("effect", [Effect.ERROR, Effect.CRASH])
@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_fault_at_any_call_of_one_side_leaves_nothing(quick_path: Path, side: str, effect: Effect) -> None:
    calls, problems = await trial(quick_path / "clean", side, None, effect)
    assert not problems, "\n".join(problems)
    assert calls
    failures = []
    for number, call in points(calls, partial(is_worth, effect)):
        _, found = await trial(quick_path / str(number), side, number, effect)
        failures += [f"{effect} at {number} ({call}): {problem}" for problem in found]
    assert not failures, "\n".join(failures)
