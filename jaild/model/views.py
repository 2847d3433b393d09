"""What readers see: records joined with what is known of the running things. Built in memory, without I/O."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.model.jails.liveness import HealthStatus
from jaild.model.jails.restarts import RestartRecord, Verdict
from jaild.model.jails.spec import Limits
from jaild.model.layers.records import BaseRecord, Generation, JailRecord, ReleaseRecord
from jaild.model.migration.budget import Parts
from jaild.model.policy import Policy
from jaild.model.problems import Accepted


class JailState(StrEnum):
    """What a jail is doing, as one word."""

    STOPPED = "stopped"
    RUNNING = "running"
    STARTING = "starting"
    FAILED = "failed"
    FROZEN = "frozen"
    INCOMING = "incoming"
    PREPARED = "prepared"
    MOVED = "moved"
    STANDBY = "standby"
    CLAIMED = "claimed"
    FENCED = "fenced"
    WAITING = "waiting"
    DELETING = "deleting"
    DAMAGED = "damaged"
    CRASH_LOOP = "crash-loop"
    SUPERSEDED = "superseded"


AFTER_END = {Verdict.AGAIN: JailState.STARTING, Verdict.CRASH_LOOP: JailState.CRASH_LOOP}  # of what does not run


class StandbyView(msgspec.Struct, frozen=True, kw_only=True):
    """A replica of a jail, as its owner sees it (`host`: who keeps it) or as its keeper does (`host`: the owner)."""

    host: str
    taken: float = 0.0  # when its newest whole round was taken; 0 if there is none, or it is not known
    interval: float = 0.0  # seconds
    behind: bool = False  # older than its interval
    message: str = ""  # why, as far as it is known


class SnapshotStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a jail's schedule of snapshots is. Times in seconds since the epoch."""

    taken: float = 0.0  # the newest of it; 0: none is known
    interval: float = 0.0  # seconds
    count: int = 0  # how many of it there are
    failing_since: float = 0.0  # 0: it does not fail
    message: str = ""  # why


class BackupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a jail's backups to one target are. Times in seconds since the epoch."""

    target: str
    taken: float = 0.0  # the newest that is whole there; 0: none is known
    interval: float = 0.0  # seconds
    failing_since: float = 0.0  # 0: it does not fail
    message: str = ""  # why


class JailView(msgspec.Struct, frozen=True, kw_only=True):
    """A jail. `record` and `generation` are None for a damaged one, `generation` while the first is being made."""

    name: str
    state: JailState
    record: JailRecord | None = None
    generation: Generation | None = None
    owner_name: str = ""
    etag: str = ""
    started: float = 0.0
    exit_status: int | None = None
    health: HealthStatus | None = None
    restarts: RestartRecord | None = None
    used: int = 0
    operation: str = ""  # operations/<id>
    message: str = ""
    peer_name: str = ""
    standbys: tuple[StandbyView, ...] = ()
    behind: str = ""  # the base that its channel names, if it is on another
    staged: Generation | None = None
    snapshots: SnapshotStatus | None = None  # None: its spec asks for none, or it is not this host's
    backups: tuple[BackupStatus, ...] = ()


class JailStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a jail uses, beside what it may. What is of a running one is None if it does not run."""

    name: str
    running: bool = False
    cpu_seconds: float | None = None
    cpus: float | None = None  # how many it keeps busy now, where the system itself tells
    memory: int | None = None  # bytes
    processes: int | None = None
    read_rate: int | None = None  # bytes a second from and to file systems; None also where nobody counts that
    write_rate: int | None = None
    received: int | None = None  # bytes over its own network since the run was made; None also if it has none
    sent: int | None = None
    started: float = 0.0
    sampled: float = 0.0  # when CPU time was read
    max_age: float = 0.0  # seconds that CPU and memory may be old at that moment: the system counts no oftener
    limits: Limits = Limits()
    disk: int = 0  # bytes, snapshots included
    data: int = 0
    data_quota: int = 0  # 0: none
    message: str = ""


class VolumeView(msgspec.Struct, frozen=True, kw_only=True):
    """A volume. Sizes in bytes."""

    jail: str
    name: str
    path: str = ""  # where the active generation mounts it; '' nowhere
    used: int = 0  # with its snapshots
    referenced: int = 0
    quota: int = 0  # 0: none
    generations: tuple[int, ...] = ()  # kept ones that name it
    removing: bool = False


class SnapshotView(msgspec.Struct, frozen=True, kw_only=True):
    """Snapshots of one name of a jail's datasets. Sizes in bytes."""

    jail: str
    tag: str
    created: float  # seconds since the epoch
    used: int = 0  # what they hold alone
    referenced: int = 0
    purpose: str = ""  # as `jaild.model.snapshots` has it; '': somebody's who is not jaild
    parts: tuple[str, ...] = ()  # the datasets' paths below the jail's own: '', data, volumes
    atomic: bool = True  # taken at once, as far as their times say
    held: int = 0  # holds on them


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration has that the daemon did not run with, by setting: grants.alice, peers.beta, listen.tls."""

    applied: tuple[str, ...] = ()  # counts from now on
    needs_restart: tuple[str, ...] = ()  # counts after the daemon's restart only


class BaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A base and who refers to it (jails/<jail>/generations/<n>)."""

    record: BaseRecord
    guid: int
    used: int
    used_by: tuple[str, ...] = ()


class ReleaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A release and who refers to it."""

    record: ReleaseRecord
    guid: int
    used: int
    used_by: tuple[str, ...] = ()


class MigrationView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One move of one jail, as this host saw it. Also what is journaled of it."""

    id: str
    jail: str
    outgoing: bool
    source: str  # host names
    target: str
    phase: str
    created: float = 0.0
    updated: float = 0.0
    epoch: int = 0
    bytes: int = 0
    rounds: int = 0
    predicted: float | None = None
    predicted_at_least: bool = False
    bandwidth: int = 0  # on the source, bytes per second that it may send; 0 for no cap of its own
    downtime: float | None = None
    parts: Parts | None = None  # of it
    message: str = ""
    finalized: bool = False


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """Since when, by whom and why a host takes no jails."""

    since: float
    actor: str
    reason: str = ""


class BackgroundTask(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the daemon does by itself, and tries again until it is done."""

    name: str
    target: str  # the resource that it is about; `host` for the host itself
    attempts: int  # the one under way included
    failures: int  # in a row; 0: it does not fail
    error: str  # of the last attempt that failed; '' if the last one did not
    failing_since: float  # seconds since the epoch; 0: it does not fail
    at_work: float  # seconds since the attempt under way began; 0 between attempts


class PeerView(msgspec.Struct, frozen=True, kw_only=True):
    """Another host, as this one's configuration has it."""

    name: str
    address: str  # host:port
    server_name: str = ""  # whom its certificate names, if not that


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """The host itself."""

    id: str
    name: str
    version: str
    peer_protocol: int
    zfs: str
    zfs_capabilities: dict[str, bool]
    runtime: str
    kernel: str
    osreldate: int
    machine: str
    dataset: str
    used: int
    available: int
    jails: int
    running: int
    peers: tuple[PeerView, ...]
    started: float
    ready_seconds: float
    repairs: tuple[str, ...]
    drain: Drain | None = None
    shut_down: bool = False
    background_tasks: int = 0
    failing: tuple[BackgroundTask, ...] = ()
    warnings: tuple[str, ...] = ()  # what the operator must fix now
    metrics: str = ""  # the URL that they are asked for at, by the configuration's address; '' none


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened."""

    sequence: int
    time: float
    kind: str
    target: str
    message: str = ""
    detail: dict[str, str] = {}
    gap: bool = False


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request that asked for a change."""

    sequence: int
    time: float
    actor: str
    method: str
    target: str
    request_id: str = ""
    outcome: str = ""
    operation: str = ""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a certificate's name (or `local`), its roles, for products the apps it may touch and its policy.

    Without a policy (operators, the host's own work) nothing is held against one.
    """

    actor: str
    roles: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    policy: Policy | None = None
    request_id: str = ""
    accepted: tuple[Accepted, ...] = ()  # problems that stop what is asked, and that are accepted all the same
