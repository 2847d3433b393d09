"""The Evacuations service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from google.longrunning import operations_pb2

from jaild.engine.rpc import OperationMessages
from jaild.evacuation.service import Evacuations
from jaild.migration.rpc import MAX_DOWNTIME
from jaild.model.views import HostView
from jaild.rpc import moments, names, pages
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.evacuations import evacuation_message
from jaild.rpc.messages.host import host_message
from jaild.rpc.services import Service
from jaild.v1 import evacuations_pb2, evacuations_pb2_grpc, host_pb2

View = Callable[[], Awaitable[HostView]]  # of this host
_PARALLEL = 2  # if the request does not say


class EvacuationsServicer:
    """Answers `jaild.v1.Evacuations`."""

    service = Service("jaild.v1.Evacuations", evacuations_pb2_grpc.add_EvacuationsServicer_to_server)

    def __init__(self, evacuations: Evacuations, view: View, messages: OperationMessages) -> None:
        self._evacuations = evacuations
        self._view = view
        self._messages = messages

    def shown(self, name: str) -> evacuations_pb2.Evacuation:
        """Return what came of an evacuation."""
        return evacuation_message(self._evacuations.get(names.evacuation(name)))

    async def EvacuateHost(  # noqa: N802  # gRPC's names
        self, request: evacuations_pb2.EvacuateHostRequest, _: Context
    ) -> operations_pb2.Operation:
        """Move all jails away."""
        downtime = MAX_DOWNTIME
        if request.HasField("max_downtime"):
            downtime = moments.seconds(request.max_downtime, "max_downtime")
        operation = await self._evacuations.evacuate(
            tuple(request.targets),
            parallel=request.parallel or _PARALLEL,
            bandwidth=request.bandwidth,
            max_downtime=downtime,
            proceed_over_budget=request.proceed_over_budget,
            validate_only=request.validate_only,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)

    async def GetEvacuation(  # noqa: N802
        self, request: evacuations_pb2.GetEvacuationRequest, _: Context
    ) -> evacuations_pb2.Evacuation:
        """Return one evacuation as it is now."""
        return evacuation_message(self._evacuations.get(names.evacuation(request.name)))

    async def ListEvacuations(  # noqa: N802
        self, request: evacuations_pb2.ListEvacuationsRequest, _: Context
    ) -> evacuations_pb2.ListEvacuationsResponse:
        """Return a page of evacuations, newest first."""
        page = pages.page(request, self._evacuations.list(), lambda e: (-e.created, e.id), "evacuations")
        return evacuations_pb2.ListEvacuationsResponse(
            evacuations=[evacuation_message(evacuation) for evacuation in page.items],
            next_page_token=page.next_token,
        )

    async def DrainHost(self, request: evacuations_pb2.DrainHostRequest, _: Context) -> host_pb2.HostInfo:  # noqa: N802
        """Take no jails."""
        drain = await self._evacuations.drain(request.reason, validate_only=request.validate_only, caller=current(""))
        return host_message(msgspec.structs.replace(await self._view(), drain=drain))

    async def UndrainHost(self, request: evacuations_pb2.UndrainHostRequest, _: Context) -> host_pb2.HostInfo:  # noqa: N802
        """Take jails again."""
        await self._evacuations.undrain(validate_only=request.validate_only, caller=current(""))
        return host_message(msgspec.structs.replace(await self._view(), drain=None))
