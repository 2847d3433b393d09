"""What every room stands on: the host's ports and places, and the engine on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from jaild.engine.deleted_jails import DeletedJails
from jaild.engine.dispatcher import Dispatcher
from jaild.engine.drain import Draining
from jaild.engine.events import Audit, Events
from jaild.engine.inventory import Inventory
from jaild.engine.keys import Keys
from jaild.engine.operations import Operations
from jaild.engine.recovery import Recovery
from jaild.engine.reserve import Reserve
from jaild.engine.rpc import EventsServicer, OperationMessages, OperationsServicer
from jaild.engine.saga import SagaRunner
from jaild.engine.supervisor import Supervisor
from jaild.engine.transitions import Transitions
from jaild.model.backups.targets import TargetSettings
from jaild.model.jails.logparts import Rotation
from jaild.model.layout import Layout
from jaild.ports.archives import Archives
from jaild.ports.backups import Vaults
from jaild.ports.bootid import BootId
from jaild.ports.clock import Clock
from jaild.ports.configuration import Configuration
from jaild.ports.files import Files
from jaild.ports.filters import Filters
from jaild.ports.foreign import ForeignHost
from jaild.ports.images import Images
from jaild.ports.jailtrees import JailTrees
from jaild.ports.keys import KeySources
from jaild.ports.outside import Outside
from jaild.ports.peer import Peers
from jaild.ports.probe import HostProbe
from jaild.ports.registries import ImageRegistries
from jaild.ports.runtime import Runtime
from jaild.ports.salvage import FileTrees
from jaild.ports.sinks import Sinks
from jaild.ports.store import Store
from jaild.ports.uploads import Uploads
from jaild.ports.userland import Userland
from jaild.ports.zfs import Zfs
from jaild.rpc.services import Services


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The system, as the use cases see it."""

    zfs: Zfs
    runtime: Runtime
    files: Files
    file_trees: FileTrees
    jail_trees: JailTrees
    archives: Archives
    images: Images
    registries: ImageRegistries
    userland: Userland
    foreign: ForeignHost
    store: Store
    peers: Peers
    probe: HostProbe
    clock: Clock
    boot_id: BootId
    configuration: Configuration
    sinks: Sinks
    vaults: Vaults
    filters: Filters
    keys: KeySources
    uploads: Uploads
    outside: Outside
    unended: Callable[[], tuple[str, ...]]  # sentences about programs that do not end although they were killed


@dataclass(frozen=True, kw_only=True)
class Place:
    """What this host is called, and where its things are."""

    name: str
    dataset: str
    logs: Path
    log_times: Path  # what is known of when their lines were written
    logs_sent: Path  # file: how far they were sent to receivers of syslog
    templates: tuple[Path, ...]  # folders, the earlier one first
    staging: Path  # unpacked archives, thrown away at each start
    tool_results: Path  # what tools of bases made; may be thrown away
    contents: Path  # the index of layers that were sealed without one; may be thrown away
    patience: float = 120.0  # seconds that later boot orders wait for the jails of one, whatever their checks allow
    starts_at_once: int = 8  # jails when the host boots
    stagings_at_once: int = 4  # generations that are written and mounted, while others wait for their turn
    backups: Mapping[str, TargetSettings] = field(default_factory=dict)  # targets, by name
    rotation: Rotation = field(default_factory=Rotation)  # of the jails' logs
    shut_down: Path  # file that says: the jails were stopped for the host's shutdown
    pool_health: Path  # file: the pool's state that was told last
    metrics: str = ""  # where they are asked for, as the configuration has it; '' nowhere


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What carries the rooms' use cases out, and the ports and places below it."""

    ports: Ports
    place: Place
    services: Services
    messages: OperationMessages
    inventory: Inventory
    events: Events
    audit: Audit
    transitions: Transitions
    supervisor: Supervisor
    operations: Operations
    dispatcher: Dispatcher
    sagas: SagaRunner
    draining: Draining
    recovery: Recovery
    deleted: DeletedJails
    reserve: Reserve
    keys: Keys


def build(ports: Ports, place: Place) -> Engine:
    """Put the engine together. Nothing is started."""
    clock, store = ports.clock, ports.store
    inventory = Inventory(Layout(place.dataset), ports.zfs, ports.files)
    inventory.address_of = partial(_address, ports.peers)
    events = Events(store, clock)
    supervisor = Supervisor(clock, events.emit)
    operations = Operations(store, clock)
    services = Services()
    messages = OperationMessages(services)
    dispatcher = Dispatcher(operations)
    transitions = Transitions(inventory, dispatcher)
    operations.on_end.append(transitions.ended)
    services.add(OperationsServicer(operations, messages))
    services.add(EventsServicer(events, operations, messages))
    return Engine(
        ports=ports,
        place=place,
        services=services,
        messages=messages,
        inventory=inventory,
        events=events,
        audit=Audit(store, clock),
        transitions=transitions,
        supervisor=supervisor,
        operations=operations,
        dispatcher=dispatcher,
        sagas=SagaRunner(supervisor, events.emit),
        draining=Draining(store, events, clock),
        recovery=Recovery(inventory, operations, events),
        deleted=DeletedJails(inventory, store, clock),
        reserve=Reserve(inventory.where, ports.zfs, supervisor),
        keys=Keys(inventory, ports.zfs, ports.keys),
    )


def _address(peers: Peers, name: str) -> str:
    where = peers.address(name)
    return where.address if where is not None else ""
