"""The Rehearsals services: the operators' of the source, and the one that the source asks of its target."""

from __future__ import annotations

from google.longrunning import operations_pb2

from jaild.migration.rpc import MAX_DOWNTIME
from jaild.model.errors import InvalidArgumentError
from jaild.model.migration.party import Arriving
from jaild.peer.v1 import rehearsal_pb2
from jaild.rpc import auth, moments, names, structs
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.use_cases import Incoming, Migrations, Parties
from jaild.v1 import rehearsals_pb2


class RehearsalsServicer:
    """Answers `jaild.v1.Rehearsals`."""

    def __init__(self, migrations: Migrations, messages: OperationMessages) -> None:
        self._migrations = migrations
        self._messages = messages

    async def RehearseJail(  # noqa: N802  # gRPC's names
        self, request: rehearsals_pb2.RehearseJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Try a migration."""
        jail = names.jail(request.name)
        if not request.target:
            raise InvalidArgumentError(
                "TARGET_MISSING", "the request names no target", remedy="name a peer of GetHost's list of peers"
            )
        downtime = MAX_DOWNTIME
        if request.HasField("max_downtime"):
            downtime = moments.seconds(request.max_downtime, "max_downtime")
        operation = await self._migrations.rehearse(
            jail,
            request.target,
            max_downtime=downtime,
            keep_copy=request.keep_copy,
            etag=request.etag,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)


class ClonesServicer:
    """Answers `jaild.peer.v1.Rehearsals`."""

    def __init__(self, incoming: Incoming, parties: Parties) -> None:
        self._incoming = incoming
        self._parties = parties

    async def Rehearse(  # noqa: N802
        self, request: rehearsal_pb2.RehearseRequest, _: Context
    ) -> rehearsal_pb2.RehearseResponse:
        """Boot a clone of what came, and throw it away."""
        await self._parties.require_party(auth.speaker(), Arriving(request.migration))
        rehearsed = await self._incoming.rehearse(request.migration, keep_copy=request.keep_copy)
        return structs.message_of(rehearsed, rehearsal_pb2.RehearseResponse)
