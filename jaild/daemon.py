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
from jaild.migration.activation import Activation
from jaild.migration.cutover import Cutover
from jaild.migration.precopy import Precopy
from jaild.migration.rehearsal import Rehearsal
from jaild.migration.service import Migrations
from jaild.migration.session import Home
from jaild.migration.source import SourceMigration
from jaild.migration.target import TargetMigration
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
from jaild.salvage.source import SalvageOut
from jaild.salvage.target import SalvageIn
from jaild.transfer.acceptance import OfferCheck
from jaild.transfer.capacity import Capacity
from jaild.transfer.copy_check import CopyCheck
from jaild.transfer.host_names import HostNames
from jaild.transfer.journal import Journals
from jaild.transfer.preflight import Preflight
from jaild.transfer.rate_limits import RateLimits
from jaild.transfer.received import ReceivedCopies
from jaild.transfer.receiver import Receiver
from jaild.transfer.sender import Transfer
from jaild.transfer.snapshots import MigrationSnapshots
from jaild.transfer.sole_owner import SoleOwner


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
    operations, dispatcher, sagas = engine.operations, engine.dispatcher, engine.sagas
    draining, owned, deleted, sealer = engine.draining, engine.owned, engine.deleted, layers.sealer
    runs, health_checks, datasets, lifecycle = jails.runs, jails.health_checks, jails.datasets, jails.lifecycle
    journals = Journals(store, clock)
    inventory.known_epochs, inventory.needed = journals.epochs, journals.needed
    snapshots = MigrationSnapshots(inventory, zfs, owned)
    rate_limits = RateLimits()
    host_names = HostNames(inventory, ports.peers, journals, events)
    sole = SoleOwner(inventory, ports.peers, journals)
    preflight = Preflight(inventory, zfs, ports.peers, host_names, sole)
    home = Home(inventory=inventory, peers=ports.peers, journals=journals, clock=clock)
    precopy = Precopy(inventory, zfs, files, journals, snapshots, Transfer(inventory, zfs, rate_limits), clock)
    cutover = Cutover(home, zfs, files, datasets, runs, snapshots, precopy, sole, dispatcher, supervisor, events)
    source = SourceMigration(
        home, preflight, precopy, cutover, datasets, snapshots, sagas, operations, dispatcher, supervisor, events
    )
    offer_check = OfferCheck(inventory, zfs, runtime, ports.peers, journals, draining, CopyCheck(inventory, zfs))
    copies = ReceivedCopies(inventory, zfs, files)
    receiver = Receiver(inventory, zfs, datasets, sealer, owned, events, clock)
    activation = Activation(inventory, zfs, datasets, runs, health_checks, snapshots, events, clock)
    rehearsal = Rehearsal(home, source, precopy, sagas, zfs, runtime, files, copies, runs, supervisor)
    incoming = TargetMigration(
        home,
        offer_check,
        Capacity(inventory, zfs, runtime, draining),
        datasets,
        receiver,
        copies,
        rehearsal,
        activation,
        dispatcher,
        supervisor,
        events,
    )
    fencing = Fencing(
        inventory, ports.peers, sole, datasets, cutover, deleted, dispatcher, operations, supervisor, events
    )
    deleted.when_untold(fencing.tell_of_deleted)
    start_guard = StartGuard(inventory, sole, fencing, supervisor, events, clock)
    sole.when_in_doubt(start_guard.look_into)
    replica_store = ReplicaStore(
        inventory, zfs, offer_check, receiver, datasets, owned, journals, deleted, events, clock
    )
    rounds = ReplicationRound(inventory, zfs, owned, ports.peers, Transfer(inventory, zfs, rate_limits), fencing, clock)
    standbys = Standbys(
        inventory, ports.peers, datasets, rounds, replica_store, dispatcher, operations, supervisor, events, clock
    )
    dispatcher.before_each(standbys.give_way)
    dispatcher.before_each(activation.give_way)
    failover = Failover(
        inventory,
        zfs,
        ports.peers,
        datasets,
        owned,
        journals,
        replica_store,
        offer_check,
        copies,
        sole,
        fencing,
        activation,
        supervisor,
        events,
        clock,
    )
    migrations = Migrations(inventory, preflight, source, rehearsal, journals, datasets, dispatcher, operations)
    promotions = Promotions(inventory, failover, start_guard, migrations, lifecycle, dispatcher, operations, clock)
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
    evacuation_worker = EvacuationWorker(inventory, migrations, journals, operations, rate_limits, clock)
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
        salvages=SalvageOut(home, ports.file_trees, preflight, source, cutover, sagas, dispatcher, operations, events),
        files=SalvageIn(inventory, zfs, files, ports.file_trees, journals, datasets, receiver, snapshots),
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
