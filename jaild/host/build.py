"""The room of the host itself, put together: the last one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from jaild.engine.build import Engine
from jaild.engine.recovery import BOOT, Resume
from jaild.evacuation.rpc import EvacuationsServicer
from jaild.evacuation.service import Evacuations
from jaild.host.autostart import Boot
from jaild.host.pool import PoolWatch
from jaild.host.rpc import HostServicer
from jaild.host.service import Host
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.replication.build import ReplicationParts
from jaild.rollouts.service import Rollouts
from jaild.sinks.service import EventSinks
from jaild.transfer.build import TransferParts

_VERSION = version("jaild")


@dataclass(frozen=True, kw_only=True)
class HostParts:
    """What the daemon starts."""

    host: Host
    boot: Boot
    pool: PoolWatch


def build(
    engine: Engine,
    jails: JailParts,
    transfer: TransferParts,
    migration: MigrationParts,
    replication: ReplicationParts,
    evacuations: Evacuations,
    rollouts: Rollouts,
    sinks: EventSinks,
) -> HostParts:
    """Put the room together. Nothing is started."""
    boot = Boot(engine, jails, transfer, migration, replication)
    pool = PoolWatch(engine)
    host = Host(engine, transfer, evacuations, rollouts, lambda: (pool.trouble(), *sinks.warnings()), _VERSION)
    engine.recovery.resumes(Resume.BOOT, lambda: engine.supervisor.retry(BOOT, boot.at_start))
    engine.services.add(HostServicer(host, engine.audit, boot, engine.messages))
    evacuated = EvacuationsServicer(evacuations, host.view, engine.messages)  # who drains the host is shown the host
    engine.services.add(evacuated)
    engine.services.show("evacuations", evacuated.shown)
    return HostParts(host=host, boot=boot, pool=pool)
