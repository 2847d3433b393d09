"""Use cases that answer from lists and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from jaild.api.use_cases import UseCases
from jaild.domain.errors import JaildError, NotFoundError
from jaild.domain.evacuation import Evacuation, JailMove, MoveState
from jaild.domain.histogram import MigrationStats, stats
from jaild.domain.operation import Operation
from jaild.domain.peering import (
    Acceptance,
    Activation,
    HostHello,
    Offer,
    Received,
    ReceiveHeader,
    Rehearsed,
    Resolution,
)
from jaild.domain.recipe import Recipe
from jaild.domain.records import BaseRecord, Built, Family, Generation, JailRecord, Manifest, Ownership, ReleaseRecord
from jaild.domain.spec import JailSpec
from jaild.domain.views import (
    AuditEntry,
    BaseView,
    Caller,
    Drain,
    Event,
    HostView,
    JailState,
    JailStats,
    JailView,
    MigrationView,
    ReleaseView,
)
from jaild.ports.runtime import Output


def not_found(resource: str) -> NotFoundError:
    return NotFoundError("NOT_THERE", f"{resource} does not exist", remedy="name another", resource=resource)


def base(name: str) -> BaseView:
    record = BaseRecord(name=name, family=Family.LINUX, version="12", abi="debian:12:amd64", imported=1.5, size=10)
    return BaseView(record=record, guid=(1 << 64) - 1, used=7, used_by=("jails/web/generations/1",))


def release(app: str, version: str, parent: str = "", pushed: float = 1.0) -> ReleaseView:
    record = ReleaseRecord(
        app=app, version=version, parent=parent, pushed=pushed, manifest=Manifest(command=("/usr/local/bin/run",))
    )
    return ReleaseView(record=record, guid=5, used=6)


def built(app: str, version: str) -> ReleaseView:
    view = release(app, version)
    origin = Built(base="14.1", abi="FreeBSD:14:amd64", osversion=1401000, packages=1)
    return msgspec.structs.replace(view, record=msgspec.structs.replace(view.record, built=origin))


def jail(name: str, app: str = "web/1") -> JailView:
    spec = JailSpec(base="debian-12", app=app or None)
    return JailView(
        name=name,
        state=JailState.RUNNING,
        record=JailRecord(
            uid="u-1", owner="h-1", epoch=3, state=Ownership.ACTIVE, generation=2, created=1_700_000_000.25
        ),
        generation=Generation(number=2, spec=spec, base="debian-12", release=app, created=2.0),
        owner_name="alpha",
        etag="e",
        exit_status=0,
    )


class Fake:
    """Remembers calls, and raises `refusal` if there is one."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.refusal: Exception | None = None

    def seen(self, method: str, *args: Any, **kwargs: Any) -> None:
        self.calls.append((method, args, kwargs))
        if self.refusal is not None:
            raise self.refusal

    def operate(self, method: str, *args: Any, **kwargs: Any) -> Operation:
        self.seen(method, *args, **kwargs)
        return Operation(id=f"op-{len(self.calls)}", kind=method, target="jails/web")


