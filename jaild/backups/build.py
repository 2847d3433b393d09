"""The room of snapshots and backups, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.backups.restores import Restores
from jaild.backups.rpc import BackupsServicer, JailSnapshotsServicer
from jaild.backups.schedule import SnapshotSchedule
from jaild.backups.sending import BackupSending
from jaild.backups.service import Backups
from jaild.backups.snapshots import JailSnapshots
from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.recovery import JailStage
from jaild.jails.build import JailParts
from jaild.jails.volumes import REMOVE
from jaild.model.views import BackupStatus, SnapshotStatus


@dataclass(frozen=True, kw_only=True)
class BackupParts:
    """What the daemon starts, and the use cases."""

    schedule: SnapshotSchedule
    snapshots: JailSnapshots
    restores: Restores
    backups: Backups


@dataclass(frozen=True)
class _Kept:
    """Implements `jaild.jails.service.Kept`."""

    schedule: SnapshotSchedule
    sent: Backups

    def view(self, entry: JailEntry) -> SnapshotStatus | None:
        """Return how far its snapshots are."""
        return self.schedule.view(entry)

    def backups(self, entry: JailEntry) -> tuple[BackupStatus, ...]:
        """Return how far its backups are."""
        return self.sent.views(entry)


def build(engine: Engine, jails: JailParts) -> BackupParts:
    """Put the room together. Nothing is started."""
    schedule, snapshots = SnapshotSchedule(engine), JailSnapshots(engine)
    restores = Restores(engine, jails, snapshots)
    backups = Backups(engine, jails, BackupSending(engine))
    engine.dispatcher.before(frozenset({"delete", "rename", REMOVE}), backups.give_way)
    jails.jails.kept_by(_Kept(schedule, backups))
    engine.recovery.of_jail(JailStage.GENERATIONS, restores.recover)
    engine.services.add(JailSnapshotsServicer(snapshots, restores, engine.messages))
    engine.services.add(BackupsServicer(backups, engine.messages))
    return BackupParts(schedule=schedule, snapshots=snapshots, restores=restores, backups=backups)
