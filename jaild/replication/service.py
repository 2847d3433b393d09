"""Taking jails over: what operators may ask of the host that is to have them."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.model.operation import Operation
from jaild.model.replication.policy import Elsewhere, Orphaned, Owned, moment
from jaild.model.replication.protocol import HandingOver
from jaild.model.views import Caller
from jaild.replication.failover import Failover, elsewhere
from jaild.replication.start_guard import StartGuard

_DOWNTIME = 60.0  # seconds that a hand-over asked for by a standby may take; it goes on over that, too
_DEADLINE = 600.0  # seconds: somebody waits for it, and may say that the owner is down


class Promotions:
    """Promote, adopt, confirm; and the owner's side of a promotion."""

    def __init__(
        self, engine: Engine, jails: JailParts, migration: MigrationParts, failover: Failover, start_guard: StartGuard
    ) -> None:
        self._inventory = engine.inventory
        self._failover = failover
        self._start_guard = start_guard
        self._migrations = migration.migrations
        self._lifecycle = jails.lifecycle
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._clock = engine.ports.clock

    async def promote(
        self, name: str, *, owner_is_down: bool, confirm: str, validate_only: bool, caller: Caller
    ) -> Operation:
        """Make a standby the owner: handed over by the one that it has, or taken on the operator's word."""
        duplicate = self._operations.duplicate(caller, "promote", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, record = self._failover.standby(name)
        found = await self._failover.examine(name, record)
        since = await self._since(name, record, found)
        plan = self._failover.plan(name, "promote", found, since)
        if validate_only:
            return await self._operations.planned(plan, caller)
        if isinstance(found, Owned):
            if owner_is_down:
                raise elsewhere(name, found)
        else:
            flag = f"jailctl promote {name} --owner-is-down"
            self._require_word(record, found, confirm if owner_is_down else "", since, flag)

        async def work(handle: Handle) -> str:
            entry, record = self._failover.standby(name)
            if isinstance(found, Owned):
                await self._failover.hand_over(handle, name, found.host)
            else:
                await self._failover.promote(handle, entry, record, confirm)
            return f"jails/{name}"

        return await self._dispatcher.submit(
            f"jails/{name}", "promote", caller, work, plan=plan, exclusive=not isinstance(found, Owned)
        )

    async def adopt(self, name: str, *, confirm: str, validate_only: bool, caller: Caller) -> Operation:
        """Take over what an interrupted migration or another host's pool left here, on the operator's word."""
        duplicate = self._operations.duplicate(caller, "adopt", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, record = self._failover.adoptable(name)
        found = await self._failover.examine(name, record)
        if isinstance(found, Owned):
            raise elsewhere(name, found)
        since = await self._since(name, record, found)
        plan = self._failover.plan(name, "adopt", found, since)
        if validate_only:
            return await self._operations.planned(plan, caller)
        self._require_word(record, found, confirm, since, f"jailctl adopt {name} --force")

        async def work(handle: Handle) -> str:
            await self._failover.promote(handle, *self._failover.adoptable(name), confirm)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", "adopt", caller, work, plan=plan)

    async def _since(self, name: str, record: JailRecord, found: Owned | Elsewhere | Orphaned) -> float:
        """Return since when writes would be lost; 0 if none are, or it is not known."""
        if isinstance(found, Owned) or record.state is Ownership.ACTIVE:
            return 0.0
        snapshots = await self._failover.round_of(name, record)
        if record.replica is not None and record.state is Ownership.STANDBY:
            return record.replica.taken
        return float(max(snapshot.created for snapshot in snapshots.values()))

    def _require_word(
        self, record: JailRecord, found: Elsewhere | Orphaned, confirm: str, since: float, command: str
    ) -> None:
        if not isinstance(found, Orphaned) or found.is_said_in(confirm):
            return
        lost = f"what was written after {moment(since)} ({self._clock.now() - since:.0f} s ago) is lost here"
        raise FailedPreconditionError(
            "CONFIRMATION_NEEDED",
            f"{record.peer} does not answer that it has it; {lost if since else 'what is lost is not known'}",
            remedy=f'be sure that it cannot come back unnoticed, then say so: {command} --confirm "{found.words}"',
            detail={"confirm": found.words, "lost_since": moment(since) if since else ""},
        )

    async def confirm(self, name: str, sentence: str, *, caller: Caller) -> Operation:
        """Take the operator's word that no silent standby has taken a jail over; it is started if it is to run.

        It lets a jail go on that waits since its host's start, and one that runs be given away.
        """
        await self._start_guard.confirm(name, sentence)

        async def work(handle: Handle) -> str:
            if self._inventory.permitted(name, Intent.START)[1].desired is Desired.RUNNING:
                await self._lifecycle.start(handle, name)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", "start", caller, work)

    # -- asked by a standby

    async def hand_over(self, name: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Migrate a jail to the standby that asks, once for each request, and tell how that goes."""
        _, record = self._inventory.permitted(name, Intent.READ)
        if record.uid != uid:
            raise FailedPreconditionError("JAIL_NOT_OWNED", f"{name} is another jail here", remedy="ask its owner")
        operation = await self._migrations.migrate(
            name,
            target,
            max_downtime=_DOWNTIME,
            proceed_over_budget=True,
            etag="",
            validate_only=False,
            caller=_standby(target, request_id),
            deadline=_DEADLINE,
        )
        return _told(operation)

    def handing_over(self, target: str, name: str, request_id: str) -> HandingOver:
        """Tell how the hand-over goes that a request has led to."""
        operation = self._operations.duplicate(_standby(target, request_id), "migrate", f"jails/{name}")
        if operation is None:
            message = "nothing is known of it: what was begun has been undone or finished"
            return HandingOver(done=True, reason="OPERATION_NOT_FOUND", message=message)
        return _told(operation)


def _standby(target: str, request_id: str) -> Caller:
    return Caller(actor=f"standby {target}", request_id=request_id)


def _told(operation: Operation) -> HandingOver:
    failure = operation.failure
    return HandingOver(
        done=operation.done,
        reason=failure.reason if failure is not None else "",
        message=failure.message if failure is not None else f"{operation.phase} {operation.message}".strip(),
    )
