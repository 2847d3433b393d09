"""The room of snapshots and backups, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.backups.restores import Restores
from jaild.backups.rpc import JailSnapshotsServicer
from jaild.backups.schedule import SnapshotSchedule
from jaild.backups.snapshots import JailSnapshots
from jaild.engine.build import Engine
from jaild.engine.recovery import JailStage
from jaild.jails.build import JailParts


@dataclass(frozen=True, kw_only=True)
class BackupParts:
    """What the daemon starts, and the use cases."""

    schedule: SnapshotSchedule
    snapshots: JailSnapshots
    restores: Restores


def build(engine: Engine, jails: JailParts) -> BackupParts:
    """Put the room together. Nothing is started."""
    schedule, snapshots = SnapshotSchedule(engine), JailSnapshots(engine)
    restores = Restores(engine, jails, snapshots)
    jails.jails.kept_by(schedule)
    engine.recovery.of_jail(JailStage.GENERATIONS, restores.recover)
    engine.services.add(JailSnapshotsServicer(snapshots, restores, engine.messages))
    return BackupParts(schedule=schedule, snapshots=snapshots, restores=restores)
