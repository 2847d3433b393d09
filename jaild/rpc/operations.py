"""The Operations service, google.longrunning's own."""

from __future__ import annotations

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from jaild.model.access import Role
from jaild.model.errors import InvalidArgumentError, PermissionDeniedError
from jaild.model.operation import Operation
from jaild.model.views import Caller
from jaild.rpc import moments, names, pages
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.use_cases import Operations

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
