"""The use cases put together on whatever ports they are given: the daemon's real ones, or fakes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jaild.api.use_cases import UseCases
from jaild.domain.layout import Layout
from jaild.engine.supervisor import Supervisor
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
from jaild.service.acceptance import Acceptor
from jaild.service.activation import Activator
from jaild.service.base_making import BaseMaking
from jaild.service.base_sealing import BaseSealing
from jaild.service.bases import Bases
from jaild.service.boot import Boot
from jaild.service.build_log import BuildLogs
from jaild.service.build_plan import BuildPlanner
from jaild.service.build_steps import BuildSteps
from jaild.service.builds import Builds
from jaild.service.capacity import Capacity
from jaild.service.changes import Changes
from jaild.service.clearance import Clearance
from jaild.service.copy_check import CopyCheck
from jaild.service.creation import Creation
from jaild.service.discarding import Discarder
from jaild.service.draining import Draining
from jaild.service.driver import Drivers
from jaild.service.etcdatabases import EtcDatabases
from jaild.service.evacuations import Evacuations
from jaild.service.events import Audit, Events
from jaild.service.fencing import Fencing
from jaild.service.gate import Gate
from jaild.service.handover import HandOver
from jaild.service.host import Host
from jaild.service.host_names import HostNames
from jaild.service.image_import import ImageImport
from jaild.service.index import Index
from jaild.service.jail_datasets import JailDatasets
from jaild.service.jails import Jails
from jaild.service.journals import Journals
from jaild.service.link import Link
from jaild.service.logs import Logs
from jaild.service.migrate_in import MigrateIn
from jaild.service.migrate_out import MigrateOut
from jaild.service.migration_snapshots import MigrationSnapshots
from jaild.service.migrations import Migrations
from jaild.service.moving import Mover
from jaild.service.notices import Notices
from jaild.service.operations import Operations
from jaild.service.owned_snapshots import OwnedSnapshots
from jaild.service.pacing import Paces
from jaild.service.parties import Parties
from jaild.service.planning import Planner
from jaild.service.precopy import Precopy
from jaild.service.preflight import Preflight
from jaild.service.promote import Takeovers
from jaild.service.received import ReceivedCopies
from jaild.service.receiving import Receiver
from jaild.service.recover import BOOT, Recovery
from jaild.service.rehearse_in import RehearseIn
from jaild.service.rehearse_out import RehearseOut
from jaild.service.releases import Releases
from jaild.service.replicas import Replicas
from jaild.service.retreat import Retreat
from jaild.service.runs import Runs
from jaild.service.salvage_in import SalvageIn
from jaild.service.salvage_out import SalvageOut
from jaild.service.sealing import Sealer
from jaild.service.sole_owner import SoleOwner
from jaild.service.standby import Standbys
from jaild.service.standby_keeper import StandbyKeeper
from jaild.service.standby_rounds import Rounds
from jaild.service.stats import Stats
from jaild.service.survey import Surveyor
from jaild.service.takeover import Taker
from jaild.service.templates import Templates
from jaild.service.tidying import Tidying
from jaild.service.transfer import Transfer
from jaild.service.workshop import Workshop


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
    index: Index
    host: Host
    recovery: Recovery
    boot: Boot
    drivers: Drivers
    evacuations: Evacuations
    runs: Runs
    journals: Journals
    standbys: Standbys
    keeper: StandbyKeeper
    tidying: Tidying
    supervisor: Supervisor

    def resume(self) -> None:
        """Start what should run, and go on with what a daemon before this one had begun and others have a say in."""
        self.supervisor.retry(BOOT, self.boot.at_start)
        self.recovery.resume()
        self.evacuations.resume()

    async def stop(self, grace: float) -> None:
        """End what may be interrupted, wait up to `grace` seconds for what may not. The jails go on."""
        await self.supervisor.close()
        await self.drivers.stop(grace)


def assemble(ports: Ports, place: Place) -> Core:  # noqa: PLR0915 -- a list of what there is
    """Put the use cases together. Nothing is started."""
    zfs, runtime, files, store, clock = ports.zfs, ports.runtime, ports.files, ports.store, ports.clock
    index = Index(Layout(place.dataset), zfs, files)
    events, audit = Events(store, clock), Audit(store, clock)
    supervisor = Supervisor(clock, events.emit)
    operations = Operations(store, clock)
    drivers = Drivers(operations)
    journals = Journals(store, clock)
    index.known_epochs, index.needed = journals.epochs, journals.needed
    draining = Draining(store, events, clock)
    runs = Runs(index, runtime, supervisor, events, clock, place.logs)
    gate = Gate(runtime, runs, ports.probe, files, clock)
    planner = Planner(index, runtime, runs, files)
    owned = OwnedSnapshots(zfs)
    datasets = JailDatasets(index, zfs, files, owned, supervisor)
    sealer = Sealer(zfs, files)
    workshop = Workshop(runtime)
    databases = EtcDatabases(index, runs, workshop, files)
    changes = Changes(index, planner, datasets, databases, runs, gate, events, clock)
    creation = Creation(index, planner, datasets, databases, runs, gate, events, clock)
    snapshots = MigrationSnapshots(index, zfs, owned)
    notices = Notices(ports.peers, journals, events, supervisor)
    paces = Paces()
    host_names = HostNames(index, ports.peers, journals, events)
    sole = SoleOwner(index, ports.peers, journals)
    preflight = Preflight(index, zfs, ports.peers, host_names, sole)
    link = Link(index, ports.peers, journals, clock)
    precopy = Precopy(index, zfs, files, journals, snapshots, link, Transfer(index, zfs, paces), clock)
    tidying = Tidying(index, drivers, supervisor, events)
    handover = HandOver(
        index, zfs, ports.peers, journals, files, datasets, runs, snapshots, link, precopy, sole, tidying, events, clock
    )
    retreat = Retreat(datasets, runs, snapshots, journals, notices, drivers, supervisor, events, clock)
    sender = MigrateOut(
        index, preflight, link, precopy, handover, retreat, notices, ports.peers, journals, snapshots, clock
    )
    acceptor = Acceptor(index, zfs, runtime, ports.peers, journals, draining, CopyCheck(index, zfs))
    copies = ReceivedCopies(index, zfs, files)
    receiver = Receiver(index, zfs, datasets, sealer, owned, events, clock)
    activator = Activator(index, zfs, datasets, runs, gate, snapshots, events, clock)
    discarder = Discarder(index, zfs, datasets, snapshots)
    capacity = Capacity(index, runtime, draining)
    rehearsals = RehearseIn(index, zfs, runtime, files, copies, journals, runs, supervisor, clock)
    incoming = MigrateIn(
        index,
        zfs,
        runtime,
        acceptor,
        capacity,
        journals,
        datasets,
        receiver,
        copies,
        rehearsals,
        activator,
        discarder,
        drivers,
        supervisor,
        events,
        clock,
    )
    fencing = Fencing(index, ports.peers, sole, datasets, handover, drivers, operations, supervisor, events)
    clearance = Clearance(index, sole, fencing, supervisor, events, clock)
    sole.when_in_doubt(clearance.look_into)
    keeper = StandbyKeeper(index, zfs, acceptor, receiver, datasets, owned, journals, events, clock)
    rounds = Rounds(index, zfs, owned, ports.peers, Transfer(index, zfs, paces), fencing, clock)
    standbys = Standbys(index, ports.peers, datasets, rounds, keeper, drivers, operations, supervisor, events, clock)
    drivers.before_each(standbys.give_way)
    drivers.before_each(activator.give_way)
    taker = Taker(
        index,
        zfs,
        ports.peers,
        datasets,
        owned,
        journals,
        keeper,
        acceptor,
        copies,
        sole,
        fencing,
        activator,
        supervisor,
        events,
        clock,
    )
    rehearser = RehearseOut(preflight, link, precopy, retreat, ports.peers, journals, clock)
    migrations = Migrations(index, preflight, sender, rehearser, journals, datasets, drivers, operations)
    takeovers = Takeovers(index, taker, clearance, migrations, changes, drivers, operations, clock)
    recovery = Recovery(
        index, zfs, files, runtime, ports.peers, journals, datasets, runs, changes, handover, sender, incoming,
        rehearsals, snapshots, notices, taker, keeper, clearance, fencing, drivers, operations, supervisor, events,
    )  # fmt: skip
    boot = Boot(
        index,
        journals,
        incoming,
        changes,
        clearance,
        ports.boot_id,
        files,
        drivers,
        operations,
        events,
        clock,
        place.halted,
        place.patience,
    )
    mover = Mover(index, migrations, journals, operations, paces, clock)
    surveyor = Surveyor(index, zfs, runtime, ports.peers, sole)
    evacuations = Evacuations(ports.peers, store, draining, surveyor, mover, operations, supervisor, events, clock)
    host = Host(
        index, zfs, runtime, ports.peers, store, operations, journals, draining, evacuations, recovery, supervisor,
        events, clock, place.name, version("jaild"),
    )  # fmt: skip
    making = _making(ports, place, index, sealer, workshop, drivers, operations, events)
    use_cases = UseCases(
        bases=making.bases,
        base_making=making.base_making,
        releases=Releases(index, zfs, sealer, ports.archives, files, drivers, operations, events, clock, place.staging),
        jails=Jails(
            index,
            creation,
            changes,
            runs,
            runtime,
            Logs(files, runs, clock),
            Templates(files, place.templates),
            standbys,
            drivers,
            operations,
            draining,
        ),
        migrations=migrations,
        builds=making.builds,
        operations=operations,
        events=events,
        audit=audit,
        stats=Stats(index, runtime, zfs, clock),
        host=host,
        boot=boot,
        evacuations=evacuations,
        incoming=incoming,
        parties=Parties(index, ports.peers, journals, keeper, host_names, events),
        replicas=Replicas(keeper, fencing, takeovers),
        takeovers=takeovers,
        salvages=SalvageOut(
            index,
            ports.peers,
            ports.file_trees,
            preflight,
            sender,
            link,
            precopy,
            handover,
            journals,
            drivers,
            operations,
            events,
            clock,
        ),
        files=SalvageIn(index, zfs, files, ports.file_trees, journals, datasets, receiver, snapshots),
    )
    return Core(
        use_cases=use_cases,
        index=index,
        host=host,
        recovery=recovery,
        boot=boot,
        drivers=drivers,
        evacuations=evacuations,
        runs=runs,
        journals=journals,
        standbys=standbys,
        keeper=keeper,
        tidying=tidying,
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
    index: Index,
    sealer: Sealer,
    workshop: Workshop,
    drivers: Drivers,
    operations: Operations,
    events: Events,
) -> _Making:
    runtime, files, archives, clock = ports.runtime, ports.files, ports.archives, ports.clock
    sealing = BaseSealing(index, sealer, files, events, clock)
    images = ImageImport(ports.images, archives, files, runtime, sealing, place.staging)
    logs = BuildLogs(files, operations, clock, place.logs / "builds")
    return _Making(
        bases=Bases(index, sealer, sealing, images, archives, files, drivers, operations, events),
        base_making=BaseMaking(
            index, ports.userland, archives, files, runtime, sealing, drivers, operations, place.staging
        ),
        builds=Builds(
            index, BuildPlanner(index, runtime, files), BuildSteps(workshop, archives, files), logs, sealer, archives,
            files, drivers, operations, events, clock, place.staging,
        ),
    )  # fmt: skip
