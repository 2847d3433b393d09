"""The services of migrations and their tests: the operators', and those that another host's daemon asks of this one.

Each method of a peer asks first whether the caller may speak about it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import msgspec
from google.longrunning import operations_pb2

from jaild.engine.rpc import OperationMessages
from jaild.migration.service import Migrations
from jaild.migration.target import TargetMigration
from jaild.model.access import Role
from jaild.model.errors import InvalidArgumentError
from jaild.model.migration.budget import Parts
from jaild.model.migration.party import Arriving, Introduction, Leaving
from jaild.model.migration.protocol import Acceptance, Offer, ReceiveHeader, SoFar
from jaild.model.migration.stats import Bucket
from jaild.model.views import MigrationView
from jaild.peer.v1 import peer_pb2, peer_pb2_grpc, rehearsal_pb2, rehearsal_pb2_grpc
from jaild.rpc import auth, moments, names, pages, streams, structs
from jaild.rpc.auth import Context, PartyCheck
from jaild.rpc.services import Service
from jaild.v1 import migrations_pb2, migrations_pb2_grpc, test_migrations_pb2, test_migrations_pb2_grpc

MAX_DOWNTIME = 5.0  # seconds, if the request does not say
_Move = migrations_pb2.MigrateJailRequest | test_migrations_pb2.TestMigrationRequest


class MigrationsServicer:
    """Answers `jaild.v1.Migrations`."""

    service = Service("jaild.v1.Migrations", migrations_pb2_grpc.add_MigrationsServicer_to_server)

    def __init__(self, migrations: Migrations, messages: OperationMessages) -> None:
        self._migrations = migrations
        self._messages = messages

    def shown(self, name: str) -> migrations_pb2.Migration:
        """Return what came of a migration."""
        return migration_message(self._migrations.get(names.migration(name)))

    async def MigrateJail(  # noqa: N802  # gRPC's names
        self, request: migrations_pb2.MigrateJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Move a jail to a peer."""
        jail = names.jail(request.name)
        operation = await self._migrations.migrate(
            jail,
            _target(request),
            max_downtime=_downtime(request),
            proceed_over_budget=request.proceed_over_budget,
            etag=request.etag,
            validate_only=request.validate_only,
            caller=auth.current(request.request_id),
            deadline=moments.seconds(request.deadline, "deadline") if request.HasField("deadline") else None,
            bandwidth=request.bandwidth,
        )
        return self._messages.of(operation)

    async def SetMigrationBandwidth(  # noqa: N802
        self, request: migrations_pb2.SetMigrationBandwidthRequest, _: Context
    ) -> migrations_pb2.Migration:
        """Change how fast one may send."""
        migration = names.migration(request.name)
        return migration_message(
            await self._migrations.cap(migration, request.bandwidth, validate_only=request.validate_only)
        )

    async def GetMigration(  # noqa: N802
        self, request: migrations_pb2.GetMigrationRequest, _: Context
    ) -> migrations_pb2.Migration:
        """Return one migration."""
        return migration_message(self._migrations.get(names.migration(request.name)))

    async def ListMigrations(  # noqa: N802
        self, request: migrations_pb2.ListMigrationsRequest, _: Context
    ) -> migrations_pb2.ListMigrationsResponse:
        """Return a page of migrations, newest first."""
        page = pages.page(request, self._migrations.list(), lambda view: (-view.created, view.id), "migrations")
        return migrations_pb2.ListMigrationsResponse(
            migrations=[migration_message(view) for view in page.items], next_page_token=page.next_token
        )

    async def GetMigrationStats(  # noqa: N802
        self, _request: migrations_pb2.GetMigrationStatsRequest, _: Context
    ) -> migrations_pb2.MigrationStats:
        """Return how the migrations from this host went."""
        stats = self._migrations.stats()
        return migrations_pb2.MigrationStats(
            moved=stats.moved,
            aborted=stats.aborted,
            thaws=stats.thaws,
            downtimes=map(_bucket, stats.downtimes),
            errors=map(_bucket, stats.errors),
            median_downtime=moments.duration(stats.median),
            longest_downtime=moments.duration(stats.longest),
        )

    async def FinalizeMigration(  # noqa: N802
        self, request: migrations_pb2.FinalizeMigrationRequest, _: Context
    ) -> operations_pb2.Operation:
        """Free the copy that the source kept."""
        operation = await self._migrations.finalize(
            names.migration(request.name),
            validate_only=request.validate_only,
            caller=auth.current(request.request_id),
        )
        return self._messages.of(operation)


