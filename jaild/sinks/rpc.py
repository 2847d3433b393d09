"""Event sinks: as messages, and their service."""

from __future__ import annotations

from jaild.engine.rpc import event_message
from jaild.model.sinks.records import DeadLetter, SinkState, SinkView
from jaild.rpc import names, pages
from jaild.rpc.auth import Context
from jaild.rpc.moments import timestamp
from jaild.rpc.services import Service
from jaild.sinks.service import EventSinks
from jaild.v1 import event_sinks_pb2, event_sinks_pb2_grpc

_STATES = {
    SinkState.DELIVERING: event_sinks_pb2.EventSink.STATE_DELIVERING,
    SinkState.FAILING: event_sinks_pb2.EventSink.STATE_FAILING,
    SinkState.REMOVED: event_sinks_pb2.EventSink.STATE_REMOVED,
}


class EventSinksServicer:
    """Answers `jaild.v1.EventSinks`."""

    service = Service("jaild.v1.EventSinks", event_sinks_pb2_grpc.add_EventSinksServicer_to_server)

    def __init__(self, sinks: EventSinks) -> None:
        self._sinks = sinks

    async def GetEventSink(  # noqa: N802  # gRPC's names
        self, request: event_sinks_pb2.GetEventSinkRequest, _: Context
    ) -> event_sinks_pb2.EventSink:
        """Return one sink."""
        return sink_message(self._sinks.get(names.event_sink(request.name)))

    async def ListEventSinks(  # noqa: N802
        self, _request: event_sinks_pb2.ListEventSinksRequest, _: Context
    ) -> event_sinks_pb2.ListEventSinksResponse:
        """Return all."""
        return event_sinks_pb2.ListEventSinksResponse(event_sinks=map(sink_message, self._sinks.views()))

    async def ListDeadLetters(  # noqa: N802
        self, request: event_sinks_pb2.ListDeadLettersRequest, _: Context
    ) -> event_sinks_pb2.ListDeadLettersResponse:
        """Return a page of what a sink was not given."""
        letters = await self._sinks.letters(names.event_sink(request.parent))
        page = pages.page(request, letters, lambda letter: (letter.number,), f"{request.parent}/deadLetters")
        return event_sinks_pb2.ListDeadLettersResponse(
            dead_letters=map(letter_message, page.items), next_page_token=page.next_token
        )

    async def ReplayDeadLetters(  # noqa: N802
        self, request: event_sinks_pb2.ReplayDeadLettersRequest, _: Context
    ) -> event_sinks_pb2.ReplayDeadLettersResponse:
        """Deliver again."""
        sink, sequences = names.event_sink(request.name), frozenset(request.sequences)
        count = await self._sinks.replay(sink, sequences, validate_only=request.validate_only)
        return event_sinks_pb2.ReplayDeadLettersResponse(count=count)

    async def DiscardDeadLetters(  # noqa: N802
        self, request: event_sinks_pb2.DiscardDeadLettersRequest, _: Context
    ) -> event_sinks_pb2.DiscardDeadLettersResponse:
        """Forget."""
        sink, sequences = names.event_sink(request.name), frozenset(request.sequences)
        count = await self._sinks.discard(sink, sequences, validate_only=request.validate_only)
        return event_sinks_pb2.DiscardDeadLettersResponse(count=count)


def sink_message(view: SinkView) -> event_sinks_pb2.EventSink:
    """Return a sink as a message."""
    row = view.row
    return event_sinks_pb2.EventSink(
        name=names.event_sink_name(row.name),
        state=_STATES[view.state],
        kind=view.kind,
        destination=view.destination,
        filter=view.filter,
        cursor=row.cursor,
        delivered_count=row.delivered,
        last_delivery_time=timestamp(row.delivered_time),
        failing_since=timestamp(row.failing_since),
        error=view.error,
        waiting_since=timestamp(view.waiting_since),
        given_up_count=row.given_up,
        dead_letter_count=view.letters,
        lost_count=row.lost,
    )


def letter_message(letter: DeadLetter) -> event_sinks_pb2.DeadLetter:
    """Return a dead letter as a message."""
    return event_sinks_pb2.DeadLetter(
        event=event_message(letter.event),
        give_up_time=timestamp(letter.time),
        error=letter.error,
        replay_time=timestamp(letter.asked),
    )
