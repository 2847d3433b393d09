"""The daemon's service of jails, as tests of jailctl have it."""

from __future__ import annotations

from typing import Any

from jaild.rpc import moments
from jaild.v1 import jails_pb2, jails_pb2_grpc


class Jails(jails_pb2_grpc.JailsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def ListJails(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        if self.daemon.away:
            context.abort(self.daemon.away.pop(0), "away")
        return jails_pb2.ListJailsResponse(jails=self.daemon.jails)

    def GetJail(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return self.daemon.jails[0]

    def change(self, request: Any, context: Any) -> Any:
        return self.daemon.change(request, context)

    CreateJail = DeployRelease = UpgradeBase = ConfigureJail = RollbackJail = DeleteJail = StopJail = change

    def ExecInJail(self, request_iterator: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """`echo`: stdin comes back on stdout; the last argument is the status, unless the test says another."""
        start = next(request_iterator).start
        self.daemon.requests.append(start)
        if start.command[0] == "quit":  # at once, whatever stdin does
            yield jails_pb2.ExecInJailResponse(exit_status=7)
            return
        for request in request_iterator:
            if request.end_of_stdin or request.stdin == b"\x04":
                break
            if request.WhichOneof("part") != "stdin":
                self.daemon.requests.append(request)
            yield jails_pb2.ExecInJailResponse(stdout=request.stdin or str(request).encode())
        yield jails_pb2.ExecInJailResponse(stderr=b"err\xff")
        ended = self.daemon.statuses.get(start.name, int(start.command[-1]))
        if ended is not None:
            yield jails_pb2.ExecInJailResponse(exit_status=ended)

    def TailLogs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        if request.timestamps:
            yield jails_pb2.TailLogsResponse(data=b"old\nha", by=moments.timestamp(3.0))
            yield jails_pb2.TailLogsResponse(data=b"lf\n", after=moments.timestamp(3.0), by=moments.timestamp(63.0))
            yield jails_pb2.TailLogsResponse(data=b"new\n", after=moments.timestamp(63.0), by=moments.timestamp(64.0))
            return
        yield jails_pb2.TailLogsResponse(data=b"one\n\xff")
        if request.follow:
            self.daemon.hang(context)