class FakeBases(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.bases: dict[str, BaseView] = {}
        self.taken = 0
        self.got_some = asyncio.Event()
        self.ended = asyncio.Event()
        self.error: BaseException | None = None
        self.refuse_after: int | None = None

    async def import_stream(
        self,
        base_id: str,
        chunks: AsyncIterator[bytes],
        /,
        *,
        sha256: str,
        size: int,
        manifest: str,
        manifest_entry: str,
        image: str = "",
        caller: Caller,
    ) -> Operation:
        told = {"entry": manifest_entry, "text": manifest, "image": image}
        operation = self.operate("import_stream", base_id, sha256=sha256, size=size, **told, caller=caller)
        try:
            if self.refuse_after == 0:
                raise not_found("room")  # noqa: TRY301
            async for chunk in chunks:
                self.taken += len(chunk)
                self.got_some.set()
                if self.refuse_after is not None and self.taken >= self.refuse_after:
                    raise not_found("room")  # noqa: TRY301
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()
        return operation

    async def import_path(
        self, base_id: str, path: str, /, *, sha256: str, image: str = "", caller: Caller
    ) -> Operation:
        return self.operate("import_path", base_id, path, sha256=sha256, image=image, caller=caller)

    def get(self, base_id: str, /) -> BaseView:
        if base_id not in self.bases:
            raise not_found(f"bases/{base_id}")
        return self.bases[base_id]

    def list(self) -> list[BaseView]:
        return [*self.bases.values()]

    async def delete(self, base_id: str, /, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("delete", base_id, validate_only=validate_only, caller=caller)


class FakeBaseMaking(Fake):
    async def install(
        self, base_id: str, repository: str, names: tuple[str, ...], abi: str, osversion: int, /, *, caller: Caller
    ) -> Operation:
        return self.operate("install", base_id, repository, names, abi, osversion, caller=caller)

    async def patch(self, base_id: str, parent: str, /, *, caller: Caller) -> Operation:
        return self.operate("patch", base_id, parent, caller=caller)


class FakeReleases(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.releases: tuple[ReleaseView, ...] = ()
        self.taken = b""

    async def push(
        self,
        app: str,
        version: str,
        chunks: AsyncIterator[bytes],
        /,
        *,
        sha256: str,
        size: int,
        parent: str,
        manifest: Manifest,
        caller: Caller,
    ) -> Operation:
        operation = self.operate(
            "push", app, version, sha256=sha256, size=size, parent=parent, manifest=manifest, caller=caller
        )
        self.taken = b"".join([chunk async for chunk in chunks])
        return operation

    def get(self, app: str, version: str, /) -> ReleaseView:
        for view in self.releases:
            if (view.record.app, view.record.version) == (app, version):
                return view
        raise not_found(f"apps/{app}/releases/{version}")

    def list(self, app: str | None, /) -> list[ReleaseView]:
        return [view for view in self.releases if app in {None, view.record.app}]

    async def packages(self, app: str, version: str, /) -> tuple[str, ...]:
        return (f"{app}-{version}",)

    async def delete(self, app: str, version: str, /, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("delete", app, version, validate_only=validate_only, caller=caller)


class FakeBuilds(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.taken = b""

    async def build(
        self,
        app: str,
        version: str,
        recipe: Recipe,
        chunks: AsyncIterator[bytes],
        /,
        *,
        sha256: str,
        size: int,
        validate_only: bool,
        caller: Caller,
    ) -> Operation:
        operation = self.operate(
            "build", app, version, recipe=recipe, sha256=sha256, size=size, validate_only=validate_only, caller=caller
        )
        self.taken = b"".join([chunk async for chunk in chunks])
        return operation

    async def log(self, operation: str, /, *, follow: bool) -> AsyncIterator[bytes]:
        self.seen("log", operation, follow=follow)
        yield b"== step 1 of 1: run make\n"
        yield b"made\n"


class FakeJails(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.jails: dict[str, JailView] = {}
        self.history: tuple[Generation, ...] = ()
        self.stdin = b""
        self.logs_closed = asyncio.Event()
        self.accepting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.accepted = asyncio.Event()

    async def create(
        self, name: str, spec: JailSpec, /, *, stopped: bool, validate_only: bool, caller: Caller
    ) -> Operation:
        return self.operate("create", name, spec, stopped=stopped, validate_only=validate_only, caller=caller)

    def get(self, name: str, /) -> JailView:
        if name not in self.jails:
            raise not_found(f"jails/{name}")
        return self.jails[name]

    def list(self) -> list[JailView]:
        return [*self.jails.values()]

    async def delete(self, name: str, /, *, force: bool, etag: str, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("delete", name, force=force, etag=etag, validate_only=validate_only, caller=caller)

    async def start(self, name: str, /, *, caller: Caller) -> Operation:
        return self.operate("start", name, caller=caller)

    async def stop(self, name: str, /, *, caller: Caller) -> Operation:
        return self.operate("stop", name, caller=caller)

    async def restart(self, name: str, /, *, caller: Caller) -> Operation:
        self.accepting.set()
        await self.go_on.wait()
        self.accepted.set()
        return self.operate("restart", name, caller=caller)

    async def deploy(self, name: str, release: str, /, *, etag: str, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("deploy", name, release, etag=etag, validate_only=validate_only, caller=caller)

    async def upgrade(self, name: str, base: str, /, *, etag: str, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("upgrade", name, base, etag=etag, validate_only=validate_only, caller=caller)

    async def configure(
        self, name: str, spec: JailSpec, /, *, etag: str, validate_only: bool, caller: Caller
    ) -> Operation:
        return self.operate("configure", name, spec, etag=etag, validate_only=validate_only, caller=caller)

    async def rollback(
        self, name: str, /, *, generation: int, axis: str, etag: str, validate_only: bool, caller: Caller
    ) -> Operation:
        return self.operate(
            "rollback", name, generation=generation, axis=axis, etag=etag, validate_only=validate_only, caller=caller
        )

    async def generations(self, name: str, /) -> tuple[Generation, ...]:
        self.get(name)
        return self.history

    async def render_template(self, name: str, values: Mapping[str, str], /) -> str:
        self.seen("render_template", name, dict(values))
        return f"base: {values['base']}\n"

    async def exec(
        self,
        name: str,
        command: tuple[str, ...],
        /,
        *,
        environment: Mapping[str, str],
        user: str | None,
        stdin: AsyncIterator[bytes],
    ) -> AsyncIterator[Output]:
        self.seen("exec", name, command, environment=environment, user=user)
        async for piece in stdin:
            yield Output(stdout=piece.upper())
        yield Output(stderr=b"bye", exit_status=0)

    async def logs(self, name: str, /, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        self.seen("logs", name, lines=lines, follow=follow)
        try:
            yield b"first\n"
            if follow:
                await asyncio.Event().wait()
        finally:
            self.logs_closed.set()


class FakeMigrations(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.migrations: tuple[MigrationView, ...] = ()

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
    ) -> Operation:
        return self.operate(
            "migrate",
            jail,
            target,
            max_downtime=max_downtime,
            proceed=proceed_over_budget,
            etag=etag,
            validate_only=validate_only,
            caller=caller,
            deadline=deadline,
        )

    def get(self, migration: str, /) -> MigrationView:
        for view in self.migrations:
            if view.id == migration:
                return view
        raise not_found(f"migrations/{migration}")

    def stats(self) -> MigrationStats:
        return stats([])

    def list(self) -> tuple[MigrationView, ...]:
        return self.migrations

    async def rehearse(
        self, jail: str, target: str, /, *, max_downtime: float, keep_copy: bool, etag: str, caller: Caller
    ) -> Operation:
        return self.operate(
            "rehearse", jail, target, max_downtime=max_downtime, keep_copy=keep_copy, etag=etag, caller=caller
        )

    async def finalize(self, migration: str, /, *, caller: Caller) -> Operation:
        return self.operate("finalize", migration, caller=caller)


class FakeOperations(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[str, Operation] = {}
        self.steps: tuple[Operation, ...] = ()

    def get(self, operation: str, /) -> Operation:
        if operation not in self.operations:
            raise not_found(f"operations/{operation}")
        return self.operations[operation]

    def list(self) -> list[Operation]:
        return [*self.operations.values()]

    async def wait(self, operation: str, timeout: float | None, /) -> Operation:
        self.seen("wait", operation, timeout)
        return self.get(operation)

    async def watch(self, operation: str, /) -> AsyncIterator[Operation]:
        self.seen("watch", operation)
        for step in self.steps:
            yield step

    async def cancel(self, operation: str, caller: Caller, /) -> None:
        self.seen("cancel", operation, caller)

    async def delete(self, operation: str, /) -> None:
        self.seen("delete", operation)


class FakeEvents(Fake):
    async def watch(self, after: int, target: str, follow: bool, /) -> AsyncIterator[Event]:  # noqa: FBT001
        self.seen("watch", after, target, follow)
        yield Event(
            sequence=after + 1, time=4.0, kind="jail.started", target="jails/web", detail={"pid": "3"}, gap=True
        )
        if follow:
            await asyncio.Event().wait()


class FakeAudit:
    def __init__(self) -> None:
        self.kept: list[AuditEntry] = []
        self.written = asyncio.Event()

    async def record(
        self, actor: str, method: str, target: str, request_id: str, outcome: str, operation: str, /
    ) -> None:
        self.kept.append(
            AuditEntry(
                sequence=len(self.kept) + 1,
                time=1.0,
                actor=actor,
                method=method,
                target=target,
                request_id=request_id,
                outcome=outcome,
                operation=operation,
            )
        )
        self.written.set()

    async def entries(self, limit: int, before: int, /) -> list[AuditEntry]:
        return [entry for entry in reversed(self.kept) if not before or entry.sequence < before][:limit]


class FakeHost:
    async def view(self) -> HostView:
        return HostView(
            id="h-1",
            name="alpha",
            version="0.1",
            peer_protocol=1,
            zfs="openzfs 2.3",
            zfs_capabilities={"resumable_receive": True},
            runtime="runc 1.1",
            kernel="6.12",
            osreldate=0,
            machine="amd64",
            dataset="tank/jaild",
            used=1,
            available=2,
            jails=3,
            running=2,
            peers=("beta",),
            started=1.0,
            ready_seconds=0.5,
            repairs=("removed a stale mount",),
            drain=Drain(since=3.0, actor="ops", reason="disk"),
        )


class FakeBoot(Fake):
    async def start(self, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("start", validate_only=validate_only, caller=caller)

    async def stop(self, *, deadline: float, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("stop", deadline=deadline, validate_only=validate_only, caller=caller)


class FakeIncoming(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.parties: dict[str, str] = {}  # migration -> peer
        self.answer = Acceptance()
        self.taken = 0
        self.got_some = asyncio.Event()
        self.ended = asyncio.Event()
        self.error: BaseException | None = None
        self.give_up: tuple[int, JaildError] | None = None
        self.has_it = False

    def peer_of(self, migration: str, /) -> str:
        return self.parties.get(migration, "")

    async def hello(self, host_id: str, host_name: str, protocol: int, /) -> HostHello:
        self.seen("hello", host_id, host_name, protocol)
        return HostHello(
            host_id="h-2",
            host_name="beta",
            protocol=1,
            zfs_implementation="openzfs",
            resumable_receive=True,
            pool_features=("lz4_compress",),
            family="linux",
            machine="amd64",
            available_bytes=1 << 40,
        )

    async def preflight(self, offer: Offer, /) -> Acceptance:
        self.seen("preflight", offer)
        return self.answer

    async def begin(self, offer: Offer, /) -> Acceptance:
        self.seen("begin", offer)
        return self.answer

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes], /) -> Received:
        self.seen("receive", header)
        if self.has_it:
            return Received(guid=header.guid)
        try:
            async for chunk in chunks:
                self.taken += len(chunk)
                self.got_some.set()
                if self.give_up is not None and self.taken >= self.give_up[0]:
                    raise self.give_up[1]  # noqa: TRY301
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()
        return Received(guid=header.guid, bytes=self.taken)

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int], /) -> str:
        self.seen("prepare", migration, epoch, guids)
        return "prepared"

    async def activate(self, migration: str, epoch: int, /) -> Activation:
        self.seen("activate", migration, epoch)
        return Activation(phase="activated", healthy=True, seconds=0.25)

    async def abort(self, migration: str, /) -> str:
        self.seen("abort", migration)
        return "aborted"

    async def rehearse(self, migration: str, /, *, keep_copy: bool) -> Rehearsed:
        self.seen("rehearse", migration, keep_copy=keep_copy)
        return Rehearsed(message="it fell over", seconds=0.5, checks="tcp: refused", log="panic")

    async def resolve(self, migration: str, /) -> Resolution:
        self.seen("resolve", migration)
        return Resolution(outcome="committed", epoch=4)


class FakeEvacuations(Fake):
    def __init__(self) -> None:
        super().__init__()
        moves = (
            JailMove(jail="web", target="beta", state=MoveState.MOVED, expected=10, bytes=12, attempts=1, blackout=0.5),
            JailMove(jail="db", state=MoveState.FAILED, reason="NO_HOST_TAKES_IT", message="beta: full", remedy="more"),
        )
        evacuation = Evacuation(id="op-1", targets=("beta",), parallel=2, created=2.0, planned=True, moves=moves)
        self.evacuations = {"op-1": evacuation}

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
    ) -> Operation:
        return self.operate(
            "evacuate",
            targets,
            parallel=parallel,
            bandwidth=bandwidth,
            max_downtime=max_downtime,
            proceed_over_budget=proceed_over_budget,
            validate_only=validate_only,
            caller=caller,
        )

    def get(self, evacuation: str, /) -> Evacuation:
        if evacuation not in self.evacuations:
            raise not_found(f"evacuations/{evacuation}")
        return self.evacuations[evacuation]

    def list(self) -> tuple[Evacuation, ...]:
        return tuple(self.evacuations.values())

    async def drain(self, reason: str, /, *, caller: Caller) -> None:
        self.seen("drain", reason, caller=caller)

    async def undrain(self, *, caller: Caller) -> None:
        self.seen("undrain", caller=caller)


class FakeStats:
    """Measures what it was given."""

    def __init__(self) -> None:
        self.measured: list[JailStats] = []
        self.asked: list[list[str]] = []

    async def measure(self, names: Sequence[str], /) -> list[JailStats]:
        self.asked.append(list(names))
        return self.measured


class Fakes:
    """All of them, and as the server takes them."""

    def __init__(self) -> None:
        from tests.unit.api.fakes_standby import FakeFiles, FakeReplicas, FakeSalvages, FakeTakeovers

        self.bases = FakeBases()
        self.base_making = FakeBaseMaking()
        self.releases = FakeReleases()
        self.builds = FakeBuilds()
        self.jails = FakeJails()
        self.migrations = FakeMigrations()
        self.operations = FakeOperations()
        self.events = FakeEvents()
        self.audit = FakeAudit()
        self.host = FakeHost()
        self.stats = FakeStats()
        self.boot = FakeBoot()
        self.evacuations = FakeEvacuations()
        self.incoming = FakeIncoming()
        self.replicas = FakeReplicas()
        self.takeovers = FakeTakeovers()
        self.salvages = FakeSalvages()
        self.files = FakeFiles()

    def use_cases(self) -> UseCases:
        return UseCases(
            bases=self.bases,
            base_making=self.base_making,
            releases=self.releases,
            builds=self.builds,
            jails=self.jails,
            migrations=self.migrations,
            operations=self.operations,
            events=self.events,
            audit=self.audit,
            host=self.host,
            stats=self.stats,
            boot=self.boot,
            evacuations=self.evacuations,
            incoming=self.incoming,
            replicas=self.replicas,
            takeovers=self.takeovers,
            salvages=self.salvages,
            files=self.files,
        )
