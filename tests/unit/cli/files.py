"""The stub of a daemon's service of files: what is written is kept, and read again."""

from __future__ import annotations

from typing import Any

from jaild.v1 import files_pb2, files_pb2_grpc


class Files(files_pb2_grpc.FilesServicer):  # type: ignore[misc]
    """`daemon` is the stub's; `daemon.files` the records."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def ReadFiles(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with what was written, a record in each message."""
        self.daemon.requests.append(request)
        for record in self.daemon.files:
            yield files_pb2.ReadFilesResponse(records=[record])

    def WriteFiles(self, request_iterator: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Keep it."""
        start = next(request_iterator).start
        self.daemon.requests.append(start)
        self.daemon.files = [record for request in request_iterator for record in request.records.records]
        return files_pb2.WriteFilesResponse(path=f"{start.path}/x", entries=len(self.daemon.files), bytes=7)
