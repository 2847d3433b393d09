"""The service of jails' snapshots."""

from __future__ import annotations

from typing import TypeAlias

from google.longrunning import operations_pb2

from jaild.backups.restores import Restores, Wanted
from jaild.backups.snapshots import JailSnapshots
from jaild.engine.rpc import OperationMessages
from jaild.model.errors import InvalidArgumentError
from jaild.model.snapshots import kind_of
from jaild.model.views import SnapshotView
from jaild.rpc import names
from jaild.rpc.auth import Context, current
from jaild.rpc.moments import timestamp
from jaild.rpc.services import Service
from jaild.v1 import snapshots_pb2, snapshots_pb2_grpc

_Answer: TypeAlias = operations_pb2.Operation


class JailSnapshotsServicer:
    """Answers `jaild.v1.JailSnapshots`."""

    service = Service("jaild.v1.JailSnapshots", snapshots_pb2_grpc.add_JailSnapshotsServicer_to_server)

    def __init__(self, snapshots: JailSnapshots, restores: Restores, messages: OperationMessages) -> None:
        self._snapshots = snapshots
        self._restores = restores
        self._messages = messages

    async def ListJailSnapshots(  # noqa: N802  # gRPC's names
        self, request: snapshots_pb2.ListJailSnapshotsRequest, _: Context
    ) -> snapshots_pb2.ListJailSnapshotsResponse:
        """Return a jail's."""
        found = await self._snapshots.list(names.jail(request.parent))
        return snapshots_pb2.ListJailSnapshotsResponse(snapshots=map(_message, found))

    async def TakeJailSnapshot(  # noqa: N802
        self, request: snapshots_pb2.TakeJailSnapshotRequest, _: Context
    ) -> _Answer:
        """Take one."""
        jail, caller = names.jail(request.parent), current(request.request_id)
        taken = self._snapshots.take(jail, request.snapshot_id, validate_only=request.validate_only, caller=caller)
        return self._messages.of(await taken)

    async def DeleteJailSnapshot(  # noqa: N802
        self, request: snapshots_pb2.DeleteJailSnapshotRequest, _: Context
    ) -> _Answer:
        """Destroy one."""
        (jail, tag), caller = names.snapshot(request.name), current(request.request_id)
        removed = self._snapshots.remove(jail, tag, validate_only=request.validate_only, caller=caller)
        return self._messages.of(await removed)

    async def RestoreJail(self, request: snapshots_pb2.RestoreJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Bring older data back."""
        jail, caller = names.jail(request.name), current(request.request_id)
        wanted = Wanted(_at(request), request.path)
        return self._messages.of(
            await self._restores.restore(jail, wanted, validate_only=request.validate_only, caller=caller)
        )


def _at(request: snapshots_pb2.RestoreJailRequest) -> str | float:
    which = request.WhichOneof("at")
    if which == "time":
        return float(request.time.seconds + request.time.nanos / 1e9)
    if not request.snapshot:
        raise InvalidArgumentError(
            "POINT_REQUIRED",
            "the request does not say from which snapshot",
            hint="give a snapshot, or a time",
            detail={"field": "at"},
        )
    return str(request.snapshot)


def _message(view: SnapshotView) -> snapshots_pb2.JailSnapshot:
    kind = kind_of(view.purpose)
    return snapshots_pb2.JailSnapshot(
        name=names.snapshot_name(view.jail, view.tag),
        create_time=timestamp(view.created),
        used_bytes=view.used,
        referenced_bytes=view.referenced,
        purpose=kind,
        actor=view.purpose.partition("/")[2] if kind == "manual" else "",
        parts=view.parts,
        atomic=view.atomic,
        holds=view.held,
    )
