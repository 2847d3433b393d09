"""The daemon's services that answer questions, for jailctl's tests: they say what a test told them to."""

from __future__ import annotations

from typing import Any

import grpc

from jaild.v1 import contents_pb2, contents_pb2_grpc, histories_pb2, histories_pb2_grpc


class Histories(histories_pb2_grpc.HistoriesServicer):  # type: ignore[misc]
    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def ListJailHistory(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        if not self.daemon.history:
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such jail, and nothing is known of one")
        return histories_pb2.ListJailHistoryResponse(entries=self.daemon.history)


class Contents(contents_pb2_grpc.ContentsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def CompareGenerations(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        return self.daemon.comparison

    def FindContents(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        yield from self.daemon.found

    def GetSbom(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        return contents_pb2.Sbom(document='{"bomFormat": "CycloneDX"}')
