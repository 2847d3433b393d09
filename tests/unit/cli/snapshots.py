"""The stubs of a daemon's services of jails' snapshots and backups."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jaild.v1 import backups_pb2, backups_pb2_grpc, snapshots_pb2, snapshots_pb2_grpc


class JailSnapshots(snapshots_pb2_grpc.JailSnapshotsServicer):  # type: ignore[misc]
    """`daemon` is the stub's."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def ListJailSnapshots(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with one of another tool, and one that somebody took."""
        self.daemon.requests.append(request)
        other = snapshots_pb2.JailSnapshot(name="jails/web/snapshots/autosnap_1", create_time=Timestamp(seconds=1000))
        mine = snapshots_pb2.JailSnapshot(
            name="jails/web/snapshots/mine", used_bytes=2048, purpose="manual", actor="alice", parts=[".", "data"]
        )
        return snapshots_pb2.ListJailSnapshotsResponse(snapshots=[other, mine])

    def TakeJailSnapshot(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with what the test prepared."""
        return self.daemon.change(request, context)

    def DeleteJailSnapshot(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with what the test prepared."""
        return self.daemon.change(request, context)

    def RestoreJail(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with what the test prepared."""
        return self.daemon.change(request, context)


class Backups(backups_pb2_grpc.BackupsServicer):  # type: ignore[misc]
    """Of backups."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def ListBackupTargets(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with one."""
        target = backups_pb2.BackupTarget(name="vault", destination="jaild@192.0.2.9:tank/vault")
        return backups_pb2.ListBackupTargetsResponse(targets=[target])

    def ListBackups(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with one."""
        self.daemon.requests.append(request)
        found = backups_pb2.Backup(id="backup-1", jail="jails/web", host="alpha", create_time=Timestamp(seconds=1000))
        return backups_pb2.ListBackupsResponse(backups=[found])

    def BackUpJail(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with what the test prepared."""
        return self.daemon.change(request, context)

    def RestoreBackup(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with what the test prepared."""
        return self.daemon.change(request, context)


def serve(daemon: Any, server: Any) -> None:
    """Have both answered."""
    snapshots_pb2_grpc.add_JailSnapshotsServicer_to_server(JailSnapshots(daemon), server)
    backups_pb2_grpc.add_BackupsServicer_to_server(Backups(daemon), server)
