"""A target's queue: one writer at a time, operations and peers' calls alike; and operations that outlive a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.adapters.sqlite import SqliteStore
from jaild.engine.dispatcher import Dispatcher
from jaild.engine.operations import Handle, Operations
from tests.fakes.clock import FakeClock
from tests.fakes.host import caller


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path / "jaild.db")
    await made.open()
    yield made
    await made.close()


async def nothing(_: Handle) -> str:
    return ""


async def test_an_operation_waits_for_a_peers_call_and_the_other_way_round(store: SqliteStore) -> None:
    operations = Operations(store, FakeClock())
    dispatcher = Dispatcher(operations)
    inside, go = asyncio.Event(), asyncio.Event()

    async def work(_: Handle) -> str:
        inside.set()
        await go.wait()
        return ""

    async with dispatcher.exclusive("jails/web"):
        waiting = await dispatcher.submit("jails/web", "deploy", caller(), work)
        other = await dispatcher.submit("jails/other", "deploy", caller(), nothing)
        assert (await operations.wait(other.id)).done
        assert not inside.is_set()
    await inside.wait()

    async def call() -> None:
        async with dispatcher.exclusive("jails/web"):
            pass

    called = asyncio.create_task(call())
    await asyncio.sleep(0)
    assert not called.done()
    go.set()
    await called
    assert (await operations.wait(waiting.id)).done


async def test_work_that_waits_for_a_peers_call_leaves_the_target_to_it(store: SqliteStore) -> None:
    operations = Operations(store, FakeClock())
    dispatcher = Dispatcher(operations)

    async def work(_: Handle) -> str:
        async with dispatcher.exclusive("jails/web"):
            return "done"

    operation = await dispatcher.submit("jails/web", "promote", caller(), work, exclusive=False)
    assert (await operations.wait(operation.id, 5)).result == "done"


@pytest.mark.parametrize("resumable", [True, False])
async def test_what_is_resumable_is_left_to_the_next_daemon_and_gone_on_with_there(
    store: SqliteStore, *, resumable: bool
) -> None:
    operations = Operations(store, FakeClock())
    dispatcher = Dispatcher(operations)
    started = asyncio.Event()

    async def endless(handle: Handle) -> str:
        handle.note(resumable=resumable)
        with handle.cancellable():
            started.set()
            await asyncio.Event().wait()
        return ""

    operation = await dispatcher.submit("jails/web", "migrate", caller(), endless)
    await started.wait()
    await dispatcher.stop(5.0)
    successor = Operations(store, FakeClock())
    left = await successor.load()
    assert [found.id for found in left] == ([operation.id] if resumable else [])
    if resumable:
        Dispatcher(successor).resume(operation.id, nothing)
        assert (await successor.wait(operation.id)).failure is None
