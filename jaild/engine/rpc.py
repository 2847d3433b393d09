"""Operations and events: as messages, and the services of both."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import any_pb2, empty_pb2
from google.protobuf.message import Message

from jaild.engine.events import Events
from jaild.engine.operations import Operations
from jaild.model import eventfilter
from jaild.model.access import Role
from jaild.model.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from jaild.model.operation import Operation, Outcome, PhaseReport
from jaild.model.views import Caller, Event
from jaild.rpc import moments, names, pages, streams
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.plans import plan_message
from jaild.rpc.moments import duration, timestamp
from jaild.rpc.services import Service, Services
from jaild.rpc.status import status_of
from jaild.v1 import common_pb2, events_pb2, events_pb2_grpc

_COLLECTION = "operations"
_ONLY_NEW = -1
_OUTCOMES = {
    Outcome.UNDER_WAY: common_pb2.PHASE_OUTCOME_UNSPECIFIED,
    Outcome.DONE: common_pb2.PHASE_OUTCOME_DONE,
    Outcome.FAILED: common_pb2.PHASE_OUTCOME_FAILED,
    Outcome.UNDONE: common_pb2.PHASE_OUTCOME_UNDONE,
    Outcome.CLEANUP_PENDING: common_pb2.PHASE_OUTCOME_CLEANUP_PENDING,
}


class OperationMessages:
    """Makes messages of operations. What came of one is looked up when it is asked for, not stored with it.

    Each is made for who makes the present call.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def of(self, operation: Operation) -> operations_pb2.Operation:
        """Return an operation as a message."""
        message = operations_pb2.Operation(name=operation.name, done=operation.done)
        message.metadata.Pack(metadata_message(operation))
        if not operation.done:
            return message
        if operation.failure is not None:
            message.error.CopyFrom(status_of(operation.failure))
        else:
            message.response.CopyFrom(_packed(self._response(operation)))
        return message

    def _response(self, operation: Operation) -> Message:
        if operation.result == "plan" and operation.plan is not None:
            return plan_message(operation.plan)
        try:
            return self._services.resource(operation.result)
        except NotFoundError:  # deleted since
            return empty_pb2.Empty()


def metadata_message(operation: Operation) -> common_pb2.OperationMetadata:
    """Return what is told of an operation while it goes on."""
    return common_pb2.OperationMetadata(
        kind=operation.kind,
        target=operation.target,
        phase=operation.phase,
        message=operation.message,
        actor=operation.actor,
        request_id=operation.request_id,
        create_time=timestamp(operation.created),
        update_time=timestamp(operation.updated),
        bytes_done=operation.bytes_done,
        bytes_total=operation.bytes_total,
        predicted_downtime=duration(operation.predicted_downtime),
        predicted_at_least=operation.predicted_at_least,
        downtime=duration(operation.downtime),
        plan=None if operation.plan is None else plan_message(operation.plan),
        rounds=operation.rounds,
        facts=operation.facts,
        cancel_requested=operation.cancel_requested,
        bytes_per_second=operation.rate,
        phases=[_phase_message(report) for report in operation.phases],
    )


def _phase_message(report: PhaseReport) -> common_pb2.PhaseReport:
    return common_pb2.PhaseReport(
        name=report.name,
        start_offset=duration(report.begun),
        duration=duration(report.seconds),
        outcome=_OUTCOMES[report.outcome],
    )


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


class OperationsServicer:
    """Answers `google.longrunning.Operations`."""

    service = Service("google.longrunning.Operations", operations_pb2_grpc.add_OperationsServicer_to_server)

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
                hint="leave name and filter empty",
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
        hint=f"ask {operation.actor} or an operator",
        resource=operation.name,
    )


class EventsServicer:
    """Answers `jaild.v1.Events`."""

    service = Service("jaild.v1.Events", events_pb2_grpc.add_EventsServicer_to_server)

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
                hint="give the last event's sequence, 0 for all that are kept, or -1 for new ones only",
            )
        wanted = eventfilter.parse(request.filter)
        events = self._events.watch(request.after_sequence, request.target, not request.no_follow)
        gap = False
        async with streams.closing(events) as stream:
            async for event in stream:
                gap = gap or event.gap
                if wanted(event):
                    yield event_message(msgspec.structs.replace(event, gap=gap))
                    gap = False

    async def WatchOperation(  # noqa: N802
        self, request: events_pb2.WatchOperationRequest, _: Context
    ) -> AsyncIterator[operations_pb2.Operation]:
        """Send an operation each time it changes, until it is done."""
        operations = self._operations.watch(names.operation(request.name))
        async with streams.closing(operations) as stream:
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
