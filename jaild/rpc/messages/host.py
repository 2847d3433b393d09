"""The host and its audit log, as messages."""

from __future__ import annotations

from jaild.model.views import AuditEntry, BackgroundTask, Drain, HostView
from jaild.rpc.moments import timestamp
from jaild.v1 import host_pb2


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
        peers=[peer.name for peer in view.peers],
        peer_addresses=[
            host_pb2.PeerAddress(name=peer.name, address=peer.address, server_name=peer.server_name)
            for peer in view.peers
        ],
        start_time=timestamp(view.started),
        ready_seconds=view.ready_seconds,
        repairs=view.repairs,
        drain=_drain_message(view.drain),
        shut_down=view.shut_down,
        warnings=view.warnings,
        background_tasks=view.background_tasks,
        failing_tasks=[_task_message(task) for task in view.failing],
        metrics_url=view.metrics,
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
