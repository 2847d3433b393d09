"""The Migrations service."""

from __future__ import annotations

from google.longrunning import operations_pb2

from jaild.model.errors import InvalidArgumentError
from jaild.model.migration.stats import Bucket
from jaild.rpc import moments, names, pages
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages, migration_message
from jaild.rpc.use_cases import Migrations
from jaild.v1 import migrations_pb2

MAX_DOWNTIME = 5.0  # seconds, if the request does not say


class MigrationsServicer:
    """Answers `jaild.v1.Migrations`."""

    def __init__(self, migrations: Migrations, messages: OperationMessages) -> None:
        self._migrations = migrations
        self._messages = messages

    async def MigrateJail(  # noqa: N802  # gRPC's names
        self, request: migrations_pb2.MigrateJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Move a jail to a peer."""
        jail = names.jail(request.name)
        if not request.target:
            raise InvalidArgumentError(
                "TARGET_MISSING", "the request names no target", remedy="name a peer of GetHost's list of peers"
            )
        downtime = MAX_DOWNTIME
        if request.HasField("max_downtime"):
            downtime = moments.seconds(request.max_downtime, "max_downtime")
        operation = await self._migrations.migrate(
            jail,
            request.target,
            max_downtime=downtime,
            proceed_over_budget=request.proceed_over_budget,
            etag=request.etag,
            validate_only=request.validate_only,
            caller=current(request.request_id),
            deadline=moments.seconds(request.deadline, "deadline") if request.HasField("deadline") else None,
        )
        return self._messages.of(operation)

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
        operation = await self._migrations.finalize(names.migration(request.name), caller=current(request.request_id))
        return self._messages.of(operation)


def _bucket(bucket: Bucket) -> migrations_pb2.MigrationStats.Bucket:
    return migrations_pb2.MigrationStats.Bucket(below=moments.duration(bucket.below), count=bucket.count)
