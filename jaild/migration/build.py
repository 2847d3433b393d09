"""The room of migrations, both sides, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.engine.recovery import JailStage, Resume, Stage
from jaild.jails.build import JailParts
from jaild.migration.activation import STOPPING, Activation
from jaild.migration.cutover import Cutover
from jaild.migration.precopy import Precopy
from jaild.migration.recovery import MigrationRecovery
from jaild.migration.rpc import ClonesServicer, MigrationsServicer, PeerServicer, TestMigrationsServicer
from jaild.migration.service import Migrations
from jaild.migration.session import Home
from jaild.migration.source import SourceMigration
from jaild.migration.target import TargetMigration
from jaild.migration.testing import MigrationTest
from jaild.transfer.build import TransferParts


@dataclass(frozen=True, kw_only=True)
class MigrationParts:
    """What the rooms above use, and the use cases."""

    cutover: Cutover
    source: SourceMigration
    target: TargetMigration
    test: MigrationTest
    activation: Activation
    migrations: Migrations


def build(engine: Engine, jails: JailParts, transfer: TransferParts) -> MigrationParts:
    """Put the room together. Nothing is started."""
    ports, journals = engine.ports, transfer.journals
    home = Home(inventory=engine.inventory, peers=ports.peers, journals=journals, clock=ports.clock)
    precopy = Precopy(engine, transfer)
    cutover = Cutover(engine, jails, transfer, precopy)
    source = SourceMigration(engine, jails, transfer, home, precopy, cutover)
    test = MigrationTest(engine, jails, transfer, source, precopy)
    activation = Activation(engine, jails)
    engine.dispatcher.before(STOPPING, activation.give_way)
    target = TargetMigration(engine, jails, transfer, test, activation)
    parts = MigrationParts(
        cutover=cutover,
        source=source,
        target=target,
        test=test,
        activation=activation,
        migrations=Migrations(engine, jails, transfer, source, test),
    )
    recovery = MigrationRecovery(engine, jails, source, target, cutover, test)
    engine.recovery.continues(source.left)
    engine.recovery.of_recordless(recovery.destroy_unreceived)
    engine.recovery.of_jail(JailStage.MIGRATION, recovery.thaw_or_fence)
    engine.recovery.at(Stage.CLONES, recovery.sweep_clones)
    engine.recovery.resumes(Resume.COMING, lambda: target.recover(engine.recovery.tell))
    servicer = MigrationsServicer(parts.migrations, engine.messages)
    engine.services.add(servicer)
    engine.services.show("migrations", servicer.shown)
    engine.services.add(TestMigrationsServicer(parts.migrations, engine.messages))
    engine.services.add(PeerServicer(target, engine.services.parties))
    engine.services.add(ClonesServicer(target, engine.services.parties))
    return parts
