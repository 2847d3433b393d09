"""What the API needs of the service layer, and nothing more: the servicers are written against these.

Every method raises `JaildError`. Methods without `async` answer from memory.
"""

# ruff: noqa: D102  # proto/jaild tells what each does; here stands only its shape
from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jaild.model.evacuation.record import Evacuation
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.recipe import Recipe
from jaild.model.layers.records import Generation, Manifest
from jaild.model.migration.party import About
from jaild.model.migration.protocol import (
    Acceptance,
    Activated,
    HostHello,
    Offer,
    Received,
    ReceiveHeader,
    Rehearsed,
    Resolution,
)
from jaild.model.migration.stats import MigrationStats
from jaild.model.operation import Operation
from jaild.model.replication.protocol import (
    HandingOver,
    Known,
    ReplicaOffer,
    ReplicaState,
    RollBack,
    Supersession,
    WholeRound,
)
from jaild.model.salvage import Report
from jaild.model.views import (
    AuditEntry,
    BaseView,
    Caller,
    Event,
    HostView,
    JailStats,
    JailView,
    MigrationView,
    ReleaseView,
)
from jaild.ports.runtime import Output
from jaild.ports.salvage import Written

Chunks = AsyncIterator[bytes]


class Bases(Protocol):
    """Base OS versions."""

    async def import_stream(
        self,
        base_id: str,
        chunks: Chunks,
        /,
        *,
        sha256: str,
        size: int,
        manifest: str,
        manifest_entry: str,
        image: str = "",
        caller: Caller,
    ) -> Operation: ...
    async def import_path(
        self, base_id: str, path: str, /, *, sha256: str, image: str = "", caller: Caller
    ) -> Operation: ...
    def get(self, base_id: str, /) -> BaseView: ...
    def list(self) -> Sequence[BaseView]: ...
    async def delete(self, base_id: str, /, *, validate_only: bool, caller: Caller) -> Operation: ...


class BaseMaking(Protocol):
    """Bases made by FreeBSD's own tools."""

    async def install(
        self, base_id: str, repository: str, names: tuple[str, ...], abi: str, osversion: int, /, *, caller: Caller
    ) -> Operation: ...
    async def patch(self, base_id: str, parent: str, /, *, caller: Caller) -> Operation: ...


class Releases(Protocol):
    """Versions of apps."""

    async def push(
        self,
        app: str,
        version: str,
        chunks: Chunks,
        /,
        *,
        sha256: str,
        size: int,
        parent: str,
        manifest: Manifest,
        caller: Caller,
    ) -> Operation: ...
    def get(self, app: str, version: str, /) -> ReleaseView: ...
    def list(self, app: str | None, /) -> Sequence[ReleaseView]: ...
    async def packages(self, app: str, version: str, /) -> Sequence[str]: ...
    async def delete(self, app: str, version: str, /, *, validate_only: bool, caller: Caller) -> Operation: ...


class Builds(Protocol):
    """Releases built by recipes."""

    async def build(
        self,
        app: str,
        version: str,
        recipe: Recipe,
        chunks: Chunks,
        /,
        *,
        sha256: str,
        size: int,
        validate_only: bool,
        caller: Caller,
    ) -> Operation: ...
    def log(self, operation: str, /, *, follow: bool) -> Chunks: ...


class Jails(Protocol):
    """The workloads."""

    async def create(
        self, name: str, spec: JailSpec, /, *, stopped: bool, validate_only: bool, caller: Caller
    ) -> Operation: ...
    def get(self, name: str, /) -> JailView: ...
    def list(self) -> Sequence[JailView]: ...
    async def delete(
        self, name: str, /, *, force: bool, etag: str, validate_only: bool, caller: Caller
    ) -> Operation: ...
    async def start(self, name: str, /, *, caller: Caller) -> Operation: ...
    async def stop(self, name: str, /, *, caller: Caller) -> Operation: ...
    async def restart(self, name: str, /, *, caller: Caller) -> Operation: ...
    async def deploy(
        self, name: str, release: str, /, *, etag: str, validate_only: bool, caller: Caller
    ) -> Operation: ...
    async def upgrade(
        self, name: str, base: str, /, *, etag: str, validate_only: bool, caller: Caller
    ) -> Operation: ...
    async def configure(
        self, name: str, spec: JailSpec, /, *, etag: str, validate_only: bool, caller: Caller
    ) -> Operation: ...
    async def rollback(
        self, name: str, /, *, generation: int, axis: str, etag: str, validate_only: bool, caller: Caller
    ) -> Operation: ...
    async def generations(self, name: str, /) -> Sequence[Generation]: ...
    async def render_template(self, name: str, values: Mapping[str, str], /) -> str: ...
    def exec(
        self, name: str, command: tuple[str, ...], /, *, environment: Mapping[str, str], user: str | None, stdin: Chunks
    ) -> AsyncIterator[Output]: ...
    def logs(self, name: str, /, *, lines: int, follow: bool) -> Chunks: ...


class Migrations(Protocol):
    """Moves, as the source drives them."""

    async def migrate(
        self,
        jail: str,
        target: str,
        /,
        *,
        max_downtime: float,
        proceed_over_budget: bool,
        etag: str,
        validate_only: bool,
        caller: Caller,
        deadline: float | None = None,
    ) -> Operation: ...
    def get(self, migration: str, /) -> MigrationView: ...
    def list(self) -> Sequence[MigrationView]: ...
    def stats(self) -> MigrationStats: ...
    async def rehearse(
        self, jail: str, target: str, /, *, max_downtime: float, keep_copy: bool, etag: str, caller: Caller
    ) -> Operation: ...
    async def finalize(self, migration: str, /, *, caller: Caller) -> Operation: ...


