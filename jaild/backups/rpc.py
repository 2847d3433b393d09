"""The services of jails' snapshots and backups."""

from __future__ import annotations

import math
from typing import TypeAlias

from google.longrunning import operations_pb2

from jaild.backups.restores import Restores, Wanted
from jaild.backups.service import Backups
from jaild.backups.snapshots import JailSnapshots
from jaild.engine.rpc import OperationMessages
from jaild.model import names as rules
from jaild.model.backups.records import Backup
from jaild.model.errors import InvalidArgumentError
from jaild.model.snapshots import kind_of
from jaild.model.views import SnapshotView
from jaild.rpc import names
from jaild.rpc.auth import Context, current
from jaild.rpc.moments import since_epoch, timestamp
from jaild.rpc.services import Service
from jaild.v1 import backups_pb2, backups_pb2_grpc, snapshots_pb2, snapshots_pb2_grpc

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
        return since_epoch(request.time, "time")
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


class BackupsServicer:
    """Answers `jaild.v1.Backups`."""

    service = Service("jaild.v1.Backups", backups_pb2_grpc.add_BackupsServicer_to_server)

    def __init__(self, backups: Backups, messages: OperationMessages) -> None:
        self._backups = backups
        self._messages = messages

    async def ListBackupTargets(  # noqa: N802  # gRPC's names
        self, _request: backups_pb2.ListBackupTargetsRequest, _: Context
    ) -> backups_pb2.ListBackupTargetsResponse:
        """Return the targets."""
        found = [backups_pb2.BackupTarget(name=name, destination=to) for name, to in self._backups.targets().items()]
        return backups_pb2.ListBackupTargetsResponse(targets=found)

    async def ListBackups(  # noqa: N802
        self, request: backups_pb2.ListBackupsRequest, _: Context
    ) -> backups_pb2.ListBackupsResponse:
        """Return those of a target."""
        found = await self._backups.list(request.target, names.jail(request.jail) if request.jail else "")
        return backups_pb2.ListBackupsResponse(backups=map(_backup_message, found))

    async def BackUpJail(self, request: backups_pb2.BackUpJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Send one."""
        jail, caller = names.jail(request.name), current(request.request_id)
        sent = self._backups.back_up(jail, request.target, validate_only=request.validate_only, caller=caller)
        return self._messages.of(await sent)

    async def RestoreBackup(self, request: backups_pb2.RestoreBackupRequest, _: Context) -> _Answer:  # noqa: N802
        """Make a jail of one."""
        jail, caller = names.jail(request.jail), current(request.request_id)
        name = rules.jail(request.jail_id) if request.jail_id else jail
        made = self._backups.restore(
            request.target, jail, name, _at_backup(request), validate_only=request.validate_only, caller=caller
        )
        return self._messages.of(await made)


def _at_backup(request: backups_pb2.RestoreBackupRequest) -> str | float:
    if request.WhichOneof("at") == "time":
        return since_epoch(request.time, "time")
    return str(request.backup) or math.inf


def _backup_message(backup: Backup) -> backups_pb2.Backup:
    return backups_pb2.Backup(
        id=backup.id,
        jail=names.jail_name(backup.jail),
        uid=backup.uid,
        host=backup.host,
        create_time=timestamp(backup.taken),
        base=names.base_name(backup.base),
        release=names.release_name(backup.release),
        size_bytes=sum(part.size for part in backup.parts),
    )