class TestMigrationsServicer:
    """Answers `jaild.v1.TestMigrations`."""

    service = Service("jaild.v1.TestMigrations", test_migrations_pb2_grpc.add_TestMigrationsServicer_to_server)

    def __init__(self, migrations: Migrations, messages: OperationMessages) -> None:
        self._migrations = migrations
        self._messages = messages

    async def TestMigration(  # noqa: N802  # gRPC's names
        self, request: test_migrations_pb2.TestMigrationRequest, _: Context
    ) -> operations_pb2.Operation:
        """Try a migration."""
        jail = names.jail(request.name)
        operation = await self._migrations.test(
            jail,
            _target(request),
            max_downtime=_downtime(request),
            keep_copy=request.keep_copy,
            etag=request.etag,
            validate_only=request.validate_only,
            caller=auth.current(request.request_id),
        )
        return self._messages.of(operation)


class PeerServicer:
    """Answers `jaild.peer.v1.Peer`. Each method asks first whether the caller may speak about it."""

    service = Service("jaild.peer.v1.Peer", peer_pb2_grpc.add_PeerServicer_to_server)

    def __init__(self, incoming: TargetMigration, parties: PartyCheck) -> None:
        self._incoming = incoming
        self._parties = parties

    async def Hello(self, request: peer_pb2.HelloRequest, _: Context) -> peer_pb2.HelloResponse:  # noqa: N802  # gRPC's
        """Introduce this host."""
        caller = auth.current()
        if Role.OPERATOR not in caller.roles or caller.actor == request.host_name:  # operators are no hosts: they ask
            await self._parties.require(Introduction(request.host_id, request.host_name))
        hello = await self._incoming.hello(request.host_id, request.host_name, request.protocol)
        return structs.message_of(hello, peer_pb2.HelloResponse)

    async def Preflight(self, request: peer_pb2.PreflightRequest, _: Context) -> peer_pb2.PreflightResponse:  # noqa: N802
        """Say whether a jail would be taken."""
        offer = structs.struct_of(request, Offer)
        await self._parties.require(offer)
        return _answer(await self._incoming.preflight(offer))

    async def Begin(self, request: peer_pb2.BeginRequest, _: Context) -> peer_pb2.BeginResponse:  # noqa: N802
        """Begin a migration."""
        offer = structs.struct_of(request.offer, Offer)
        await self._parties.require(offer)
        return peer_pb2.BeginResponse(preflight=_answer(await self._incoming.begin(offer)))

    async def Receive(  # noqa: N802
        self, requests: AsyncIterator[peer_pb2.ReceiveRequest], context: Context
    ) -> peer_pb2.ReceiveResponse:
        """Receive one ZFS stream."""
        header = structs.struct_of(await streams.first(requests), ReceiveHeader)
        await self._parties.require(Arriving(header.migration))
        received = await streams.hand_on(requests, context, partial(self._incoming.receive, header))
        return structs.message_of(received, peer_pb2.ReceiveResponse)

    async def Prepare(self, request: peer_pb2.PrepareRequest, _: Context) -> peer_pb2.PrepareResponse:  # noqa: N802
        """First half of the hand-over."""
        await self._parties.require(Arriving(request.migration))
        await self._incoming.prepare(request.migration, request.epoch, dict(request.guids))
        return peer_pb2.PrepareResponse()

    async def Activate(self, request: peer_pb2.ActivateRequest, _: Context) -> peer_pb2.ActivateResponse:  # noqa: N802
        """Second half of the hand-over."""
        await self._parties.require(Arriving(request.migration))
        so_far = structs.struct_of(request.so_far, SoFar)
        activation = await self._incoming.activate(request.migration, request.epoch, so_far)
        return structs.message_of(activation, peer_pb2.ActivateResponse)

    async def Abort(self, request: peer_pb2.AbortRequest, _: Context) -> peer_pb2.AbortResponse:  # noqa: N802
        """Throw away what was received."""
        source = await self._parties.require(Arriving(request.migration))
        await self._incoming.abort(request.migration, source=source)
        return peer_pb2.AbortResponse()

    async def Resolve(self, request: peer_pb2.ResolveRequest, _: Context) -> peer_pb2.ResolveResponse:  # noqa: N802
        """Say how a hand-over ended."""
        await self._parties.require(Leaving(request.migration))
        return structs.message_of(await self._incoming.resolve(request.migration), peer_pb2.ResolveResponse)


