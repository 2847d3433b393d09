"""The Promotions service."""

from __future__ import annotations

from google.longrunning import operations_pb2

from jaild.rpc import names
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.use_cases import Promotions
from jaild.v1 import promotions_pb2


class PromotionsServicer:
    """Answers `jaild.v1.Promotions`."""

    def __init__(self, promotions: Promotions, messages: OperationMessages) -> None:
        self._promotions = promotions
        self._messages = messages

    async def PromoteJail(  # noqa: N802  # gRPC's names
        self, request: promotions_pb2.PromoteJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Make a standby the owner."""
        operation = await self._promotions.promote(
            names.jail(request.name),
            owner_is_down=request.owner_is_down,
            confirm=request.confirm,
            validate_only=request.validate_only,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)

    async def AdoptJail(  # noqa: N802
        self, request: promotions_pb2.AdoptJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Take over what a host that is gone left here."""
        operation = await self._promotions.adopt(
            names.jail(request.name),
            confirm=request.confirm,
            validate_only=request.validate_only,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)

    async def ConfirmJail(  # noqa: N802
        self, request: promotions_pb2.ConfirmJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Start a jail that waits for its standbys."""
        operation = await self._promotions.confirm(
            names.jail(request.name), request.confirm, caller=current(request.request_id)
        )
        return self._messages.of(operation)
