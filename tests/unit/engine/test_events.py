from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from jaild.engine import events as module
from jaild.engine.events import Audit, Events
from jaild.model.views import Event
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore


@pytest.fixture
def events() -> Events:
    return Events(MemoryStore(), FakeClock(50.0))


async def emit(events: Events, *kinds: str, target: str = "jails/web") -> None:
    for kind in kinds:
        await events.emit(kind, target, "", generation="1")


async def kinds(stream: AsyncIterator[Event]) -> list[str]:
    return [event.kind for event in [event async for event in stream]]


async def test_what_happened_is_told_with_its_time_number_and_details(events: Events) -> None:
    await events.emit("jail.exited", "jails/web", "status 1", generation="3")
    (event,) = [event async for event in events.watch(0, "", follow=False)]
    assert event == Event(
        sequence=1, time=50.0, kind="jail.exited", target="jails/web", message="status 1", detail={"generation": "3"}
    )


async def test_a_detail_that_says_nothing_is_left_out(events: Events) -> None:
    await events.emit("base.sealed", "bases/tree", "guid 7", sha256="")
    (event,) = [event async for event in events.watch(0, "", follow=False)]
    assert event.detail == {}


async def test_a_watcher_resumes_behind_the_number_it_has_seen(events: Events) -> None:
    await emit(events, "a", "b", "c")
    assert await kinds(events.watch(1, "", follow=False)) == ["b", "c"]
    assert await kinds(events.watch(3, "", follow=False)) == []


async def test_a_follower_gets_old_ones_first_and_then_each_as_it_happens(events: Events) -> None:
    await emit(events, "a")
    stream = events.watch(0, "", follow=True)
    assert (await anext(stream)).kind == "a"
    following = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not following.done()
    await emit(events, "b")
    assert (await following).kind == "b"
    await emit(events, "c", "d")
    assert [(await anext(stream)).kind for _ in range(2)] == ["c", "d"]


async def test_a_follower_of_new_ones_gets_no_old_ones(events: Events) -> None:
    await emit(events, "old")
    following = asyncio.ensure_future(anext(events.watch(-1, "", follow=True)))
    for _ in range(5):
        await asyncio.sleep(0)
    await emit(events, "new")
    assert (await following).kind == "new"


async def test_a_follower_of_one_target_is_not_woken_for_good_by_others(events: Events) -> None:
    stream = events.watch(0, "jails/web", follow=True)
    following = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await emit(events, "other", target="jails/webb")
    await emit(events, "mine", target="jails/web/generations/2")
    assert (await following).kind == "mine"


async def test_more_than_a_page_comes_whole(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    await emit(events, *"abcde")
    assert await kinds(events.watch(0, "", follow=False)) == list("abcde")


async def test_a_number_of_a_store_that_is_gone_brings_all_there_is_and_says_that_something_is_missing(
    events: Events,
) -> None:
    await emit(events, "a", "b")
    found = [event async for event in events.watch(500, "", follow=False)]
    assert [(event.kind, event.gap) for event in found] == [("a", True), ("b", False)]


async def test_a_refused_request_is_written_down_too() -> None:
    audit = Audit(MemoryStore(), FakeClock(50.0))
    await audit.record("ada", "DeployJail", "jails/web", "r", "PERMISSION_DENIED", "")
    (entry,) = await audit.entries(10, 0)
    assert (entry.actor, entry.outcome, entry.time, entry.sequence) == ("ada", "PERMISSION_DENIED", 50.0, 1)


async def test_a_message_without_end_is_clipped_and_says_how_long_it_was(events: Events) -> None:
    await events.emit("jail.exited", "jails/web", "a" * 1_000_000 + "z", why="b" * 1_000_000)
    (event,) = [event async for event in events.watch(0, "", follow=False)]
    assert len(event.message) <= 4096
    assert event.message.endswith("z")
    assert "(1000001 bytes)" in event.message
    assert len(event.detail["why"]) <= 4096


async def test_an_audit_entry_holds_little_whatever_was_sent() -> None:
    audit = Audit(MemoryStore(), FakeClock(1.0))
    await audit.record("a" * 9999, "m", "t" * 9999, "r" * 9999, "OK", "")
    (entry,) = await audit.entries(1, 0)
    assert max(map(len, (entry.actor, entry.target, entry.request_id))) <= 256


async def test_a_follower_of_one_jail_does_not_look_through_the_events_of_others_again() -> None:
    store = MemoryStore()
    events = Events(store, FakeClock(1.0))
    asked: list[int] = []
    read = store.events

    async def noting(after: int, target: str, limit: int) -> list[Event]:
        asked.append(after)
        return await read(after, target, limit)

    store.events = noting  # type: ignore[method-assign]
    following = asyncio.ensure_future(anext(events.watch(0, "jails/db", follow=True)))
    for number in range(3):
        await emit(events, str(number))
        for _ in range(5):
            await asyncio.sleep(0)
    await emit(events, "mine", target="jails/db")
    assert (await following).kind == "mine"
    assert asked[-1] == 3  # behind what the look before has seen
