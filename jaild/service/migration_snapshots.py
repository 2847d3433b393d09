"""The snapshots that migrations make and leave: taken, held, and dropped when no copy can be continued from them."""

from __future__ import annotations

from collections.abc import Sequence

from jaild.domain.journal import Journal
from jaild.domain.migration import HOLD, MIGRATION
from jaild.domain.peering import DatasetState
from jaild.ports.zfs import Snapshot, Zfs
from jaild.service.index import Index


def prefix(migration: str) -> str:
    """Return what the tags of a migration's snapshots begin with."""
    return f"{MIGRATION}{migration[:12]}-"


class MigrationSnapshots:
    """Those of this host's jails, on either side of a migration."""

    def __init__(self, index: Index, zfs: Zfs) -> None:
        self._index = index
        self._zfs = zfs

    async def take(self, jail: str, tag: str) -> list[Snapshot]:
        """Snapshot all of a jail's datasets at once, hold the snapshots, and return them, parents first."""
        root = self._index.where.jail(jail)
        await self._zfs.snapshot(root, tag, recursive=True)
        taken = [s for s in await self._zfs.snapshots(root, recursive=True) if s.tag == tag]
        await self._zfs.hold(HOLD, *(s.name for s in taken))
        return sorted(taken, key=lambda s: s.dataset)

    async def thin(self, jail: str) -> None:
        """Drop all but the newest: a move back is an increment from it."""
        snapshots = await self._of(jail)
        newest = {snapshot.dataset: snapshot for snapshot in snapshots}
        await self._drop([snapshot for snapshot in snapshots if newest[snapshot.dataset] != snapshot])

    async def drop_rounds(self, journal: Journal) -> None:
        """Drop what a migration that was aborted has made here, unless the target keeps the copy that it had.

        Such a copy has received some of them, and can only be continued from one that both sides have.
        """
        if not journal.continued:
            snapshots = await self._of(journal.jail)
            await self._drop([snapshot for snapshot in snapshots if snapshot.tag.startswith(prefix(journal.id))])

    async def keep_common(self, jail: str, there: Sequence[DatasetState]) -> None:
        """Drop what earlier migrations left and the target's older copy, if it has one, does not continue from."""
        newest = {state.snapshot_guids[-1] for state in there if state.snapshot_guids}
        if newest:
            await self._drop([snapshot for snapshot in await self._of(jail) if snapshot.guid not in newest])

    async def _of(self, jail: str) -> list[Snapshot]:
        root = self._index.where.jail(jail)
        return [s for s in await self._zfs.snapshots(root, recursive=True) if s.tag.startswith(MIGRATION)]

    async def _drop(self, snapshots: Sequence[Snapshot]) -> None:
        for snapshot in snapshots:
            await self._zfs.release(HOLD, snapshot.name)
            await self._zfs.destroy(snapshot.name)
