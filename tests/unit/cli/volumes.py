"""The stub of a daemon's service of volumes."""

from __future__ import annotations

from typing import Any

from jaild.v1 import volumes_pb2, volumes_pb2_grpc


class Volumes(volumes_pb2_grpc.VolumesServicer):  # type: ignore[misc]
    """`daemon` is the stub's."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def ListVolumes(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with one that is mounted, one that is kept."""
        self.daemon.requests.append(request)
        mounted = volumes_pb2.JailVolume(
            name="jails/web/volumes/db", path="/var/db/x", used_bytes=2048, generations=[3]
        )
        kept = volumes_pb2.JailVolume(name="jails/web/volumes/old", used_bytes=1 << 30, referenced_bytes=1 << 20)
        return volumes_pb2.ListVolumesResponse(volumes=[mounted, kept])

    def DeleteVolume(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with what the test prepared."""
        return self.daemon.change(request, context)
