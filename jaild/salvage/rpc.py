"""The two services of salvages: the operators', and the one that hosts ask each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from google.longrunning import operations_pb2

from jaild.engine.rpc import OperationMessages
from jaild.model.errors import InvalidArgumentError
from jaild.model.migration.party import Arriving
from jaild.model.migration.protocol import ReceiveHeader
from jaild.peer.v1 import peer_pb2
from jaild.peer.v1 import salvage_pb2 as peer_salvage_pb2
from jaild.peer.v1 import salvage_pb2_grpc as peer_salvage_pb2_grpc
from jaild.rpc import names, streams, structs
from jaild.rpc.auth import Context, PartyCheck, current
from jaild.rpc.moments import timestamp
from jaild.rpc.services import Service
from jaild.salvage.source import SalvageOut
from jaild.salvage.target import SalvageIn
from jaild.v1 import salvage_pb2, salvage_pb2_grpc


class SalvagesServicer:
    """Answers `jaild.v1.Salvages`."""

    service = Service("jaild.v1.Salvages", salvage_pb2_grpc.add_SalvagesServicer_to_server)

    def __init__(self, salvages: SalvageOut, files: SalvageIn, messages: OperationMessages) -> None:
        self._salvages = salvages
        self._files = files
        self._messages = messages

    async def SalvageJail(  # noqa: N802  # gRPC's names
        self, request: salvage_pb2.SalvageJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Bring a jail's files to a peer."""
        jail = names.jail(request.name)
        if not request.target:
            raise InvalidArgumentError(
                "TARGET_MISSING", "the request names no target", hint="name a peer of GetHost's list of peers"
            )
        operation = await self._salvages.salvage(
            jail, request.target, validate_only=request.validate_only, caller=current(request.request_id)
        )
        return self._messages.of(operation)

    async def GetSalvageReport(  # noqa: N802
        self, request: salvage_pb2.GetSalvageReportRequest, _: Context
    ) -> salvage_pb2.SalvageReport:
        """Return what a jail lost."""
        report = await self._files.report(names.jail(request.name))
        return salvage_pb2.SalvageReport(
            source=report.source,
            time=timestamp(report.at),
            entries=report.entries,
            losses=[
                salvage_pb2.DataLoss(
                    path=loss.path,
                    lost=loss.lost,
                    reason=loss.reason,
                    ranges=[salvage_pb2.ByteRange(**{"from": start, "to": to}) for start, to in loss.ranges],
                )
                for loss in report.losses
            ],
        )


class PeerSalvageServicer:
    """Answers `jaild.peer.v1.Salvage`."""

    service = Service("jaild.peer.v1.Salvage", peer_salvage_pb2_grpc.add_SalvageServicer_to_server)

    def __init__(self, files: SalvageIn, parties: PartyCheck) -> None:
        self._files = files
        self._parties = parties

    async def ReceiveFiles(  # noqa: N802
        self, requests: AsyncIterator[peer_pb2.ReceiveRequest], context: Context
    ) -> peer_salvage_pb2.ReceiveFilesResponse:
        """Receive the files of one dataset."""
        header = structs.struct_of(await streams.first(requests), ReceiveHeader)
        await self._parties.require(Arriving(header.migration))
        written = await streams.hand_on(requests, context, partial(self._files.receive, header))
        return peer_salvage_pb2.ReceiveFilesResponse(entries=written.entries, sha256=written.sha256)

    async def FinishFiles(  # noqa: N802
        self, request: peer_salvage_pb2.FinishFilesRequest, _: Context
    ) -> peer_salvage_pb2.FinishFilesResponse:
        """Take the list of what is lost."""
        await self._parties.require(Arriving(request.migration))
        guids = await self._files.finish(request.migration, request.report)
        return peer_salvage_pb2.FinishFilesResponse(guids=guids)
