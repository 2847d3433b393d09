"""What two hosts say to each other about a migration. Mirrors `proto/jaild/peer/v1/peer.proto`, field by field."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.model.layers.records import Staged
from jaild.model.migration.budget import Parts
from jaild.model.problems import Problem


class HostHello(msgspec.Struct, frozen=True, kw_only=True):
    """A host as it introduces itself."""

    host_id: str
    host_name: str
    protocol: int  # the one to use: the lower of the two highest
    zfs_implementation: str = ""  # openzfs, zfs-fuse
    resumable_receive: bool = False
    pool_features: tuple[str, ...] = ()  # or version:N
    family: str = ""  # freebsd, linux
    machine: str = ""  # amd64, arm64
    osreldate: int = 0  # FreeBSD's kern.osreldate; 0 on Linux
    available_bytes: int = 0
    memory_total_bytes: int = 0  # 0 if it does not tell
    memory_free_bytes: int | None = None  # that nothing uses now; None if it cannot tell
    memory_promised_bytes: int = 0  # sum of the limits of its jails that should run
    cpus: int = 0  # 0 if it does not tell
    apart: dict[str, int] = {}  # key=value -> how many of its jails are to be kept apart by that label
    draining: bool = False  # it takes no jails


class DatasetOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset of a jail."""

    path: str = ""  # below the jail: "" for its own, "data", a volume's name
    properties: dict[str, str] = {}  # allow-listed: recordsize, compression
    size_bytes: int = 0  # of an expected full send
    own_guids: tuple[int, ...] = ()  # of jaild's own snapshots of it on the source: what is there of them came from it


class LayerOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A base or release that the jail's generations refer to."""

    path: str  # below the root dataset: bases/debian-12, apps/redis/7.0
    guid: int  # of its @sealed snapshot
    origin_guid: int = 0  # of its origin's @sealed snapshot; 0 if it is no clone
    origin_path: str = ""
    size_bytes: int = 0
    record: str = ""  # JSON, as its property holds it


class JailOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A jail that is to move."""

    name: str
    uid: str
    epoch: int  # now; the hand-over makes it one higher
    generation: int  # the active one's number
    generation_json: str  # the active one
    datasets: tuple[DatasetOffer, ...] = ()  # parents first
    layers: tuple[LayerOffer, ...] = ()  # origins first
    desired: str = "running"  # or stopped: what it should be on the target
    standbys: tuple[str, ...] = ()  # names of hosts that may have a replica, also of those that the spec names no more
    staged: Staged | None = None  # what its owner keeps to be cut over to later
    removed_guids: tuple[int, ...] = ()  # of replicas' snapshots of removed volumes, the newest last
    created: float = 0.0  # when the jail was made, wherever that was; 0: not known


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a source asks of its target in preflight and begin."""

    migration: str
    source_id: str  # host id
    source_name: str
    jail: JailOffer
    attempt: int = 0  # rises with each `begin` of the same migration: what belongs to an earlier one comes too late
    test: bool = msgspec.field(
        name="rehearsal", default=False
    )  # never handed over: a clone is booted, and it is aborted


class DatasetState(msgspec.Struct, frozen=True, kw_only=True):
    """What a target has of one of the jail's datasets."""

    path: str = ""  # as in `DatasetOffer`
    snapshot_guids: tuple[int, ...] = ()  # oldest first
    resume_token: str = ""  # of an interrupted receive; empty for none


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The target's answer to an offer; an error among the problems is a refusal. Problems travel without evidence."""

    problems: tuple[Problem, ...] = msgspec.field(name="findings", default=())
    missing_layers: tuple[str, ...] = ()  # paths
    datasets: tuple[DatasetState, ...] = ()  # of an older copy that may be continued, or of what came so far
    layers: tuple[DatasetState, ...] = ()  # of missing layers whose receive was interrupted; `path` as in `LayerOffer`
    parts: Parts = Parts()  # what mounts and start of this jail took there last, or usually take of others


class ReceiveHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the ZFS stream that follows is. Either `layer` names it, or `dataset` with an empty `layer`."""

    migration: str
    tag: str  # of the snapshot: the part after @
    guid: int  # that the snapshot must have after the receive
    layer: str = ""
    dataset: str = ""
    base_guid: int = 0  # of the snapshot that the stream starts from; 0 for a full one
    origin_path: str = ""  # layers that are clones
    attempt: int = 0  # as in `Offer`
    resume_token: str = ""  # the stream is the rest of the one with this token; empty: what there is of one is dropped
    urgent: bool = False  # the jail is down: only what must be done now

    @property
    def of(self) -> str:
        """What it is of: a `layer`, a `round` of a jail that serves, the `final` increment of one that is down."""
        return "layer" if self.layer else "final" if self.urgent else "round"


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that arrived and was verified."""

    guid: int  # of the snapshot that is there now
    bytes: int = 0  # 0 if it was there already


class SoFar(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration has come to when its target is told to start the jail: for the target's own journal."""

    down: float | None = None  # seconds that the jail has been down; None: it did not run
    predicted: float | None = None  # seconds of downtime
    predicted_at_least: bool = False
    rounds: int = 0
    bytes: int = 0


class Activated(msgspec.Struct, frozen=True, kw_only=True):
    """The target owns the jail."""

    healthy: bool = False  # it runs and passed its health checks
    parts: Parts = Parts()  # mounts, start, readiness
    message: str = ""  # why it is not healthy
    up: float = 0.0  # seconds that the jail has run when this is said; 0.0 if it does not


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """How a clone of what was received came up on the target; nothing of it is left."""

    healthy: bool = False  # it ran and passed its health checks
    parts: Parts = Parts()  # mounts, start, readiness
    message: str = ""  # why it is not healthy
    checks: str = ""  # what each said last, a line each
    log: str = ""  # the end of what it wrote


class End(StrEnum):
    """How a hand-over ended."""

    COMMITTED = "committed"  # activate
    ABORTED = "aborted"  # throw away
    PENDING = "pending"  # ask again
    UNKNOWN = "unknown"  # no trace of it is left


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """How a hand-over ended, as the source knows it."""

    outcome: End
    epoch: int = 0  # after the hand-over, if committed
