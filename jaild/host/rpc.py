"""The Host service."""

from __future__ import annotations

from google.longrunning import operations_pb2

from jaild.model.views import AuditEntry, BackgroundTask, Drain, HostView
from jaild.rpc import moments, pages
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.moments import timestamp
from jaild.rpc.use_cases import Audit, Boot, Host
from jaild.v1 import host_pb2

_AUDIT = "audit"
_DEADLINE = 60.0  # seconds, if the request does not say: less than FreeBSD's rcshutdown_timeout, which is 90


class HostServicer:
    """Answers `jaild.v1.Host`."""

    def __init__(self, host: Host, audit: Audit, boot: Boot, messages: OperationMessages) -> None:
        self._host = host
        self._audit = audit
        self._boot = boot
        self._messages = messages

    async def GetHost(self, _request: host_pb2.GetHostRequest, _: Context) -> host_pb2.HostInfo:  # noqa: N802  # gRPC's
        """Return what the host is."""
        return host_message(await self._host.view())

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


def host_message(view: HostView) -> host_pb2.HostInfo:
    """Return the host as a message."""
    return host_pb2.HostInfo(
        id=view.id,
        name=view.name,
        version=view.version,
        peer_protocol=view.peer_protocol,
        zfs=view.zfs,
        zfs_capabilities=view.zfs_capabilities,
        runtime=view.runtime,
        kernel=view.kernel,
        osreldate=view.osreldate,
        machine=view.machine,
        dataset=view.dataset,
        used_bytes=view.used,
        available_bytes=view.available,
        jails=view.jails,
        running=view.running,
        peers=view.peers,
        start_time=timestamp(view.started),
        ready_seconds=view.ready_seconds,
        repairs=view.repairs,
        drain=_drain_message(view.drain),
        halted=view.halted,
        warnings=view.warnings,
        background_tasks=view.background_tasks,
        failing_tasks=[_task_message(task) for task in view.failing],
    )


def _task_message(task: BackgroundTask) -> host_pb2.FailingTask:
    return host_pb2.FailingTask(
        name=task.name,
        target=task.target,
        attempts=task.attempts,
        failures=task.failures,
        error=task.error,
        since=timestamp(task.failing_since),
        at_work=task.at_work,
    )


def _drain_message(drain: Drain | None) -> host_pb2.HostDrain | None:
    if drain is None:
        return None
    return host_pb2.HostDrain(since=timestamp(drain.since), actor=drain.actor, reason=drain.reason)


def audit_message(entry: AuditEntry) -> host_pb2.AuditEntry:
    """Return an entry of the audit log as a message."""
    return host_pb2.AuditEntry(
        sequence=entry.sequence,
        time=timestamp(entry.time),
        actor=entry.actor,
        method=entry.method,
        target=entry.target,
        request_id=entry.request_id,
        outcome=entry.outcome,
        operation=entry.operation,
    )
