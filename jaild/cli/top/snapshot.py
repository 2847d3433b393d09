"""What `jailctl top` shows, as of one moment: asked of the daemon, and reckoned from the moment before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.longrunning import operations_pb2

from jaild.cli.client.connection import READ_SECONDS, Api, pages
from jaild.cli.client.waiting import metadata
from jaild.cli.output import render
from jaild.cli.output.load import Loads, loads
from jaild.v1 import host_pb2, jails_pb2, migrations_pb2, rollouts_pb2, stats_pb2

_OPERATIONS = 200  # the newest, of which those under way are shown
_ROLLOUTS = 20
_MIGRATIONS = 50
_GOING = frozenset(
    {
        rollouts_pb2.Rollout.STATE_RUNNING,
        rollouts_pb2.Rollout.STATE_PAUSED,
        rollouts_pb2.Rollout.STATE_CANCELLING,
        rollouts_pb2.Rollout.STATE_UNDOING,
    }
)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look at a host. `taken`: seconds since the epoch."""

    taken: float
    host: Any
    jails: tuple[Any, ...] = ()
    stats: Mapping[str, Any] = field(default_factory=dict)  # by the jail's resource name
    loads: Loads = field(default_factory=dict)  # CPUs that each keeps busy; none in the first look
    changes: tuple[Any, ...] = ()  # operations under way, the oldest first
    targets: Mapping[str, str] = field(default_factory=dict)  # hosts that jails go to, by the migration's id
    rollouts: tuple[Any, ...] = ()  # likewise


def take(api: Api, before: Snapshot | None) -> Snapshot:
    """Ask the daemon. Raises `grpc.RpcError`."""
    measured = list(api.stats.ListJailStats(stats_pb2.ListJailStatsRequest(), timeout=READ_SECONDS).jails)
    asked = operations_pb2.ListOperationsRequest(name="operations")
    operations = pages(api.operations.ListOperations, asked, "operations", _OPERATIONS)
    rollouts = pages(api.rollouts.ListRollouts, rollouts_pb2.ListRolloutsRequest(), "rollouts", _ROLLOUTS)
    changes = tuple(operation for operation in reversed(operations) if not operation.done)
    return Snapshot(
        taken=render.now(),
        host=api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS),
        jails=tuple(pages(api.jails.ListJails, jails_pb2.ListJailsRequest(), "jails")),
        stats={jail.name: jail for jail in measured},
        loads=loads(list(before.stats.values()) if before is not None else [], measured),
        changes=changes,
        targets=_targets(api) if any("migration" in about(change).facts for change in changes) else {},
        rollouts=tuple(rollout for rollout in reversed(rollouts) if rollout.state in _GOING),
    )


def _targets(api: Api) -> dict[str, str]:
    moves = pages(api.migrations.ListMigrations, migrations_pb2.ListMigrationsRequest(), "migrations", _MIGRATIONS)
    return {move.name.removeprefix("migrations/"): move.target for move in moves}


def needs_another(first: Snapshot) -> bool:
    """Say whether the load is known only after a second look."""
    return any(jail.HasField("cpu_seconds") and not jail.HasField("cpu_cores") for jail in first.stats.values())


def about(operation: Any) -> Any:
    """Return what is told of an operation."""
    return metadata(operation)
