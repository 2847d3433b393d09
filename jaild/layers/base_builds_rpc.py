"""The BaseMaking service."""

from __future__ import annotations

from google.longrunning import operations_pb2

from jaild.model import names as rules
from jaild.rpc import names
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.use_cases import BaseMaking
from jaild.v1 import base_making_pb2


class BaseMakingServicer:
    """Answers `jaild.v1.BaseMaking`."""

    def __init__(self, making: BaseMaking, messages: OperationMessages) -> None:
        self._making = making
        self._messages = messages

    async def InstallBase(  # noqa: N802  # gRPC's names
        self, request: base_making_pb2.InstallBaseRequest, _: Context
    ) -> operations_pb2.Operation:
        """Put a base together from packages."""
        return self._messages.of(
            await self._making.install(
                rules.base(request.base_id),
                request.repository,
                tuple(request.packages),
                request.abi,
                request.osversion,
                caller=current(request.request_id),
            )
        )

    async def PatchBase(  # noqa: N802
        self, request: base_making_pb2.PatchBaseRequest, _: Context
    ) -> operations_pb2.Operation:
        """Make a patched base of another one."""
        return self._messages.of(
            await self._making.patch(
                rules.base(request.base_id), names.base(request.parent), caller=current(request.request_id)
            )
        )
