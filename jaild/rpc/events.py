"""The Events service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.longrunning import operations_pb2

from jaild.model.errors import InvalidArgumentError
from jaild.model.views import Event
from jaild.rpc import names
from jaild.rpc.auth import Context
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.moments import timestamp
from jaild.rpc.streams import closable
from jaild.rpc.use_cases import Events, Operations
from jaild.v1 import events_pb2

_ONLY_NEW = -1


class EventsServicer:
    """Answers `jaild.v1.Events`."""

    def __init__(self, events: Events, operations: Operations, messages: OperationMessages) -> None:
        self._events = events
        self._operations = operations
        self._messages = messages

    async def WatchEvents(  # noqa: N802  # gRPC's names
        self, request: events_pb2.WatchEventsRequest, _: Context
    ) -> AsyncIterator[events_pb2.Event]:
        """Send events as they come."""
        if request.after_sequence < _ONLY_NEW:
            raise InvalidArgumentError(
                "INVALID_SEQUENCE",
                f"after_sequence is {request.after_sequence}",
                remedy="give the last event's sequence, 0 for all that are kept, or -1 for new ones only",
            )
        events = self._events.watch(request.after_sequence, request.target, not request.no_follow)
        async with aclosing(closable(events)) as stream:
            async for event in stream:
                yield event_message(event)

    async def WatchOperation(  # noqa: N802
        self, request: events_pb2.WatchOperationRequest, _: Context
    ) -> AsyncIterator[operations_pb2.Operation]:
        """Send an operation each time it changes, until it is done."""
        operations = self._operations.watch(names.operation(request.name))
        async with aclosing(closable(operations)) as stream:
            async for operation in stream:
                yield self._messages.of(operation)


def event_message(event: Event) -> events_pb2.Event:
    """Return an event as a message."""
    return events_pb2.Event(
        sequence=event.sequence,
        time=timestamp(event.time),
        kind=event.kind,
        target=event.target,
        message=event.message,
        detail=event.detail,
        gap=event.gap,
    )
