"""Event sinks: at least once, in order, across crashes; what was not taken is kept, told, and delivered again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jaild.engine import events as events_module
from jaild.model.errors import FailedPreconditionError, InternalError, NotFoundError, ResourceExhaustedError
from jaild.model.sinks.records import DeadLetter, Notice, SinkRow, SinkState
from jaild.model.sinks.settings import SinkSettings
from jaild.sinks import delivery
from jaild.sinks.service import EventSinks
from tests.fakes.host import FakeHost
from tests.fakes.sinks import Receiver

TO = {"command": {"argv": ["/bin/true"]}}
GIVE_UP = 600.0


def settings(**said: Any) -> SinkSettings:
    import msgspec

    return msgspec.convert({**TO, "filter": 'target = "jails/*"', "give_up_after": GIVE_UP, **said}, SinkSettings)


@pytest.fixture
def receiver(host: FakeHost) -> Receiver:
    """What every sink of the host writes to, from its next start on."""
    host.sinks = Receiver()
    return host.sinks


async def begun(host: FakeHost, **said: Any) -> EventSinks:
    """Start the daemon anew, with one sink."""
    if host.store is not None:
        await host.restart()
    sinks = host.core.use_cases.sinks
    await sinks.run({"pager": settings(**said)})
    return sinks


async def happen(host: FakeHost, *messages: str, kind: str = "jail.exited") -> None:
    for message in messages:
        await host.core.use_cases.events.emit(kind, "jails/web", message, reason="test")


async def told(host: FakeHost, kind: str) -> list[str]:
    events = host.core.use_cases.events
    return [event.message async for event in events.watch(0, "", follow=False) if event.kind == kind]


async def test_a_new_sink_is_given_what_happens_from_now_on_in_order_with_who_says_it(
    host: FakeHost, receiver: Receiver
) -> None:
    await happen(host, "before")
    await begun(host)
    await happen(host, "one", "two", "three")
    assert await receiver.took(3) == ["one", "two", "three"]
    notice = receiver.taken[0]
    assert (notice.host, notice.host_id) == ("alpha", host.core.inventory.host_id)
    assert (notice.kind, notice.target, notice.detail) == ("jail.exited", "jails/web", {"reason": "test"})
    assert notice.time.endswith("Z")
    assert len({each.id for each in receiver.taken}) == 3


async def test_only_what_its_filter_wants_is_delivered(host: FakeHost, receiver: Receiver) -> None:
    await begun(host, filter='kind = "jail.crash*" OR detail.peer : *')
    await happen(host, "one")
    await happen(host, "two", kind="jail.crash_loop")
    await host.core.use_cases.events.emit("jail.moved", "jails/web", "three", peer="beta")
    assert await receiver.took(2) == ["two", "three"]


async def test_after_a_restart_it_goes_on_where_it_stopped_with_what_happened_meanwhile(
    host: FakeHost, receiver: Receiver
) -> None:
    await begun(host)
    await happen(host, "one")
    await receiver.took(1)
    await host.restart()
    await happen(host, "two", "three")  # before its sinks run
    await host.core.use_cases.sinks.run({"pager": settings()})
    assert await receiver.took(3) == ["one", "two", "three"]


async def test_a_crash_between_a_delivery_and_its_cursor_delivers_it_again_and_none_is_left_out(
    host: FakeHost, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(host)
    await happen(host, "one")
    await receiver.took(1)
    assert host.store is not None
    stuck = asyncio.Event()

    async def never(*_: object) -> int:
        stuck.set()
        await asyncio.Event().wait()
        return 0

    await host.core.supervisor.idle()
    await asyncio.sleep(0)
    monkeypatch.setattr(host.store, "put_sink", never)
    await happen(host, "two")
    await stuck.wait()
    assert [notice.message for notice in receiver.taken] == ["one", "two"]
    await begun(host)  # another store, on the same file
    await happen(host, "three")
    assert await receiver.took(4) == ["one", "two", "two", "three"]
    assert receiver.taken[1].id == receiver.taken[2].id


async def test_what_is_refused_is_tried_again_until_it_is_taken_and_holds_the_others_back(
    host: FakeHost, receiver: Receiver
) -> None:
    sinks = await begun(host)
    attempts = 0

    def twice(_: Notice) -> bool:
        nonlocal attempts
        attempts += 1
        return attempts <= 2

    receiver.refuses = twice
    await happen(host, "one", "two")
    assert await receiver.took(2) == ["one", "two"]
    assert await told(host, "task.failed") == ["event sink pager: no thanks (SINK_REFUSED) -- ask again"]
    assert sinks.get("pager").failures == 2
    assert sinks.warnings() == ()


async def test_what_is_refused_for_too_long_is_kept_and_told_and_those_behind_it_have_their_turn(
    host: FakeHost, receiver: Receiver
) -> None:
    sinks = await begun(host)
    receiver.refuses = lambda notice: notice.message == "poison"
    await happen(host, "one", "poison", "two")
    assert await receiver.took(2) == ["one", "two"]
    assert receiver.taken[1].missed == 1
    (letter,) = await sinks.letters("pager")
    assert (letter.event.message, letter.error) == ("poison", "no thanks")
    assert letter.time - letter.event.time >= GIVE_UP
    assert len(await told(host, "sink.gave_up")) == 1
    view = sinks.get("pager")
    assert (view.letters, view.row.given_up, view.row.lost) == (1, 1, 0)
    assert sinks.warnings() == (
        "event sink pager was not given 1 event, which are kept: jailctl event-sink show pager",
    )
    assert (await host.core.use_cases.host.view()).warnings == sinks.warnings()


async def test_a_receiver_that_is_gone_for_long_gets_what_is_not_too_old_and_is_told_of_once(
    host: FakeHost, receiver: Receiver
) -> None:
    sinks = await begun(host, filter="")
    receiver.refuses = lambda _: True
    await happen(host, "one", "two")
    view = sinks.get("pager")
    await receiver.until(lambda: sinks.get("pager").row.given_up >= 3)
    assert view.row.failing_since <= host.clock.now() - GIVE_UP
    receiver.refuses = lambda _: False
    await happen(host, "last")
    await receiver.until(lambda: "last" in [notice.message for notice in receiver.taken])
    assert len(await told(host, "sink.gave_up")) == 1
    kept = [letter.event.message for letter in await sinks.letters("pager")]
    assert kept[:2] == ["one", "two"]
    sequences = [notice.sequence for notice in receiver.taken]
    assert sequences == sorted(sequences)


async def test_dead_letters_are_delivered_again_when_asked_and_only_then_are_gone(
    host: FakeHost, receiver: Receiver
) -> None:
    sinks = await begun(host)
    receiver.refuses = lambda notice: notice.message.startswith("poison")
    await happen(host, "poison 1", "poison 2", "one")
    await receiver.took(1)
    first, second = await sinks.letters("pager")
    assert await sinks.replay("pager", (), validate_only=True) == 2
    assert not any(letter.asked for letter in await sinks.letters("pager"))
    with pytest.raises(NotFoundError, match="no dead letter of event 99"):
        await sinks.replay("pager", (99,), validate_only=False)
    receiver.refuses = lambda _: False
    assert await sinks.replay("pager", (second.event.sequence,), validate_only=False) == 1
    assert await receiver.took(2) == ["one", "poison 2"]
    await host.core.supervisor.over("dead letters of event sink pager")
    assert await sinks.letters("pager") == [first]
    assert await sinks.discard("pager", (), validate_only=False) == 1
    assert sinks.warnings() == ()


async def test_what_is_forgiven_while_an_event_is_given_up_puts_no_older_cursor_back(
    host: FakeHost, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks = await begun(host)
    assert host.store is not None
    put, cursors, discards = host.store.put_sink, list[int](), set[asyncio.Task[int]]()

    async def and_discard(row: SinkRow, *letter: DeadLetter) -> int:
        gone = await put(row, *letter)
        cursors.append(row.cursor)
        if letter:
            discards.add(asyncio.create_task(sinks.discard("pager", (), validate_only=False)))
            await asyncio.wait(discards, timeout=0.2)  # it waits for this now
        return gone

    monkeypatch.setattr(host.store, "put_sink", and_discard)
    receiver.refuses = lambda notice: notice.message.startswith("poison")
    await happen(host, "poison 1", "one")
    await receiver.took(1)
    await asyncio.gather(*discards)
    assert discards
    assert cursors == sorted(cursors)


async def test_a_replay_goes_on_after_a_restart_and_what_is_refused_again_lies_again(
    host: FakeHost, receiver: Receiver
) -> None:
    sinks = await begun(host)
    receiver.refuses = lambda notice: notice.message.startswith("poison")
    await happen(host, "poison 1", "poison 2", "one")
    await receiver.took(1)
    tried = receiver.tried
    await sinks.replay("pager", (), validate_only=False)
    await receiver.until(lambda: receiver.tried > tried)
    sinks = await begun(host)
    receiver.refuses = lambda notice: notice.message == "poison 1"
    assert await receiver.took(2) == ["one", "poison 2"]
    await host.core.supervisor.over("dead letters of event sink pager")
    (left,) = await sinks.letters("pager")
    assert (left.event.message, left.asked) == ("poison 1", 0.0)


async def test_events_that_went_before_they_were_delivered_are_counted_and_told(
    host: FakeHost, receiver: Receiver
) -> None:
    await begun(host)
    await happen(host, "one")
    await receiver.took(1)
    await host.restart()
    await happen(host, *(f"lost {number}" for number in range(5)))
    assert host.store is not None
    import sqlite3
    from contextlib import closing

    last = await host.store.last_event()
    with closing(sqlite3.connect(host.folder / "jaild.db")) as other, other:
        other.execute("delete from events where sequence < ?", (last,))
    await host.core.use_cases.sinks.run({"pager": settings()})
    await receiver.took(2)
    sinks = host.core.use_cases.sinks
    assert receiver.taken[1].message == "lost 4"
    assert receiver.taken[1].missed == sinks.get("pager").row.lost > 4
    await sinks.discard("pager", (), validate_only=False)
    assert sinks.warnings() == ()


async def test_what_is_filtered_out_is_no_loss_however_long_it_was(
    host: FakeHost, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "NOTED", 10)
    monkeypatch.setattr(events_module, "PAGE", 7)
    sinks = await begun(host, filter="kind = wanted")
    before = sinks.get("pager").row.cursor
    await happen(host, *("no",) * 25)
    await happen(host, "yes", kind="wanted")
    await receiver.took(1)
    assert receiver.taken[0].missed == 0
    await happen(host, *("no",) * 25)
    await happen(host, "yes", kind="wanted")
    await receiver.took(2)
    assert sinks.get("pager").row.cursor > before + 40


async def test_a_full_disk_neither_stops_deliveries_nor_repeats_them_for_ever(
    host: FakeHost, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(host)
    assert host.store is not None
    failed = 0

    async def full(*_: object) -> int:
        nonlocal failed
        failed += 1
        raise ResourceExhaustedError("NO_SPACE", "no room left")

    with monkeypatch.context() as patch:
        patch.setattr(host.store, "put_sink", full)
        await happen(host, "one", "two")
        await receiver.took(2)
    await happen(host, "three")
    assert await receiver.took(3) == ["one", "two", "three"]
    assert failed > 1


async def test_a_give_up_that_cannot_be_written_down_is_none(
    host: FakeHost, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks = await begun(host)
    assert host.store is not None
    put, failed = host.store.put_sink, asyncio.Event()

    async def full(row: Any, letter: Any = None) -> int:
        if letter is not None:
            failed.set()
            raise ResourceExhaustedError("NO_SPACE", "no room left")
        return await put(row, letter)

    receiver.refuses = lambda _: True
    with monkeypatch.context() as patch:
        patch.setattr(host.store, "put_sink", full)
        await happen(host, "one")
        await failed.wait()
        receiver.refuses = lambda _: False
        assert await receiver.took(1) == ["one"]
    assert await sinks.letters("pager") == []


async def test_settings_count_at_once_and_what_is_left_of_a_removed_one_can_be_seen_and_discarded(
    host: FakeHost, receiver: Receiver
) -> None:
    sinks = await begun(host)
    receiver.refuses = lambda notice: notice.message == "poison"
    await happen(host, "poison", "one")
    await receiver.took(1)
    await sinks.replace({"pager": settings(filter='message = "*loud*"')})
    await happen(host, "quiet", "loud")
    assert await receiver.took(2) == ["one", "loud"]
    await sinks.replace({})
    await happen(host, "loud and unheard")
    (view,) = sinks.views()
    assert (view.state, view.letters) == (SinkState.REMOVED, 1)
    with pytest.raises(FailedPreconditionError, match="no event sink pager"):
        await sinks.replay("pager", (), validate_only=False)
    await sinks.replace({"pager": settings()})
    await happen(host, "again")
    assert await receiver.took(3) == ["one", "loud", "again"]
    await sinks.replace({})
    await sinks.discard("pager", (), validate_only=False)
    assert sinks.views() == []
    with pytest.raises(NotFoundError, match="no event sink pager"):
        sinks.get("pager")


async def test_a_sink_that_cannot_be_made_is_refused_by_a_reload_and_waited_for_by_a_start(
    host: FakeHost, receiver: Receiver
) -> None:
    receiver.unusable = True
    sinks = await begun(host)
    with pytest.raises(Exception, match="the secret is not there"):
        sinks.check({"pager": settings()})
    await happen(host, "one")
    await receiver.until(lambda: bool(sinks.get("pager").error))
    assert sinks.get("pager").state is SinkState.FAILING
    receiver.unusable = False
    assert await receiver.took(1) == ["one"]


async def test_where_events_cannot_be_read_once_they_are_read_again_from_the_same_one_on(
    host: FakeHost, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(host)
    await happen(host, "one")
    await receiver.took(1)
    assert host.store is not None
    failed = asyncio.Event()
    read = host.store.events

    async def fails(*asked: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise InternalError("STORE_FAILED", "disk I/O error")
        return await read(*asked)

    monkeypatch.setattr(host.store, "events", fails)
    await happen(host, "two", "three")
    assert await receiver.took(3) == ["one", "two", "three"]
    assert failed.is_set()
