"""What many changes at once wait for: some plan and some stage side by side, and one merge is computed at a time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from jaild.jails.planner import MERGES
from jaild.model.etc import plan as etcplan
from jaild.model.etc.tree import Tree
from jaild.ports.runtime import RunSpec
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import create, deploy, reason_of, serves
from tests.hosts.fleet import until


@pytest.mark.usefixtures("threads")
async def test_plans_read_side_by_side_and_one_merge_is_computed_at_a_time(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    jails = [f"web{number}" for number in range(MERGES + 2)]
    for name in jails:
        await create(host, name=name)
    reading, most, enough = 0, 0, asyncio.Event()
    computing, computed = threading.Semaphore(1), list[bool]()
    read_tree, carry_out = host.files.read_tree, etcplan.carry_out

    async def counted(folder: Path) -> Tree:
        nonlocal reading, most
        if not folder.is_relative_to(host.core.inventory.folder_of_jails):
            return await read_tree(folder)  # a layer's, which all of them wait for
        reading += 1
        most = max(most, reading)
        if most == MERGES:
            enough.set()
        async with asyncio.timeout(30):
            await enough.wait()  # for ever, if they read one after the other
        try:
            return await read_tree(folder)
        finally:
            reading -= 1

    def alone(*request: Any) -> Any:
        computed.append(computing.acquire(blocking=False))
        try:
            return carry_out(*request)
        finally:
            computing.release()

    monkeypatch.setattr(host.files, "read_tree", counted)
    monkeypatch.setattr(etcplan, "carry_out", alone)
    ended = await asyncio.gather(*(deploy(host, "web/2", name=name) for name in jails))
    assert [operation.failure for operation in ended] == [None] * len(jails)
    assert (most, computed) == (MERGES, [True] * len(jails))


async def test_some_generations_are_staged_side_by_side_and_the_others_wait(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    jails = ["a", "b", "c", "d"]
    for name in jails:
        await create(host, name=name)
    host.stagings_at_once = 2
    await host.restart()
    make, under_way, most = host.runtime.create, 0, list[int]()

    async def counted(run: RunSpec) -> None:
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        await asyncio.sleep(0.01)  # the others have their chance
        under_way -= 1
        await make(run)

    monkeypatch.setattr(host.runtime, "create", counted)
    ended = await asyncio.gather(*(deploy(host, "web/2", name=name) for name in jails))
    assert [operation.failure for operation in ended] == [None] * len(jails)
    assert (len(most), max(most)) == (len(jails), 2)


async def test_a_change_that_is_cancelled_while_it_waits_for_its_turn_leaves_its_jail_as_it_was(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        await create(host, name=name)
    host.stagings_at_once = 1
    await host.restart()
    jails, operations = host.core.use_cases.jails, host.core.use_cases.operations
    make, reached, go_on = host.runtime.create, asyncio.Event(), asyncio.Event()

    async def held(run: RunSpec) -> None:
        reached.set()
        await go_on.wait()
        await make(run)

    monkeypatch.setattr(host.runtime, "create", held)
    staging = await jails.deploy("first", "web/2", etag="", validate_only=False, caller=caller())
    await reached.wait()
    waiting = await jails.deploy("second", "web/2", etag="", validate_only=False, caller=caller())
    await until(host, waiting, lambda: "stage" in [phase.name for phase in operations.get(waiting.id).phases])
    before = dict(host.core.inventory.jails["second"].references)
    await operations.cancel(waiting.id, caller())
    assert reason_of(await host.end_of(waiting)) == "OPERATION_CANCELLED"
    assert host.core.inventory.jails["second"].references == before
    assert serves(host, 1, name="second")
    go_on.set()
    assert (await host.end_of(staging)).failure is None
    assert (await deploy(host, "web/2", name="second")).failure is None
