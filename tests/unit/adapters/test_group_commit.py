"""What waits at the same time is written by one transaction, so by one fsync; a failure is of its own write alone."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from jaild.adapters import bounded_log as boundedlog
from jaild.adapters.bounded_log import Bound
from jaild.adapters.files.ballast import Ballast
from jaild.adapters.sqlite import SqliteStore
from jaild.model.errors import InternalError
from jaild.model.views import Event
from tests.unit.adapters.test_store import OPERATION

MANY = 20


class Slow(sqlite3.Connection):
    """A connection whose reads wait until they may go on, and which counts what it is told."""

    told: ClassVar[Counter[str]] = Counter()
    may = threading.Event()
    fails = ""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        self.told[statement.split(" ", maxsplit=1)[0]] += 1
        if statement.startswith("select id, record from operations"):
            assert self.may.wait(10)
        if self.fails and self.fails in statement:
            raise sqlite3.OperationalError(f"told to fail: {statement}")
        return super().execute(statement, *values)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    monkeypatch.setattr(Slow, "may", threading.Event())
    made = SqliteStore(tmp_path / "state" / "jaild.db", Ballast(tmp_path / "ballast", 1 << 20))
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Slow))
        await made.open()
    monkeypatch.setattr(Slow, "told", Counter())
    yield made
    await made.close()


async def at_once(store: SqliteStore, *, operations: int = 0, events: int = 0) -> list[Event | BaseException | None]:
    """Write these while the store's thread is busy, so that all of them wait."""
    reading = asyncio.ensure_future(store.operations())
    puts = [store.put_operation(msgspec.structs.replace(OPERATION, id=str(n))) for n in range(operations)]
    appends = [store.append_event(0.0, "k", "t", str(n), {}) for n in range(events)]
    writing = asyncio.gather(*puts, *appends, return_exceptions=True)
    await asyncio.sleep(0)
    Slow.may.set()
    await reading
    return list(await writing)


async def test_what_waits_at_the_same_time_is_one_transaction(store: SqliteStore) -> None:
    written = await at_once(store, operations=MANY, events=MANY)
    assert Slow.told["commit"] == 1
    events = [each for each in written if isinstance(each, Event)]
    assert [event.sequence for event in events] == list(range(1, MANY + 1))
    assert await store.events(0, "", 2 * MANY) == events
    assert {operation.id for operation in await store.operations()} == {str(n) for n in range(MANY)}


@pytest.mark.parametrize("fails", ["into operations", "commit"])
async def test_of_writes_together_only_those_fail_that_do_so_alone(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setattr(Slow, "fails", fails)
    written = await at_once(store, operations=2, events=3)
    failed = [each for each in written if isinstance(each, InternalError)]
    assert {each.reason for each in failed} == {"STORE_FAILED"}
    monkeypatch.setattr(Slow, "fails", "")
    sequences = [each.sequence for each in written if isinstance(each, Event)]
    assert (len(failed), sequences) == ((2, [1, 2, 3]) if fails != "commit" else (5, []))
    assert [event.sequence for event in await store.events(0, "", 9)] == sequences  # each once
    assert await store.operations() == []
    await store.put_operation(OPERATION)  # nothing is left begun
    assert await store.operations() == [OPERATION]


async def test_what_was_rolled_back_does_not_count_for_the_bounds_of_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundedlog, "EVENTS", Bound(bytes=1 << 20, rows=6))
    monkeypatch.setattr(Slow, "may", threading.Event())
    store = SqliteStore(tmp_path / "jaild.db")
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Slow))
        await store.open()
    monkeypatch.setattr(Slow, "fails", "commit")
    await at_once(store, events=6)
    monkeypatch.setattr(Slow, "fails", "")
    for _ in range(6):
        await store.append_event(0.0, "k", "t", "", {})
    assert len(await store.events(0, "", 99)) == 6
    await store.close()
