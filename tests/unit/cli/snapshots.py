"""The stub of a daemon's service of jails' snapshots."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jaild.v1 import snapshots_pb2, snapshots_pb2_grpc


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
