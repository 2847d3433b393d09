"""Jails, their specs and generations as messages."""

from __future__ import annotations

from jaild.model import access, quantity
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import redaction
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation, Staged
from jaild.model.views import Caller, JailState, JailStats, JailView, VolumeView
from jaild.rpc import names, structs
from jaild.rpc.messages.plans import accepted_message
from jaild.rpc.moments import timestamp
from jaild.v1 import jails_pb2, stats_pb2, volumes_pb2

_STATES = {state: f"STATE_{state.name}" for state in JailState}
AXES = {
    jails_pb2.RollbackJailRequest.AXIS_UNSPECIFIED: "",
    jails_pb2.RollbackJailRequest.AXIS_BASE: "base",
    jails_pb2.RollbackJailRequest.AXIS_APP: "app",
    jails_pb2.RollbackJailRequest.AXIS_SPEC: "spec",
}


def jail_message(view: JailView, caller: Caller) -> jails_pb2.Jail:
    """Return a jail as a message, with the values of its environment if the caller may see them."""
    message = jails_pb2.Jail(
        name=names.jail_name(view.name),
        state=_STATES[view.state],
        owner=view.owner_name,
        etag=view.etag,
        start_time=timestamp(view.started),
        exit_status=view.exit_status,
        used_bytes=view.used,
        operation=view.operation,
        message=view.message,
        peer=view.peer_name,
        behind=names.base_name(view.behind),
        standbys=[
            jails_pb2.StandbyStatus(
                host=standby.host,
                recovery_point_time=timestamp(standby.taken),
                interval=standby.interval,
                behind=standby.behind,
                message=standby.message,
            )
            for standby in view.standbys
        ],
    )
    if view.health is not None:
        message.health.CopyFrom(
            jails_pb2.HealthStatus(
                state=f"STATE_{view.health.state.name}",
                since=timestamp(view.health.since),
                failures=view.health.failures,
                flaps=view.health.flaps,
                output=view.health.output,
            )
        )
    if view.restarts is not None:
        due = 0.0 if view.started else view.restarts.due
        ends, last = len(view.restarts.ends), timestamp(view.restarts.ends[-1])
        message.restarts.CopyFrom(
            jails_pb2.RestartStatus(ends=ends, last_end_time=last, next_start_time=timestamp(due))
        )
    _add_kept(message, view)
    if view.record is not None:
        message.uid = view.record.uid
        message.generation = view.record.generation
        message.epoch = view.record.epoch
        if (confirm := view.record.confirm) is not None:
            message.revert_generation = confirm.back_to
            if (until := timestamp(confirm.until)) is not None:
                message.revert_time.CopyFrom(until)
        if (created := timestamp(view.record.created)) is not None:
            message.create_time.CopyFrom(created)
        if view.staged is not None:
            message.staged.CopyFrom(_staged_message(view.staged, view.record.staged))
    if view.generation is not None:
        message.spec.CopyFrom(spec_message(_shown(view.generation, caller)))
        message.base = names.base_name(view.generation.base)
        message.release = names.release_name(view.generation.release)
    return message


def _add_kept(message: jails_pb2.Jail, view: JailView) -> None:
    """Say what is kept of a jail's data, beside the data."""
    for sent in view.backups:
        message.backups.add(
            target=sent.target,
            newest_time=timestamp(sent.taken),
            interval=sent.interval,
            failing_since=timestamp(sent.failing_since),
            message=sent.message,
        )
    if (kept := view.snapshots) is not None:
        message.snapshots.CopyFrom(
            jails_pb2.SnapshotStatus(
                newest_time=timestamp(kept.taken),
                interval=kept.interval,
                count=kept.count,
                failing_since=timestamp(kept.failing_since),
                message=kept.message,
            )
        )


def _staged_message(generation: Generation, staged: Staged | None) -> jails_pb2.StagedGeneration:
    return jails_pb2.StagedGeneration(
        generation=generation.number,
        base=names.base_name(generation.base),
        release=names.release_name(generation.release),
        reason=generation.reason,
        actor=generation.actor,
        create_time=timestamp(generation.created),
        failure=staged.failed if staged is not None else "",
    )


def generation_message(jail: str, generation: Generation, caller: Caller, *, active: bool) -> jails_pb2.Generation:
    """Return one of a jail's generations as a message, with the values that the caller may see."""
    return jails_pb2.Generation(
        name=names.generation_name(jail, generation.number),
        number=generation.number,
        base=names.base_name(generation.base),
        release=names.release_name(generation.release),
        spec=spec_message(_shown(generation, caller)),
        create_time=timestamp(generation.created),
        reason=generation.reason,
        parent=generation.parent,
        actor=generation.actor,
        active=active,
        accepted=[accepted_message(accepted) for accepted in generation.accepted],
    )


def _shown(generation: Generation, caller: Caller) -> JailSpec:
    return generation.spec if sees_values_of(caller, generation) else redaction.redacted(generation.spec)


def sees_values_of(caller: Caller, generation: Generation) -> bool:
    """Return whether the caller may see the values of a generation's environment."""
    return access.sees_values(caller, generation.release.partition("/")[0])


def spec_message(spec: JailSpec) -> jails_pb2.JailSpec:
    """Return a spec as a message. What the spec leaves at its default is absent."""
    message = structs.message_of(spec, jails_pb2.JailSpec)
    if message.network.mode:
        message.network.mode = str(spec.network.mode)
    return message


def spec_of(message: jails_pb2.JailSpec) -> JailSpec:
    """Return a message as a spec. Raises `InvalidArgumentError` (INVALID_SPEC)."""
    return structs.struct_of(message, JailSpec, reason="INVALID_SPEC", source="spec")


def require_sendable(spec: JailSpec, source: str) -> JailSpec:
    """Return a spec that came as text if the API could show it again.

    Raises `InvalidArgumentError` (INVALID_SPEC) for a number beyond 32 bits.
    """
    try:
        spec_message(spec)
    except ValueError as error:
        raise InvalidArgumentError(
            "INVALID_SPEC", f"{source}: {error}", hint="use smaller numbers", resource=source
        ) from error
    return spec


def stats_message(stats: JailStats) -> stats_pb2.JailStats:
    """Return a measurement as a message."""
    limits = stats.limits
    return stats_pb2.JailStats(
        name=names.jail_name(stats.name),
        running=stats.running,
        cpu_seconds=stats.cpu_seconds,
        cpu_cores=stats.cpus,
        memory_bytes=stats.memory,
        processes=stats.processes,
        read_bytes_per_second=stats.read_rate,
        write_bytes_per_second=stats.write_rate,
        received_bytes=stats.received,
        sent_bytes=stats.sent,
        start_time=timestamp(stats.started),
        sample_time=timestamp(stats.sampled),
        max_age_seconds=stats.max_age,
        cpu_limit=limits.cpus,
        memory_limit_bytes=quantity.parse(limits.memory) if limits.memory else None,
        processes_limit=limits.processes,
        disk_bytes=stats.disk,
        data_bytes=stats.data,
        data_quota_bytes=stats.data_quota or None,
        message=stats.message,
    )


def volume_message(volume: VolumeView) -> volumes_pb2.JailVolume:
    """Return a volume as a message."""
    return volumes_pb2.JailVolume(
        name=names.volume_name(volume.jail, volume.name),
        path=volume.path,
        used_bytes=volume.used,
        referenced_bytes=volume.referenced,
        quota_bytes=volume.quota or None,
        generations=volume.generations,
        removing=volume.removing,
    )
