"""Undoing what came of a migration that was aborted: the host is as it was before the migration began.

What it had not is destroyed; an older copy is rolled back to the snapshot that it ended with, its record too. Layers
that came whole stay: they are complete, and the next try needs them.
"""

from __future__ import annotations

from contextlib import suppress

from jaild.engine.inventory import Inventory, JailEntry
from jaild.jails.datasets import JailDatasets
from jaild.model.errors import NotFoundError
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.migration.journal import Journal
from jaild.ports.zfs import Zfs
from jaild.transfer.snapshots import MigrationSnapshots


class AbortCleanup:
    """Throws away. Runs in the jail's queue only, before the commit point."""

    def __init__(self, inventory: Inventory, zfs: Zfs, datasets: JailDatasets, snapshots: MigrationSnapshots) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._datasets = datasets
        self._snapshots = snapshots

    async def discard(self, journal: Journal) -> None:
        """Undo; done again it changes nothing."""
        await self._interrupted_layers(journal)
        entry = self._inventory.jails.get(journal.jail)
        if entry is not None and entry.record is not None and entry.record.migration != journal.id:
            return  # the jail here has nothing to do with it
        if journal.before is not None and entry is not None:
            await self._return(entry, journal, journal.before)
            return
        if journal.keep_copy and entry is not None and entry.record is not None:
            await self._datasets.write(entry, advance(entry.record, Ownership.MOVED))  # its owner is the source
            return
        ghost = entry or JailEntry(name=journal.jail, folder=self._inventory.folder_of_jails / journal.jail)
        for dataset in await self._parts(journal.jail):
            await self._zfs.abort_receive(dataset)
        await self._datasets.destroy_if_there(ghost)
        self._inventory.jails.pop(journal.jail, None)

    async def _interrupted_layers(self, journal: Journal) -> None:
        others = {
            path for who, paths in self._inventory.needed.items() if who != f"migrations/{journal.id}" for path in paths
        }
        for layer in journal.offer.jail.layers:
            kind, _, name = layer.path.partition("/")
            here = self._inventory.bases if kind == "bases" else self._inventory.releases
            if name not in here and layer.path not in others:
                await self._zfs.abort_receive(self._inventory.where.layer(layer.path))

    async def _return(self, entry: JailEntry, journal: Journal, before: JailRecord) -> None:
        root = self._inventory.where.jail(journal.jail)
        for dataset in reversed(await self._parts(journal.jail)):
            had = journal.had.get(dataset.removeprefix(root).lstrip("/"), ())
            with suppress(NotFoundError):  # an interrupted receive into it was all there was
                if not await self._snapshots.return_to_before(dataset, had):
                    await self._datasets.destroy_all(dataset)
        await self._datasets.write(entry, before)

    async def _parts(self, jail: str) -> list[str]:
        try:
            return [dataset.name for dataset in await self._zfs.datasets(self._inventory.where.jail(jail))]
        except NotFoundError:
            return []
