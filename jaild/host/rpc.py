"""The Host service."""

from __future__ import annotations

from google.longrunning import operations_pb2

from jaild.engine.events import Audit
from jaild.engine.rpc import OperationMessages
from jaild.host.autostart import Boot
from jaild.host.service import Host
from jaild.rpc import moments, pages
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.host import audit_message, host_message
from jaild.rpc.services import Service
from jaild.v1 import host_pb2, host_pb2_grpc

_AUDIT = "audit"
_DEADLINE = 60.0  # seconds, if the request does not say: less than FreeBSD's rcshutdown_timeout, which is 90


class HostServicer:
    """Answers `jaild.v1.Host`."""

    service = Service("jaild.v1.Host", host_pb2_grpc.add_HostServicer_to_server)

    def __init__(self, host: Host, audit: Audit, boot: Boot, messages: OperationMessages) -> None:
        self._host = host
        self._audit = audit
        self._boot = boot
        self._messages = messages

    async def GetHost(self, _request: host_pb2.GetHostRequest, _: Context) -> host_pb2.HostInfo:  # noqa: N802  # gRPC's
        """Return what the host is."""
        return host_message(await self._host.view())

    async def ReloadConfiguration(  # noqa: N802
        self, request: host_pb2.ReloadConfigurationRequest, _: Context
    ) -> host_pb2.ReloadConfigurationResponse:
        """Read the configuration again."""
        done = await self._host.reload(validate_only=request.validate_only)
        return host_pb2.ReloadConfigurationResponse(applied=done.applied, needs_restart=done.needs_restart)

    async def ListAuditEntries(  # noqa: N802
        self, request: host_pb2.ListAuditEntriesRequest, _: Context
    ) -> host_pb2.ListAuditEntriesResponse:
        """Return a page of the audit log, newest first."""
        limit = pages.size(request)
        entries = await self._audit.entries(limit + 1, pages.number(request, _AUDIT))
        page = pages.cut(entries, limit, lambda entry: (entry.sequence,), _AUDIT)
        return host_pb2.ListAuditEntriesResponse(
            entries=[audit_message(entry) for entry in page.items], next_page_token=page.next_token
        )

    async def StartJails(self, request: host_pb2.StartJailsRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Start all jails that should run."""
        caller = current(request.request_id)
        return self._messages.of(await self._boot.start(validate_only=request.validate_only, caller=caller))

    async def StopJails(self, request: host_pb2.StopJailsRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Stop all jails for the host's shutdown."""
        deadline = _DEADLINE
        if request.HasField("deadline"):
            deadline = moments.seconds(request.deadline, "deadline")
        operation = await self._boot.stop(
            deadline=deadline, validate_only=request.validate_only, caller=current(request.request_id)
        )
        return self._messages.of(operation)
