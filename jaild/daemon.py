"""The daemon's rooms, put together on whatever ports they are given: the real ones, or fakes."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.adoption import build as adoption_room
from jaild.adoption.service import Adoptions
from jaild.backups import build as backup_room
from jaild.backups.build import BackupParts
from jaild.copies import build as copy_room
from jaild.copies.rpc import UseCases as Copies
from jaild.engine import build as engine_room
from jaild.engine.build import Engine, Place, Ports
from jaild.evacuation import build as evacuation_room
from jaild.evacuation.service import Evacuations
from jaild.host import build as host_room
from jaild.host.build import HostParts
from jaild.jailfiles import build as jailfiles_room
from jaild.jailfiles.service import JailFiles
from jaild.jailkeys import build as jailkeys_room
from jaild.jailkeys.service import JailKeys
from jaild.jails import build as jails_room
from jaild.jails.build import JailParts
from jaild.layers import build as layers_room
from jaild.layers.build import LayerParts
from jaild.migration import build as migration_room
from jaild.migration.build import MigrationParts
from jaild.questions import build as question_room
from jaild.questions.build import QuestionParts
from jaild.replication import build as replication_room
from jaild.replication.build import ReplicationParts
from jaild.rollouts import build as rollout_room
from jaild.rollouts.service import Rollouts
from jaild.salvage import build as salvage_room
from jaild.salvage.build import SalvageParts
from jaild.sinks import build as sinks_room
from jaild.sinks.service import EventSinks
from jaild.transfer import build as transfer_room
from jaild.transfer.build import TransferParts


@dataclass(frozen=True, kw_only=True)
class Core:
    """The rooms, and what is started and stopped with them."""

    engine: Engine
    layers: LayerParts
    jails: JailParts
    transfer: TransferParts
    migration: MigrationParts
    replication: ReplicationParts
    jail_files: JailFiles
    jail_keys: JailKeys
    salvage: SalvageParts
    adoptions: Adoptions
    evacuations: Evacuations
    rollouts: Rollouts
    backups: BackupParts
    copies: Copies
    questions: QuestionParts
    sinks: EventSinks
    host: HostParts

    async def start(self, began: float) -> None:
        """Read and repair; callers can be answered after this. `began`: the monotonic time of the daemon's start."""
        await self.host.host.start(began)
        await self.host.boot.recall()
        self.host.boot.announce()

    def resume(self) -> None:
        """Start what should run, and go on with what a daemon before this one had begun and others have a say in."""
        self.engine.recovery.resume()

    async def stop(self, grace: float) -> None:
        """End what may be interrupted, wait up to `grace` seconds for what may not. The jails go on."""
        self.engine.dispatcher.leave()
        await self.engine.supervisor.close()
        await self.engine.dispatcher.stop(grace)


def assemble(ports: Ports, place: Place) -> Core:
    """Put the rooms together, from the bottom. Nothing is started."""
    engine = engine_room.build(ports, place)
    layers = layers_room.build(engine)
    jails = jails_room.build(engine, layers)
    transfer = transfer_room.build(engine, layers, jails)
    migration = migration_room.build(engine, jails, transfer)
    replication = replication_room.build(engine, jails, transfer, migration)
    jail_files = jailfiles_room.build(engine, jails)
    jail_keys = jailkeys_room.build(engine)
    salvage = salvage_room.build(engine, jails, transfer, migration)
    adoptions = adoption_room.build(engine, layers, jails)
    evacuations = evacuation_room.build(engine, transfer, migration)
    rollouts = rollout_room.build(engine, jails)
    backups = backup_room.build(engine, jails)
    copies = copy_room.build(engine, layers, jails, transfer)
    questions = question_room.build(engine, layers, migration)
    sinks = sinks_room.build(engine)
    host = host_room.build(engine, jails, transfer, migration, replication, evacuations, rollouts, sinks)
    return Core(
        engine=engine,
        layers=layers,
        jails=jails,
        transfer=transfer,
        migration=migration,
        replication=replication,
        jail_files=jail_files,
        jail_keys=jail_keys,
        salvage=salvage,
        adoptions=adoptions,
        evacuations=evacuations,
        rollouts=rollouts,
        backups=backups,
        copies=copies,
        questions=questions,
        sinks=sinks,
        host=host,
    )
