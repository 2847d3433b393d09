"""What of event sinks is kept, and that dead letters have a bound for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.sqlite import SqliteStore
from jaild.model import bounds
from jaild.model.sinks.records import DeadLetter, SinkRow
from jaild.model.views import Event
from jaild.ports.store import Store
from tests.fakes.store import MemoryStore

ROW = SinkRow(name="pager", cursor=7, delivered=3, missed=2, told=True)


@pytest.fixture(params=["real", "fake"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "fake":
        yield MemoryStore()
        return
    found = SqliteStore(tmp_path / "jaild.db")
    await found.open()
    yield found
    await found.close()


def letter(sequence: int, sink: str = "pager", text: str = "") -> DeadLetter:
    event = Event(sequence=sequence, time=1.0, kind="jail.exited", target="jails/web", message=text)
    return DeadLetter(number=0, sink=sink, event=event, time=2.0, error="no answer")


async def test_a_row_is_replaced_by_its_name_and_its_letters_outlive_it(store: Store) -> None:
    await store.put_sink(msgspec.structs.replace(ROW, cursor=1), letter(1))
    await store.put_sink(SinkRow(name="log", cursor=2), letter(1, "log"))
    await store.put_sink(ROW)
    assert await store.sinks() == [SinkRow(name="log", cursor=2), ROW]
    await store.forget_sink("pager")
    await store.forget_sink("pager")
    assert [row.name for row in await store.sinks()] == ["log"]
    assert await store.dead_letter_counts() == {"pager": 1, "log": 1}
    assert [each.event.sequence for each in await store.dead_letters("pager")] == [1]


async def test_letters_are_kept_in_order_marked_and_dropped_by_number(store: Store) -> None:
    for sequence in (1, 2, 3):
        assert await store.put_sink(ROW, letter(sequence)) == 0
    first, second, third = await store.dead_letters("pager")
    assert first.number < second.number < third.number
    asked = msgspec.structs.replace(second, asked=9.0)
    await store.mark_dead_letters([asked])
    await store.drop_dead_letters([first.number, 99])
    assert await store.dead_letters("pager") == [asked, third]


@pytest.mark.parametrize(("text", "kept"), [("", 20), ("x" * 100_000, 9)])
async def test_beyond_their_bound_the_oldest_of_the_same_sink_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, kept: int
) -> None:
    monkeypatch.setattr(bounds, "DEAD_LETTERS", 20)
    monkeypatch.setattr(bounds, "DEAD_LETTER_BYTES", 1_000_000)
    store = SqliteStore(tmp_path / "jaild.db")
    await store.open()
    await store.put_sink(ROW, letter(1, "log"))
    gone = [await store.put_sink(ROW, letter(sequence, text=text)) for sequence in range(1, 31)]
    assert gone == [0] * kept + [1] * (30 - kept)
    assert [each.event.sequence for each in await store.dead_letters("pager")] == list(range(31 - kept, 31))
    assert len(await store.dead_letters("log")) == 1
    await store.close()


async def test_a_letter_is_kept_with_the_cursor_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "jaild.db")
    await store.open()
    await store.put_sink(ROW)
    monkeypatch.setattr(bounds, "DEAD_LETTER_BYTES", object())
    with pytest.raises(Exception):  # noqa: B017 -- whatever SQLite says of it
        await store.put_sink(msgspec.structs.replace(ROW, cursor=8), letter(8))
    assert await store.sinks() == [ROW]
    assert await store.dead_letters("pager") == []
    await store.close()
