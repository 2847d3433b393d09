"""The services of operations and events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import empty_pb2

from jaild.engine.events import Events
from jaild.engine.operations import Operations
from jaild.model.access import Role
from jaild.model.errors import InvalidArgumentError, PermissionDeniedError
from jaild.model.operation import Operation
from jaild.model.views import Caller, Event
from jaild.rpc import moments, names, pages
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.moments import timestamp
from jaild.rpc.services import Services
from jaild.rpc.streams import closable
from jaild.v1 import events_pb2, events_pb2_grpc

_COLLECTION = "operations"


class OperationsServicer:
    """Answers `google.longrunning.Operations`."""

    def __init__(self, operations: Operations, messages: OperationMessages) -> None:
        self._operations = operations
        self._messages = messages

    async def GetOperation(  # noqa: N802  # gRPC's names
        self, request: operations_pb2.GetOperationRequest, _: Context
    ) -> operations_pb2.Operation:
        """Return one operation."""
        return self._messages.of(self._operations.get(names.operation(request.name)))

    async def ListOperations(  # noqa: N802
        self, request: operations_pb2.ListOperationsRequest, _: Context
    ) -> operations_pb2.ListOperationsResponse:
        """Return a page of operations, newest first. `name` is `operations` or empty; filters are not supported."""
        if request.name not in {"", _COLLECTION} or request.filter:
            raise InvalidArgumentError(
                "LIST_UNSUPPORTED",
                "operations can be listed only all together, without a filter",
                remedy="leave name and filter empty",
            )
        page = pages.page(request, self._operations.list(), lambda item: (-item.created, item.id), _COLLECTION)
        return operations_pb2.ListOperationsResponse(
            operations=[self._messages.of(item) for item in page.items], next_page_token=page.next_token
        )

    async def WaitOperation(  # noqa: N802
        self, request: operations_pb2.WaitOperationRequest, _: Context
    ) -> operations_pb2.Operation:
        """Return an operation when it is done, or as it is after `timeout`."""
        timeout = moments.seconds(request.timeout, "timeout") if request.HasField("timeout") else None
        return self._messages.of(await self._operations.wait(names.operation(request.name), timeout))

    async def CancelOperation(self, request: operations_pb2.CancelOperationRequest, _: Context) -> empty_pb2.Empty:  # noqa: N802
        """Ask for its end; its own status says whether it came in time."""
        caller = current()
        operation = names.operation(request.name)
        may_withdraw(caller, self._operations.get(operation))
        await self._operations.cancel(operation, caller)
        return empty_pb2.Empty()

    async def DeleteOperation(self, request: operations_pb2.DeleteOperationRequest, _: Context) -> empty_pb2.Empty:  # noqa: N802
        """Forget one that is done."""
        operation = names.operation(request.name)
        may_withdraw(current(), self._operations.get(operation))
        await self._operations.delete(operation)
        return empty_pb2.Empty()


def may_withdraw(caller: Caller, operation: Operation) -> None:
    """Raise `PermissionDeniedError` (OPERATION_OF_ANOTHER) unless the caller asked for it, or is an operator."""
    if Role.OPERATOR in caller.roles or caller.actor == operation.actor:
        return
    raise PermissionDeniedError(
        "OPERATION_OF_ANOTHER",
        f"{operation.name} was asked for by {operation.actor}, not by {caller.actor}",
        remedy=f"ask {operation.actor} or an operator",
        resource=operation.name,
    )


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


def register(services: Services, operations: Operations, events: Events) -> None:
    """Serve them."""
    messages = OperationMessages(services)
    services.add(
        "google.longrunning.Operations",
        operations_pb2_grpc.add_OperationsServicer_to_server,
        OperationsServicer(operations, messages),
    )
    services.add(
        "jaild.v1.Events",
        events_pb2_grpc.add_EventsServicer_to_server,
        EventsServicer(events, operations, messages),
    )
