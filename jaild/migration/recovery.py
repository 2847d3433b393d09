"""What a crash left of migrations, as far as this host decides alone; what the other host has a say in, the sides do.

See `SourceMigration.recover` and `TargetMigration.recover`.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaild.engine.build import Engine
from jaild.engine.inventory import Found, JailEntry
from jaild.jails.build import JailParts
from jaild.migration.cutover import Cutover
from jaild.migration.source import SourceMigration
from jaild.migration.target import TargetMigration
from jaild.migration.testing import MigrationTest
from jaild.model.layers.records import JailRecord, Ownership


class MigrationRecovery:
    """Repairs it."""

    def __init__(
        self,
        engine: Engine,
        jails: JailParts,
        source: SourceMigration,
        target: TargetMigration,
        cutover: Cutover,
        test: MigrationTest,
    ) -> None:
        self._recovery = engine.recovery
        self._zfs = engine.ports.zfs
        self._datasets = jails.datasets
        self._source = source
        self._target = target
        self._cutover = cutover
        self._test = test

    async def destroy_unreceived(self, dataset: str) -> bool:
        """Destroy a dataset of a jail that is coming, unless its stream can be gone on with."""
        if not self._target.is_receiving(dataset.rpartition("/")[2]):
            return False
        if await self._zfs.resume_token(dataset) is None:
            work = self._datasets.destroy_all(dataset)
            await self._recovery.attempt(f"destroyed {dataset}, left of a receive", work)
        return True

    async def thaw_or_fence(self, entry: JailEntry, record: JailRecord) -> bool:
        """Make a jail that is frozen active here again, fence a copy that has left."""
        if record.state is Ownership.FROZEN:
            message = f"jail {entry.name} is active here again after a migration"
            await self._recovery.attempt(message, self._source.thaw(entry, record))
        elif record.state in {Ownership.MOVED, Ownership.FENCED}:
            await self._cutover.fence(entry)
        return False

    async def sweep_clones(self, found: Found) -> None:
        """Destroy what is left of clones."""
        await self._recovery.quietly(self._sweep(found.clones))

    async def _sweep(self, clones: Sequence[str]) -> None:
        for message in await self._test.sweep(clones):
            await self._recovery.tell(message)
