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
from jaild.evacuation.service import Evacuations
from jaild.evacuation.survey import Surveyor
from jaild.evacuation.worker import EvacuationWorker
from jaild.host.autostart import Boot
from jaild.host.recovery import BOOT, Recovery
from jaild.host.service import Host
from jaild.jails import build as jails_room
from jaild.jails.runs import Runs
from jaild.layers import build as layers_room
from jaild.migration import build as migration_room
from jaild.replication.failover import Failover
from jaild.replication.fencing import Fencing
from jaild.replication.parties import Parties
from jaild.replication.replicas import ReplicaStore
from jaild.replication.replicas_facade import Replicas
from jaild.replication.round import ReplicationRound
from jaild.replication.scheduler import Standbys
from jaild.replication.service import Promotions
from jaild.replication.start_guard import StartGuard
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
    zfs, runtime, files, store, clock = ports.zfs, ports.runtime, ports.files, ports.store, ports.clock
    engine = engine_room.build(ports, place)
    layers = layers_room.build(engine)
    jails = jails_room.build(engine, layers)
    inventory, events, supervisor = engine.inventory, engine.events, engine.supervisor
    operations, dispatcher = engine.operations, engine.dispatcher
    draining, owned, deleted = engine.draining, engine.owned, engine.deleted
    runs, datasets, lifecycle = jails.runs, jails.datasets, jails.lifecycle
    transfer = transfer_room.build(engine, layers, jails)
    migration = migration_room.build(engine, jails, transfer)
    salvage = salvage_room.build(engine, jails, transfer, migration)
    journals, sole, host_names = transfer.journals, transfer.sole, transfer.host_names
    offer_check, receiver = transfer.offer_check, transfer.receiver
    cutover, source, incoming, rehearsal = migration.cutover, migration.source, migration.target, migration.rehearsal
    migrations = migration.migrations
    fencing = Fencing(
        inventory, ports.peers, sole, datasets, cutover, deleted, dispatcher, operations, supervisor, events
    )
    deleted.when_untold(fencing.tell_of_deleted)
    start_guard = StartGuard(inventory, sole, fencing, supervisor, events, clock)
    sole.when_in_doubt(start_guard.look_into)
    replica_store = ReplicaStore(
        inventory, zfs, offer_check, receiver, datasets, owned, journals, deleted, events, clock
    )
    rounds = ReplicationRound(inventory, zfs, owned, ports.peers, transfer.sender, fencing, clock)
    standbys = Standbys(
        inventory, ports.peers, datasets, rounds, replica_store, dispatcher, operations, supervisor, events, clock
    )
    dispatcher.before_each(standbys.give_way)
    failover = Failover(engine, jails, transfer, migration, replica_store, fencing)
    promotions = Promotions(engine, jails, migration, failover, start_guard)
    recovery = Recovery(
        inventory, zfs, files, runtime, datasets, runs, cutover, source, incoming,
        rehearsal, failover, replica_store, start_guard, fencing, operations, supervisor, events,
    )  # fmt: skip
    boot = Boot(
        inventory,
        journals,
        incoming,
        lifecycle,
        start_guard,
        ports.boot_id,
        files,
        dispatcher,
        operations,
        events,
        clock,
        place.halted,
        place.patience,
    )
    evacuation_worker = EvacuationWorker(inventory, migrations, journals, operations, transfer.rate_limits, clock)
    surveyor = Surveyor(inventory, zfs, runtime, ports.peers, sole)
    evacuations = Evacuations(
        ports.peers, store, draining, surveyor, evacuation_worker, operations, supervisor, events, clock
    )
    host = Host(
        inventory, zfs, runtime, ports.peers, store, operations, journals, deleted, draining, evacuations, recovery,
        supervisor, events, clock, ports.unended, place.name, version("jaild"),
    )  # fmt: skip
    jails.jails.replicated_by(standbys)
    use_cases = UseCases(
        bases=layers.bases,
        base_making=layers.base_making,
        releases=layers.releases,
        jails=jails.jails,
        migrations=migrations,
        builds=layers.builds,
        operations=operations,
        events=events,
        audit=engine.audit,
        stats=jails.stats,
        host=host,
        boot=boot,
        evacuations=evacuations,
        incoming=incoming,
        parties=Parties(inventory, ports.peers, journals, replica_store, host_names, events),
        replicas=Replicas(replica_store, fencing, promotions),
        promotions=promotions,
        salvages=salvage.out,
        files=salvage.files,
    )
    return Core(
        use_cases=use_cases,
        inventory=inventory,
        host=host,
        recovery=recovery,
        boot=boot,
        dispatcher=dispatcher,
        evacuations=evacuations,
        runs=runs,
        journals=journals,
        deleted=deleted,
        standbys=standbys,
        replica_store=replica_store,
        supervisor=supervisor,
    )
