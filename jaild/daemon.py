"""The use cases put together on whatever ports they are given: the daemon's real ones, or fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jaild.engine.deleted_jails import DeletedJails
from jaild.engine.dispatcher import Dispatcher
from jaild.engine.drain import Draining
from jaild.engine.events import Audit, Events
from jaild.engine.inventory import Inventory
from jaild.engine.operations import Operations
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.engine.saga import SagaRunner
from jaild.engine.supervisor import Supervisor
from jaild.evacuation.service import Evacuations
from jaild.evacuation.survey import Surveyor
from jaild.evacuation.worker import EvacuationWorker
from jaild.host.autostart import Boot
from jaild.host.recovery import BOOT, Recovery
from jaild.host.service import Host
from jaild.jails.changes import Changes
from jaild.jails.datasets import JailDatasets
from jaild.jails.etc_databases import EtcDatabases
from jaild.jails.health import HealthChecks
from jaild.jails.lifecycle import Lifecycle
from jaild.jails.logs import Logs
from jaild.jails.planner import Planner
from jaild.jails.runs import Runs
from jaild.jails.service import Jails
from jaild.jails.templates import Templates
from jaild.jails.usage import Stats
from jaild.layers.base_builds import BaseMaking
from jaild.layers.base_sealing import BaseSealing
from jaild.layers.bases import Bases
from jaild.layers.build_log import BuildLogs
from jaild.layers.build_plan import BuildPlanner
from jaild.layers.build_steps import BuildSteps
from jaild.layers.builds import Builds
from jaild.layers.image_import import ImageImport
from jaild.layers.releases import Releases
from jaild.layers.sandbox import BuildSandbox
from jaild.layers.sealing import Sealer
from jaild.migration.activation import Activation
from jaild.migration.cutover import Cutover
from jaild.migration.precopy import Precopy
from jaild.migration.rehearsal import Rehearsal
from jaild.migration.service import Migrations
from jaild.migration.session import Home
from jaild.migration.source import SourceMigration
from jaild.migration.target import TargetMigration
from jaild.model.jails import authorization
from jaild.model.layout import Layout
from jaild.ports.archives import Archives
from jaild.ports.bootid import BootId
from jaild.ports.clock import Clock
from jaild.ports.files import Files
from jaild.ports.images import Images
from jaild.ports.peer import Peers
from jaild.ports.probe import Probe
from jaild.ports.runtime import Runtime
from jaild.ports.salvage import FileTrees
from jaild.ports.store import Store
from jaild.ports.userland import Userland
from jaild.ports.zfs import Zfs
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
class Ports:
    """What the use cases stand on."""

    zfs: Zfs
    runtime: Runtime
    files: Files
    file_trees: FileTrees
    archives: Archives
    images: Images
    userland: Userland
    store: Store
    peers: Peers
    probe: Probe
    clock: Clock
    boot_id: BootId
    unended: Callable[[], tuple[str, ...]]  # sentences about programs that do not end although they were killed


@dataclass(frozen=True, kw_only=True)
class Place:
    """What this host is called, and where its things are."""

    name: str
    dataset: str
    logs: Path
    templates: Path
    staging: Path  # unpacked archives, thrown away at each start
    patience: float = 120.0  # seconds that later boot orders wait for the jails of one
    halted: Path  # file that says: the jails were stopped for the host's shutdown


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


def assemble(ports: Ports, place: Place) -> Core:  # noqa: PLR0915 -- a list of what there is
    """Put the use cases together. Nothing is started."""
    zfs, runtime, files, store, clock = ports.zfs, ports.runtime, ports.files, ports.store, ports.clock
    inventory = Inventory(Layout(place.dataset), zfs, files)
    events, audit = Events(store, clock), Audit(store, clock)
    supervisor = Supervisor(clock, events.emit)
    operations = Operations(store, clock)
    dispatcher = Dispatcher(operations)
    journals = Journals(store, clock)
    inventory.known_epochs, inventory.needed = journals.epochs, journals.needed
    draining = Draining(store, events, clock)
    runs = Runs(inventory, runtime, supervisor, events, clock, place.logs)
    health_checks = HealthChecks(runtime, runs, ports.probe, files, clock)
    health_checks.give_way(
        lambda jail, release: dispatcher.is_in_the_way(f"jails/{jail}", lambda who: authorization.owns(who, release))
    )
    planner = Planner(inventory, runtime, runs, files)
    owned = OwnedSnapshots(zfs)
    deleted = DeletedJails(inventory, store, clock)
    datasets = JailDatasets(inventory, zfs, files, owned, deleted, supervisor)
    sealer = Sealer(zfs, files)
    sandbox = BuildSandbox(runtime)
    databases = EtcDatabases(inventory, runs, sandbox, files)
    sagas = SagaRunner(supervisor, events.emit)
    changes = Changes(inventory, planner, datasets, databases, runs, health_checks, sagas, events, clock)
    lifecycle = Lifecycle(inventory, datasets, runs, health_checks, events, clock)
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
    making = _making(ports, place, inventory, sealer, sandbox, dispatcher, operations, events)
    use_cases = UseCases(
        bases=making.bases,
        base_making=making.base_making,
        releases=Releases(
            inventory, zfs, sealer, ports.archives, files, dispatcher, operations, events, clock, place.staging
        ),
        jails=Jails(
            inventory,
            changes,
            lifecycle,
            runs,
            runtime,
            Logs(files, runs, clock),
            Templates(files, place.templates),
            standbys,
            dispatcher,
            operations,
            draining,
        ),
        migrations=migrations,
        builds=making.builds,
        operations=operations,
        events=events,
        audit=audit,
        stats=Stats(inventory, runtime, zfs, clock),
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


@dataclass(frozen=True, kw_only=True)
class _Making:
    """The use cases that make layers."""

    bases: Bases
    base_making: BaseMaking
    builds: Builds


def _making(
    ports: Ports,
    place: Place,
    inventory: Inventory,
    sealer: Sealer,
    sandbox: BuildSandbox,
    dispatcher: Dispatcher,
    operations: Operations,
    events: Events,
) -> _Making:
    runtime, files, archives, clock = ports.runtime, ports.files, ports.archives, ports.clock
    sealing = BaseSealing(inventory, sealer, files, events, clock)
    images = ImageImport(ports.images, archives, files, runtime, sealing, place.staging)
    logs = BuildLogs(files, operations, clock, place.logs / "builds")
    return _Making(
        bases=Bases(inventory, sealer, sealing, images, archives, files, dispatcher, operations, events),
        base_making=BaseMaking(
            inventory, ports.userland, archives, files, runtime, sealing, dispatcher, operations, place.staging
        ),
        builds=Builds(
            inventory, BuildPlanner(inventory, runtime, files), BuildSteps(sandbox, archives, files), logs, sealer,
            archives, files, dispatcher, operations, events, clock, place.staging,
        ),
    )  # fmt: skip