class ClonesServicer:
    """Answers `jaild.peer.v1.Rehearsals`."""

    service = Service("jaild.peer.v1.Rehearsals", rehearsal_pb2_grpc.add_RehearsalsServicer_to_server)

    def __init__(self, incoming: TargetMigration, parties: PartyCheck) -> None:
        self._incoming = incoming
        self._parties = parties

    async def Rehearse(  # noqa: N802
        self, request: rehearsal_pb2.RehearseRequest, _: Context
    ) -> rehearsal_pb2.RehearseResponse:
        """Boot a clone of what came, and throw it away."""
        await self._parties.require(Arriving(request.migration))
        tested = await self._incoming.boot_clone(request.migration, keep_copy=request.keep_copy)
        return structs.message_of(tested, rehearsal_pb2.RehearseResponse)


def _answer(acceptance: Acceptance) -> peer_pb2.PreflightResponse:
    return structs.message_of(acceptance, peer_pb2.PreflightResponse, without="evidence")


def _target(request: _Move) -> str:
    if not request.target:
        raise InvalidArgumentError(
            "TARGET_MISSING", "the request names no target", hint="name a peer of GetHost's list of peers"
        )
    return request.target


def _downtime(request: _Move) -> float:
    if request.HasField("max_downtime"):
        return moments.seconds(request.max_downtime, "max_downtime")
    return MAX_DOWNTIME


def _bucket(bucket: Bucket) -> migrations_pb2.MigrationStats.Bucket:
    return migrations_pb2.MigrationStats.Bucket(below=moments.duration(bucket.below), count=bucket.count)


def _parts(parts: Parts | None) -> migrations_pb2.DowntimeParts | None:
    if parts is None:
        return None
    spans = {name: moments.duration(value) for name, value in msgspec.structs.asdict(parts).items()}
    return migrations_pb2.DowntimeParts(**spans)


def migration_message(view: MigrationView) -> migrations_pb2.Migration:
    """Return a migration as a message."""
    return migrations_pb2.Migration(
        name=names.migration_name(view.id),
        jail=names.jail_name(view.jail),
        source=view.source,
        target=view.target,
        outgoing=view.outgoing,
        phase="finalized" if view.finalized else view.phase,
        create_time=moments.timestamp(view.created),
        update_time=moments.timestamp(view.updated),
        epoch=view.epoch,
        bytes=view.bytes,
        rounds=view.rounds,
        predicted_downtime=moments.duration(view.predicted),
        predicted_at_least=view.predicted_at_least,
        bandwidth=view.bandwidth,
        downtime=moments.duration(view.downtime),
        downtime_parts=_parts(view.parts),
        message=view.message,
    )