class Operations(Protocol):
    """Long-running changes."""

    def get(self, operation: str, /) -> Operation: ...
    def list(self) -> Sequence[Operation]: ...
    async def wait(self, operation: str, timeout: float | None, /) -> Operation: ...
    def watch(self, operation: str, /) -> AsyncIterator[Operation]: ...
    async def cancel(self, operation: str, caller: Caller, /) -> None: ...
    async def delete(self, operation: str, /) -> None: ...


class Events(Protocol):
    """What happened."""

    def watch(self, after: int, target: str, follow: bool, /) -> AsyncIterator[Event]: ...  # noqa: FBT001


class Audit(Protocol):
    """Who asked for what."""

    async def record(
        self, actor: str, method: str, target: str, request_id: str, outcome: str, operation: str, /
    ) -> None: ...
    async def entries(self, limit: int, before: int, /) -> Sequence[AuditEntry]: ...


class Stats(Protocol):
    """What jails use."""

    async def measure(self, names: Sequence[str], /) -> Sequence[JailStats]: ...


class Host(Protocol):
    """The host itself."""

    async def view(self) -> HostView: ...


class Boot(Protocol):
    """All jails of the host, together."""

    async def start(self, *, validate_only: bool, caller: Caller) -> Operation: ...
    async def stop(self, *, deadline: float, validate_only: bool, caller: Caller) -> Operation: ...


class Evacuations(Protocol):
    """Emptying this host."""

    async def evacuate(
        self,
        targets: Sequence[str],
        /,
        *,
        parallel: int,
        bandwidth: int,
        max_downtime: float,
        proceed_over_budget: bool,
        validate_only: bool,
        caller: Caller,
    ) -> Operation: ...
    def get(self, evacuation: str, /) -> Evacuation: ...
    def list(self) -> Sequence[Evacuation]: ...
    async def drain(self, reason: str, /, *, caller: Caller) -> None: ...
    async def undrain(self, *, caller: Caller) -> None: ...


class Incoming(Protocol):
    """Moves, as a target answers them."""

    async def hello(self, host_id: str, host_name: str, protocol: int, /) -> HostHello: ...
    async def preflight(self, offer: Offer, /) -> Acceptance: ...
    async def begin(self, offer: Offer, /) -> Acceptance: ...
    async def receive(self, header: ReceiveHeader, chunks: Chunks, /) -> Received: ...
    async def prepare(self, migration: str, epoch: int, guids: dict[str, int], /) -> str: ...
    async def activate(self, migration: str, epoch: int, /) -> Activated: ...
    async def abort(self, migration: str, /, *, source: str) -> str: ...
    async def rehearse(self, migration: str, /, *, keep_copy: bool) -> Rehearsed: ...
    async def resolve(self, migration: str, /) -> Resolution: ...


class Parties(Protocol):
    """Who may speak about a jail."""

    async def require_party(self, speaker: str, about: About, /) -> None: ...


class Replicas(Protocol):
    """Replicas and failovers, as other hosts ask about them."""

    async def offer(self, offer: ReplicaOffer, /) -> ReplicaState: ...
    async def receive(self, header: ReceiveHeader, chunks: Chunks, /) -> Received: ...
    async def roll_back(self, wanted: RollBack, /) -> int: ...
    async def complete(self, whole: WholeRound, /) -> None: ...
    async def withdraw(self, jail: str, uid: str, epoch: int, /) -> None: ...
    async def ownership(self, jail: str, uid: str, /) -> Known: ...
    async def hand_over(self, jail: str, uid: str, target: str, request_id: str, /) -> HandingOver: ...
    async def handing_over(self, target: str, jail: str, request_id: str, /) -> HandingOver: ...
    async def supersede(self, told: Supersession, /) -> int: ...


class Salvages(Protocol):
    """Saving what can be read: the source's side, and the list afterwards."""

    async def salvage(self, name: str, target: str, /, *, validate_only: bool, caller: Caller) -> Operation: ...


class IncomingFiles(Protocol):
    """Salvages, as a target takes them."""

    async def receive(self, header: ReceiveHeader, chunks: Chunks, /) -> Written: ...
    async def finish(self, migration: str, text: str, /) -> dict[str, int]: ...
    async def report(self, name: str, /) -> Report: ...


class Promotions(Protocol):
    """Making this host the owner of a jail whose host failed."""

    async def promote(
        self, name: str, /, *, owner_is_down: bool, confirm: str, validate_only: bool, caller: Caller
    ) -> Operation: ...
    async def adopt(self, name: str, /, *, confirm: str, validate_only: bool, caller: Caller) -> Operation: ...
    async def confirm(self, name: str, sentence: str, /, *, caller: Caller) -> Operation: ...


@dataclass(frozen=True, kw_only=True)
class UseCases:
    """All of them, as `ApiServer` takes them."""

    bases: Bases
    base_making: BaseMaking
    releases: Releases
    jails: Jails
    migrations: Migrations
    builds: Builds
    operations: Operations
    events: Events
    audit: Audit
    stats: Stats
    host: Host
    boot: Boot
    evacuations: Evacuations
    incoming: Incoming
    parties: Parties
    replicas: Replicas
    promotions: Promotions
    salvages: Salvages
    files: IncomingFiles
