"""What a crash left of replicas and failovers, and what waits until other hosts have been heard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from jaild.engine.build import Engine
from jaild.engine.inventory import Found, JailEntry
from jaild.engine.recovery import BOOT
from jaild.migration.source import Wait
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.replication.failover import Failover
from jaild.replication.replicas import ReplicaStore
from jaild.replication.start_guard import StartGuard


class ReplicationRecovery:
    """Repairs it."""

    def __init__(
        self, engine: Engine, replica_store: ReplicaStore, failover: Failover, start_guard: StartGuard
    ) -> None:
        self._inventory = engine.inventory
        self._recovery = engine.recovery
        self._supervisor = engine.supervisor
        self._replica_store = replica_store
        self._failover = failover
        self._start_guard = start_guard

    async def clear_replica(self, dataset: str) -> bool:
        """Destroy what a replica's first round left."""
        cleared = await self._replica_store.clear_left(dataset)
        if cleared:
            await self._recovery.tell(f"destroyed {dataset}, left of a replica's first round")
        return cleared

    async def end_failover(self, entry: JailEntry, record: JailRecord) -> bool:
        """Withdraw a claim; open a jail that was taken over."""
        work = self._failover.recover
        if record.state is Ownership.CLAIMED:
            message = f"withdrew the claim on jail {entry.name}: promote it again"
            await self._recovery.attempt(message, work(entry, record))
        elif record.state is Ownership.ACTIVE:
            await self._recovery.quietly(work(entry, record))
        return False

    async def hold_back(self, _: Found) -> None:
        """Let no jail start that others may have taken over."""
        self._start_guard.hold_back()

    def until_it_serves(self, jail: str, within: Callable[[], float | None]) -> Wait | None:
        """Return what waits until a jail has been started; None if it serves. See `SourceMigration.recover`."""
        entry = self._inventory.jails[jail]
        if _is_to_start(entry) or not self._inventory.may(entry, Intent.GIVE_AWAY):
            return partial(self._started, jail, within)
        return None

    async def _started(self, jail: str, within: Callable[[], float | None]) -> bool:
        """Wait until a jail has been started (the task `boot`) and its standbys have been heard, at most `within`.

        Returns whether it may be moved now: not if the host goes down meanwhile, whose next start goes on.
        """
        await self._supervisor.over(BOOT)
        # Past its deadline it is given up, also while the jail waits.
        await self._start_guard.over(jail, within=within())
        return not self._inventory.halted


def _is_to_start(entry: JailEntry) -> bool:
    runs = entry.run is not None and entry.run.running
    return entry.record is not None and entry.record.desired is Desired.RUNNING and not runs
