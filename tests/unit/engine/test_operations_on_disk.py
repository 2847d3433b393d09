"""What is told of an operation is on disk first: a kill takes nothing back."""

from __future__ import annotations

import asyncio

import pytest

from jaild.engine.operations import Operations
from jaild.model.errors import ResourceExhaustedError
from jaild.model.operation import Operation
from jaild.model.views import Caller
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore

ADA = Caller(actor="ada", request_id="r1")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def operations(store: MemoryStore) -> Operations:
    return Operations(store, FakeClock())


async def started(operations: Operations) -> Operation:
    operation = operations.new("deploy", "jails/web", ADA)
    await operations.save(operation.id)
    return operation


async def let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_nobody_hears_of_an_end_that_a_kill_could_take_back(operations: Operations, store: MemoryStore) -> None:
    operation = await started(operations)
    waiting = asyncio.create_task(operations.wait(operation.id))
    store.ready.clear()
    ending = asyncio.create_task(operations.finish(operation.id, result="jails/web"))
    await let_others_run()
    assert not waiting.done()
    assert not operations.get(operation.id).done
    store.ready.set()
    assert [await waiting] == await store.operations() == [await ending]


async def test_an_end_that_cannot_be_written_is_raised_and_those_who_wait_hear_it(
    operations: Operations, store: MemoryStore
) -> None:
    operation = await started(operations)
    waiting = asyncio.create_task(operations.wait(operation.id))
    store.failure = ResourceExhaustedError("NO_SPACE", "the disk is full")
    with pytest.raises(ResourceExhaustedError):
        await operations.finish(operation.id, result="jails/web")
    assert (await waiting).result == "jails/web"


async def test_a_cancel_that_comes_while_the_end_is_written_changes_nothing(
    operations: Operations, store: MemoryStore
) -> None:
    operation = await started(operations)
    store.ready.clear()
    ending = asyncio.create_task(operations.finish(operation.id, result="jails/web"))
    await let_others_run()
    cancelling = asyncio.create_task(operations.cancel(operation.id, ADA))
    await let_others_run()
    store.ready.set()
    await asyncio.gather(ending, cancelling)
    assert await store.operations() == [operations.get(operation.id)]
    assert operations.get(operation.id).result == "jails/web"


async def test_a_repeated_request_hears_of_the_first_once_that_is_on_disk(
    operations: Operations, store: MemoryStore
) -> None:
    store.ready.clear()
    operation = operations.new("deploy", "jails/web", ADA)
    saving = asyncio.create_task(operations.save(operation.id))
    again = asyncio.create_task(operations.duplicate(ADA, "deploy", "jails/web"))
    await let_others_run()
    assert not again.done()
    store.ready.set()
    await saving
    assert [await again] == await store.operations()


async def test_a_repeated_request_does_not_wait_for_what_could_not_be_written(
    operations: Operations, store: MemoryStore
) -> None:
    operation = operations.new("deploy", "jails/web", ADA)
    store.failure = ResourceExhaustedError("NO_SPACE", "the disk is full")
    with pytest.raises(ResourceExhaustedError):
        await operations.save(operation.id)
    async with asyncio.timeout(1):
        assert await operations.duplicate(ADA, "deploy", "jails/web") == operation
