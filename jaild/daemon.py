"""The use cases put together on whatever ports they are given: the daemon's real ones, or fakes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from jaild.engine import build as engine_room
from jaild.engine.build import Place, Ports
from jaild.engine.deleted_jails import DeletedJails
from jaild.engine.dispatcher import Dispatcher
from jaild.engine.inventory import Inventory
from jaild.engine.supervisor import Supervisor
from jaild.evacuation import build as evacuation_room
from jaild.evacuation.service import Evacuations
from jaild.host.autostart import Boot
from jaild.host.recovery import BOOT, Recovery
from jaild.host.service import Host
from jaild.jails import build as jails_room
from jaild.jails.runs import Runs
from jaild.layers import build as layers_room
from jaild.migration import build as migration_room
from jaild.replication import build as replication_room
from jaild.replication.replicas import ReplicaStore
from jaild.replication.replicas_facade import Replicas
from jaild.replication.scheduler import Standbys
from jaild.rpc.use_cases import UseCases
from jaild.salvage import build as salvage_room
from jaild.transfer import build as transfer_room
from jaild.transfer.journal import Journals


@dataclass(frozen=True, kw_only=True)
class Core:
    """The use cases, and what is started and stopped with them."""

    use_cases: UseCases
    inventory: Inventory
    host: Host
    recovery: Recovery
    boot: Boot
    dispatcher: Dispatcher
    evacuations: Evacuations
    runs: Runs
    journals: Journals
    deleted: DeletedJails
    standbys: Standbys
    replica_store: ReplicaStore
    supervisor: Supervisor

    def resume(self) -> None:
        """Start what should run, and go on with what a daemon before this one had begun and others have a say in."""
        self.supervisor.retry(BOOT, self.boot.at_start)
        self.recovery.resume()
        self.evacuations.resume()

    async def stop(self, grace: float) -> None:
        """End what may be interrupted, wait up to `grace` seconds for what may not. The jails go on."""
        self.dispatcher.leave()
        await self.supervisor.close()
        await self.dispatcher.stop(grace)


def assemble(ports: Ports, place: Place) -> Core:
    """Put the use cases together. Nothing is started."""
    engine = engine_room.build(ports, place)
    layers = layers_room.build(engine)
    jails = jails_room.build(engine, layers)
    transfer = transfer_room.build(engine, layers, jails)
    migration = migration_room.build(engine, jails, transfer)
    salvage = salvage_room.build(engine, jails, transfer, migration)
    replication = replication_room.build(engine, jails, transfer, migration)
    evacuations = evacuation_room.build(engine, transfer, migration)
    recovery = Recovery(
        engine.inventory, ports.zfs, ports.files, ports.runtime, jails.datasets, jails.runs, migration.cutover,
        migration.source, migration.target, migration.rehearsal, replication.failover, replication.replica_store,
        replication.start_guard, replication.fencing, engine.operations, engine.supervisor, engine.events,
    )  # fmt: skip
    boot = Boot(engine, jails, transfer, migration, replication)
    host = Host(engine, transfer, evacuations, recovery, version("jaild"))
    use_cases = UseCases(
        bases=layers.bases,
        base_making=layers.base_making,
        releases=layers.releases,
        jails=jails.jails,
        migrations=migration.migrations,
        builds=layers.builds,
        operations=engine.operations,
        events=engine.events,
        audit=engine.audit,
        stats=jails.stats,
        host=host,
        boot=boot,
        evacuations=evacuations,
        incoming=migration.target,
        parties=replication.parties,
        replicas=Replicas(replication.replica_store, replication.fencing, replication.promotions),
        promotions=replication.promotions,
        salvages=salvage.out,
        files=salvage.files,
    )
    return Core(
        use_cases=use_cases,
        inventory=engine.inventory,
        host=host,
        recovery=recovery,
        boot=boot,
        dispatcher=engine.dispatcher,
        evacuations=evacuations,
        runs=jails.runs,
        journals=transfer.journals,
        deleted=engine.deleted,
        standbys=replication.standbys,
        replica_store=replication.replica_store,
        supervisor=engine.supervisor,
    )
