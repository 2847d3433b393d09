"""The snapshots that migrations make and leave: taken, held, and dropped when no copy can be continued from them.

On the source, after each round: the target holds the new one ─► bookmark of the new one ─► hold of the old one released
─► old one destroyed. What the two hosts keep of a migration that is over: the copy that stays its last snapshot, the
jail itself the bookmark of it (its snapshot where this ZFS has no bookmarks), so that a move back is an increment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from jaild.domain import layout
from jaild.domain.journal import Journal
from jaild.domain.migration import HOLD, MIGRATION
from jaild.domain.peering import LayerOffer
from jaild.ports.zfs import Snapshot, Zfs
from jaild.service.index import Index


def prefix(migration: str) -> str:
    """Return what the tags of a migration's snapshots begin with; their number follows."""
    return f"{MIGRATION}{migration[:12]}-"


def _layer_hold(migration: str) -> str:
    return f"{HOLD}-{migration[:12]}"  # two migrations may send one layer


class MigrationSnapshots:
    """Those of this host's jails, on either side of a migration."""

    def __init__(self, index: Index, zfs: Zfs) -> None:
        self._index = index
        self._zfs = zfs

    async def take(self, jail: str, tag: str, *, hold: bool = True) -> list[Snapshot]:
        """Snapshot all of a jail's datasets at once, hold the snapshots, and return them, parents first."""
        await self._zfs.snapshot(self._index.where.jail(jail), tag, recursive=True)
        return await self.tagged(jail, tag, hold=hold)

    async def tagged(self, jail: str, tag: str, *, hold: bool = True) -> list[Snapshot]:
        """Return the jail's snapshots of that tag, parents first, held."""
        root = self._index.where.jail(jail)
        found = [s for s in await self._zfs.snapshots(root, recursive=True) if s.tag == tag]
        if hold:
            await self._zfs.hold(HOLD, *(s.name for s in found))
        return sorted(found, key=lambda s: s.dataset)

    async def newest_number(self, jail: str, migration: str) -> int | None:
        """Return the number of the newest snapshot that a migration has made of a jail; None if there is none."""
        own = prefix(migration)
        numbers = [s.tag.removeprefix(own) for s in await self._of(jail) if s.tag.startswith(own)]
        return max((int(number) for number in numbers if number.isdigit()), default=None)

    @asynccontextmanager
    async def held_layers(self, migration: str, layers: Sequence[LayerOffer]) -> AsyncIterator[None]:
        """Keep layers from being destroyed while they are sent."""
        try:
            await self._zfs.hold(_layer_hold(migration), *self._sealed(layers))
            yield
        finally:
            await self.release_layers(migration, layers)

    async def release_layers(self, migration: str, layers: Sequence[LayerOffer]) -> None:
        """Let layers go, of which a crash may have left the holds."""
        await self._zfs.release(_layer_hold(migration), *self._sealed(layers))

    def _sealed(self, layers: Sequence[LayerOffer]) -> list[str]:
        return [f"{self._index.where.layer(layer.path)}@{layout.SEALED}" for layer in layers]

    async def supersede(self, jail: str, migration: str, tag: str) -> None:
        """Keep of a migration's rounds only the one that the target has now."""
        own = [s for s in await self._of(jail) if s.tag.startswith(prefix(migration))]
        await self._bookmark([s for s in own if s.tag == tag])
        await self._drop([s for s in own if s.tag != tag])
        await self._drop_bookmarks(jail, prefix(migration), keep={tag})

    async def thin(self, jail: str) -> None:
        """Keep of a copy that stays behind only the newest snapshot: a move back is an increment onto it."""
        await self._keep_only(jail, await self._newest(jail))
        await self._drop_bookmarks(jail, MIGRATION)

    async def settle(self, jail: str) -> None:
        """Keep of a jail that has come here what a move back starts from: a bookmark, which takes no space.

        Done again, also after a crash in it, it keeps the same.
        """
        newest = await self._newest(jail)
        if not await self._bookmark(newest):
            await self._keep_only(jail, newest)
            return
        await self._drop(await self._of(jail))
        kept = {s.tag for s in newest} or await self._newest_marks(jail)
        await self._drop_bookmarks(jail, MIGRATION, keep=kept)

    async def aborted(self, journal: Journal) -> None:
        """Drop what a migration that was aborted has made here; what a copy that was kept is continued from, stays."""
        if journal.keep_copy:
            await self.settle(journal.jail)
        else:
            await self.drop_rounds(journal.jail, journal.id)

    async def drop_rounds(self, jail: str, migration: str) -> None:
        """Drop what a migration that was aborted has made here."""
        await self._drop([s for s in await self._of(jail) if s.tag.startswith(prefix(migration))])
        await self._drop_bookmarks(jail, prefix(migration))

    async def drop_older(self, dataset: str, migration: str, tag: str) -> None:
        """Drop what came of a migration into one dataset, but the newest."""
        found = [s for s in await self._zfs.snapshots(dataset) if s.tag.startswith(prefix(migration))]
        await self._drop([s for s in found if s.tag != tag])

    async def return_to_before(self, dataset: str, migration: str) -> bool:
        """Take a copy back to what it was before a migration came; return whether there was anything before."""
        await self._zfs.abort_receive(dataset)
        found = await self._zfs.snapshots(dataset)
        before = [s for s in found if not s.tag.startswith(prefix(migration))]
        if not before:
            return False
        if before[-1] != found[-1]:
            await self._drop([s for s in found if s not in before])
            await self._zfs.rollback(before[-1].name)
        return True

    async def _keep_only(self, jail: str, kept: Sequence[Snapshot]) -> None:
        names = {snapshot.name for snapshot in kept}  # by name: what one uses changes while the jail writes
        await self._zfs.hold(HOLD, *sorted(names))
        await self._drop([s for s in await self._of(jail) if s.name not in names])

    async def _newest(self, jail: str) -> list[Snapshot]:
        return list({snapshot.dataset: snapshot for snapshot in await self._of(jail)}.values())

    async def _newest_marks(self, jail: str) -> set[str]:
        found = await self._zfs.bookmarks(self._index.where.jail(jail), recursive=True)
        own = sorted((mark for mark in found if mark.tag.startswith(MIGRATION)), key=lambda mark: mark.created)
        return {mark.tag for mark in {mark.dataset: mark for mark in own}.values()}

    async def _of(self, jail: str) -> list[Snapshot]:
        root = self._index.where.jail(jail)
        return [s for s in await self._zfs.snapshots(root, recursive=True) if s.tag.startswith(MIGRATION)]

    async def _bookmark(self, snapshots: Sequence[Snapshot]) -> bool:
        if not (await self._zfs.capabilities()).bookmarks:
            return False
        for snapshot in snapshots:
            await self._zfs.bookmark(snapshot.name, snapshot.tag)
        return True

    async def _drop(self, snapshots: Sequence[Snapshot]) -> None:
        await self._zfs.release(HOLD, *(snapshot.name for snapshot in snapshots))
        for snapshot in snapshots:
            await self._zfs.destroy(snapshot.name)

    async def _drop_bookmarks(self, jail: str, start: str, keep: frozenset[str] | set[str] = frozenset()) -> None:
        for mark in await self._zfs.bookmarks(self._index.where.jail(jail), recursive=True):
            if mark.tag.startswith(start) and mark.tag not in keep:
                await self._zfs.destroy(mark.name)
