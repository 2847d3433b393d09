"""Migrations: what operators may ask."""

from __future__ import annotations

import builtins

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.build import JailParts
from jaild.migration.session import Terms
from jaild.migration.source import SourceMigration
from jaild.migration.testing import MigrationTest
from jaild.model.errors import AbortedError, FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Ownership
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.stats import MigrationStats
from jaild.model.operation import Operation, Stop
from jaild.model.problems import Plan
from jaild.model.views import Caller, MigrationView
from jaild.transfer.build import TransferParts


class Migrations:
    """The use cases of operators."""

    def __init__(
        self, engine: Engine, jails: JailParts, transfer: TransferParts, source: SourceMigration, test: MigrationTest
    ) -> None:
        self._inventory = engine.inventory
        self._preflight = transfer.preflight
        self._source = source
        self._test = test
        self._journals = transfer.journals
        self._datasets = jails.datasets
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations

    def get(self, migration: str) -> MigrationView:
        """Return one. `NotFoundError` (MIGRATION_NOT_FOUND)."""
        return self._journals.view(migration, self._inventory.host_name)

    def list(self) -> builtins.list[MigrationView]:
        """Return all, newest first."""
        return self._journals.views(self._inventory.host_name)

    def stats(self) -> MigrationStats:
        """Return how those from this host went."""
        return self._journals.stats()

    async def migrate(
        self,
        jail: str,
        target: str,
        *,
        max_downtime: float,
        proceed_over_budget: bool,
        etag: str,
        validate_only: bool,
        caller: Caller,
        deadline: float | None = None,
        bandwidth: int = 0,
    ) -> Operation:
        """Move a jail to a peer; the downtime is to stay within `max_downtime` seconds.

        `deadline`: seconds after which it is given up, with the jail as it was; None for never. `bandwidth`: bytes per
        second that it may send; 0 for no cap.
        """
        _require_bandwidth(bandwidth)
        duplicate = await self._operations.duplicate(caller, "migrate", f"jails/{jail}")
        if duplicate is not None:
            return duplicate
        self._require_etag(jail, etag)
        if validate_only:
            examined = await self._preflight.examine(jail, target, Intent.MIGRATE)
            return await self._dispatcher.planned(examined.plan, caller)

        terms = Terms(
            jail=jail,
            target=target,
            max_downtime=max_downtime,
            proceed_over_budget=proceed_over_budget,
            deadline=deadline,
            bandwidth=bandwidth,
            intent=Intent.MIGRATE,
            resumable=True,
        )

        async def work(handle: Handle) -> str:
            self._require_etag(jail, etag)
            return f"migrations/{await self._source.migrate(handle, terms)}"

        return await self._dispatcher.submit(f"jails/{jail}", "migrate", caller, work)

    async def cap(self, migration: str, bandwidth: int, *, validate_only: bool) -> MigrationView:
        """Let one that is under way from here send so many bytes per second from now on; 0 for no cap.

        `InvalidArgumentError` (INVALID_BANDWIDTH), `FailedPreconditionError` (MIGRATION_NOT_UNDER_WAY).
        """
        _require_bandwidth(bandwidth)
        view = self.get(migration)
        journal = self._journals.find(migration, outgoing=True)
        if journal is None:
            raise FailedPreconditionError(
                "MIGRATION_NOT_UNDER_WAY",
                f"migration {migration} came to this host, which sends nothing of it",
                hint=f"ask on {view.source}",
                resource=f"migrations/{migration}",
            )
        await self._source.cap(journal, bandwidth, validate_only=validate_only)
        return msgspec.structs.replace(self.get(migration), bandwidth=bandwidth)

    async def test(
        self,
        jail: str,
        target: str,
        *,
        max_downtime: float,
        keep_copy: bool,
        etag: str,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        """Try a migration with a clone on the target; the jail stays as it is."""
        duplicate = await self._operations.duplicate(caller, "test-migration", f"jails/{jail}")
        if duplicate is not None:
            return duplicate
        self._require_etag(jail, etag)
        if validate_only:
            plan = (await self._preflight.examine(jail, target, Intent.TEST)).plan
            return await self._dispatcher.planned(_of_test(plan, target, keep_copy=keep_copy), caller)

        async def work(handle: Handle) -> str:
            self._require_etag(jail, etag)
            migration = await self._test.carry_out(handle, jail, target, max_downtime=max_downtime, keep_copy=keep_copy)
            return f"migrations/{migration}"

        return await self._dispatcher.submit(f"jails/{jail}", "test-migration", caller, work)

    def _require_etag(self, jail: str, etag: str) -> None:
        current = self._inventory.jail_view(jail).etag
        if etag and etag != current:
            raise AbortedError(
                "ETAG_MISMATCH",
                f"jail {jail} was changed since you read it",
                hint="read it again and ask with the new etag",
                resource=f"jails/{jail}",
                detail={"expected": etag, "current": current},
            )

    async def finalize(self, migration: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Free the copy that this host kept of a jail that moved away."""
        view = self.get(migration)
        if validate_only:
            _, copy = self._to_finalize(view)
            free = (f"destroy the copy of {view.jail} that is kept here; to move it back is a full copy then",)
            plan = Plan(
                kind="finalize",
                target=f"jails/{view.jail}",
                steps=free if copy is not None else (),
                problems=await self._datasets.deletion(view.jail) if copy is not None else (),
                unchanged=copy is None,
            )
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            journal, copy = self._to_finalize(view)
            await handle.phase("commit", stop=Stop.NEVER)
            if copy is not None:
                await self._datasets.destroy(copy)
                del self._inventory.jails[journal.jail]
            await self._journals.put(msgspec.structs.replace(journal, phase=Phase.FINALIZED))
            return ""

        return await self._dispatcher.submit(f"jails/{view.jail}", "finalize", caller, work)

    def _to_finalize(self, view: MigrationView) -> tuple[Journal, JailEntry | None]:
        """Return a migration's journal, and the copy that is kept here, if it is that one's.

        `FailedPreconditionError` (MIGRATION_NOT_ACTIVATED).
        """
        journal = self._journals.find(view.id, outgoing=True)
        if journal is None or journal.phase not in {Phase.ACTIVATED, Phase.FINALIZED}:
            raise FailedPreconditionError(
                "MIGRATION_NOT_ACTIVATED",
                f"migration {view.id} is {view.phase} here" + ("" if view.outgoing else ", where it came to"),
                hint="finalize on the source, when the target runs the jail",
                resource=f"migrations/{view.id}",
            )
        entry = self._inventory.jails.get(journal.jail)
        if entry is None or entry.record is None:
            return journal, None
        is_its = entry.record.migration == view.id and entry.record.state is Ownership.MOVED
        return journal, entry if is_its else None


def _require_bandwidth(bandwidth: int) -> None:
    if bandwidth < 0:
        raise InvalidArgumentError("INVALID_BANDWIDTH", "a bandwidth below 0", hint="give 0 for no cap, or more")


def _of_test(plan: Plan, target: str, *, keep_copy: bool) -> Plan:
    """Return the plan of a migration as that of its test: nothing is stopped or handed over."""
    steps = (
        *plan.steps[:-2],
        f"boot a clone of it on {target}, in a network of its own; health checks",
        "throw the clone away" + ("" if keep_copy else ", and the copy"),
    )
    return msgspec.structs.replace(plan, kind="test-migration", steps=steps)
