"""Event sinks over the API, and events by a filter."""

from __future__ import annotations

import grpc
import pytest

from jaild.v1 import event_sinks_pb2, events_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes

SINK = event_sinks_pb2.EventSink


async def test_a_sink_is_told_with_all_that_is_known(local: grpc.aio.Channel) -> None:
    api = stubs.event_sinks(local)
    sink = await api.GetEventSink(event_sinks_pb2.GetEventSinkRequest(name="eventSinks/pager"))
    (listed,) = (await api.ListEventSinks(event_sinks_pb2.ListEventSinksRequest())).event_sinks
    assert sink == listed
    assert (sink.name, sink.state, sink.kind) == ("eventSinks/pager", SINK.STATE_FAILING, "webhook")
    assert (sink.cursor, sink.delivered_count, sink.given_up_count, sink.lost_count) == (9, 7, 2, 1)
    assert (sink.dead_letter_count, sink.last_delivery_time.seconds, sink.failing_since.seconds) == (1, 3, 5)
    assert not sink.HasField("waiting_since")
    with pytest.raises(grpc.aio.AioRpcError, match="eventSinks/other"):
        await api.GetEventSink(event_sinks_pb2.GetEventSinkRequest(name="eventSinks/other"))


async def test_dead_letters_are_listed_delivered_again_and_forgotten_and_only_a_change_is_audited(
    local: grpc.aio.Channel, fakes: Fakes
) -> None:
    api = stubs.event_sinks(local)
    request = event_sinks_pb2.ListDeadLettersRequest(parent="eventSinks/pager")
    (letter,) = (await api.ListDeadLetters(request)).dead_letters
    assert (letter.event.sequence, letter.give_up_time.seconds, letter.replay_time.seconds) == (8, 6, 7)
    replay = event_sinks_pb2.ReplayDeadLettersRequest(name="eventSinks/pager", sequences=[8], validate_only=True)
    assert (await api.ReplayDeadLetters(replay)).count == 1
    discard = event_sinks_pb2.DiscardDeadLettersRequest(name="eventSinks/pager")
    assert (await api.DiscardDeadLetters(discard)).count == 1
    assert fakes.sinks.calls[1:] == [
        ("replay", ("pager", {8}), {"validate_only": True}),
        ("discard", ("pager", frozenset()), {"validate_only": False}),
    ]
    (entry,) = fakes.audit.kept
    assert (entry.method, entry.target) == ("jaild.v1.EventSinks/DiscardDeadLetters", "eventSinks/pager")


async def test_events_are_watched_by_a_filter_and_a_gap_is_told_of_the_first_that_passes(
    local: grpc.aio.Channel,
) -> None:
    watch = stubs.events(local).WatchEvents

    async def found(filter_: str) -> list[events_pb2.Event]:
        request = events_pb2.WatchEventsRequest(after_sequence=3, no_follow=True, filter=filter_)
        return [event async for event in watch(request)]

    assert [event.gap for event in await found("kind = jail.* AND detail.pid = 3")] == [True]
    assert await found("kind = base.*") == []
    with pytest.raises(grpc.aio.AioRpcError, match="there is no field color"):
        await found("color = red")
