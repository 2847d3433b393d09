"""The snapshots that migrations make and leave: taken, held, and dropped when no copy can be continued from them.

On the source, after each round: the target holds the new one ─► bookmark of the new one ─► hold of the old one released
─► old one destroyed. What the two hosts keep of a migration that is over: the copy that stays its last snapshot, the
jail itself the bookmark of it (its snapshot where this ZFS has no bookmarks), so that a move back is an increment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from jaild.engine.inventory import Inventory
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model import layout
from jaild.model.migration.journal import Journal
from jaild.model.migration.protocol import LayerOffer
from jaild.model.migration.streams import HOLD
from jaild.model.snapshots import MIGRATION, Bookmark, Snapshot, marks_of, marks_texts, of_migration
from jaild.ports.zfs import Zfs


def tag_of(migration: str, what: object) -> str:
    """Return the name of a migration's snapshots: `what` is their number. Whose they are their property says."""
    return f"mig-{migration[:12]}-{what}"


def _layer_hold(migration: str) -> str:
    return f"{HOLD}-{migration[:12]}"  # two migrations may send one layer


class MigrationSnapshots:
    """Those of this host's jails, on either side of a migration."""

    def __init__(self, inventory: Inventory, zfs: Zfs, owned: OwnedSnapshots) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._owned = owned

    async def take(self, jail: str, migration: str, what: object, *, hold: bool = True) -> list[Snapshot]:
        """Snapshot all of a jail's datasets at once, hold the snapshots, and return them, parents first."""
        root = self._inventory.where.jail(jail)
        taken = await self._owned.take(root, tag_of(migration, what), of_migration(migration))
        if hold:
            await self._owned.hold(taken)
        return taken

    async def tagged(self, jail: str, migration: str, tag: str, *, hold: bool = True) -> list[Snapshot]:
        """Return a migration's snapshots of that name, parents first, held."""
        found = await self._owned.tagged(self._inventory.where.jail(jail), tag, of_migration(migration))
        if hold:
            await self._owned.hold(found)
        return found

    async def newest(self, jail: str, migration: str) -> tuple[int, str] | None:
        """Return number and name of the newest snapshot that a migration has made of a jail; None for none."""
        root = self._inventory.where.jail(jail)
        tags = [s.tag for s in await self._owned.of(root, of_migration(migration)) if s.dataset == root]
        if not tags:
            return None
        number, _, _ = tags[-1].removeprefix(tag_of(migration, "")).partition(".")
        return (int(number) if number.isdigit() else len(tags)), tags[-1]

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
        return [f"{self._inventory.where.layer(layer.path)}@{layout.SEALED}" for layer in layers]

    async def supersede(self, jail: str, migration: str, tag: str) -> None:
        """Keep of a migration's rounds only the one that the target has now."""
        own = await self._owned.of(self._inventory.where.jail(jail), of_migration(migration))
        marked = await self._bookmark(jail, [s for s in own if s.tag == tag])
        await self._owned.drop([s for s in own if s.tag != tag])
        if marked:
            start = tag_of(migration, "")  # of jaild's own bookmarks, those of this migration
            await self._drop_bookmarks(jail, lambda mark: mark.tag.startswith(start) and mark.tag != tag)

    async def thin(self, jail: str) -> None:
        """Keep of a copy that stays behind only the newest snapshot: a move back is an increment onto it."""
        await self._keep_only(jail, await self._newest(jail))
        await self._drop_bookmarks(jail)

    async def settle(self, jail: str) -> None:
        """Keep of a jail that has come here what a move back starts from: a bookmark, which takes no space.

        Done again, also after a crash in it, it keeps the same.
        """
        newest = await self._newest(jail)
        if not await self._bookmark(jail, newest):
            await self._keep_only(jail, newest)
            return
        await self._owned.drop(await self._of(jail))
        # By tag, which all datasets have in common: a crash in the line above leaves snapshots of some of them only.
        kept = {s.tag for s in newest} or await self._newest_marks(jail)
        await self._drop_bookmarks(jail, lambda mark: mark.tag not in kept)

    async def came(self, journal: Journal) -> None:
        """Take for jaild's own what a migration has brought last, in the time in which the jail was down."""
        root = self._inventory.where.jail(journal.jail)
        await self._owned.keep(of_migration(journal.id), root, journal.guids.values())

    async def aborted(self, journal: Journal) -> None:
        """Drop what a migration that was aborted has made here; what a copy that was kept is continued from, stays."""
        if journal.keep_copy:
            await self.settle(journal.jail)
            return
        root = self._inventory.where.jail(journal.jail)
        await self._owned.drop(await self._owned.of(root, of_migration(journal.id)))
        start = tag_of(journal.id, "")
        await self._drop_bookmarks(journal.jail, lambda mark: mark.tag.startswith(start))

    async def return_to_before(self, dataset: str, guids: Sequence[int]) -> bool:
        """Take a copy back to the newest of the snapshots that it had before a migration came.

        Returns whether it had any. `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep what came since.
        """
        await self._zfs.abort_receive(dataset)
        found = await self._zfs.snapshots(dataset)
        place = max((i for i, snapshot in enumerate(found) if snapshot.guid in guids), default=None)
        if place is None:
            return False
        if newer := found[place + 1 :]:
            await self._owned.return_to(found[place], newer)
        return True

    async def _keep_only(self, jail: str, kept: Sequence[Snapshot]) -> None:
        names = {snapshot.name for snapshot in kept}  # by name: what one uses changes while the jail writes
        await self._owned.hold(kept)
        await self._owned.drop([s for s in await self._of(jail) if s.name not in names])

    async def _newest(self, jail: str) -> list[Snapshot]:
        return list({snapshot.dataset: snapshot for snapshot in await self._of(jail)}.values())

    async def _newest_marks(self, jail: str) -> set[str]:
        own = sorted(await self._marks(jail), key=lambda mark: mark.created)
        return {mark.tag for mark in {mark.dataset: mark for mark in own}.values()}

    async def _of(self, jail: str) -> list[Snapshot]:
        return await self._owned.of(self._inventory.where.jail(jail), MIGRATION)

    # -- bookmarks: which are jaild's stands in properties of the jail's dataset, before they are made

    async def _marks(self, jail: str) -> list[Bookmark]:
        own = await self._recorded(jail)
        found = await self._zfs.bookmarks(self._inventory.where.jail(jail), recursive=True)
        return [mark for mark in found if (mark.tag, mark.guid) in own]

    async def _recorded(self, jail: str) -> frozenset[tuple[str, int]]:
        return frozenset(mark for text in (await self._records(jail)).values() for mark in marks_of(text))

    async def _records(self, jail: str) -> dict[str, str]:
        found = (await self._zfs.dataset(self._inventory.where.jail(jail))).properties
        return {name: text for name, text in found.items() if name.startswith(layout.BOOKMARKS_PROPERTY)}

    async def _bookmark(self, jail: str, snapshots: Sequence[Snapshot]) -> bool:
        if not (await self._zfs.capabilities()).bookmarks:
            return False
        there = frozenset((mark.tag, mark.guid) for mark in await self._marks(jail))
        await self._record(jail, there | {(snapshot.tag, snapshot.guid) for snapshot in snapshots})
        for snapshot in snapshots:
            await self._zfs.bookmark(snapshot.name, snapshot.tag)
        return True

    async def _drop_bookmarks(self, jail: str, goes: Callable[[Bookmark], bool] = lambda _: True) -> None:
        stay = set()
        for mark in await self._marks(jail):
            if goes(mark):
                await self._zfs.destroy(mark.name)
            else:
                stay.add((mark.tag, mark.guid))
        await self._record(jail, stay)

    async def _record(self, jail: str, marks: Collection[tuple[str, int]]) -> None:
        dataset, here = self._inventory.where.jail(jail), await self._records(jail)
        texts = enumerate(marks_texts(marks), 1)
        wanted = {f"{layout.BOOKMARKS_PROPERTY}{f'.{n}' if n > 1 else ''}": text for n, text in texts}
        if changed := {name: text for name, text in wanted.items() if here.get(name) != text}:
            await self._zfs.set(dataset, changed)  # at once: a ZFS with bookmarks can
        for name in here.keys() - wanted.keys():
            await self._zfs.inherit(dataset, name)
