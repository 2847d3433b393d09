"""The snapshots that migrations make and leave: taken, held, and dropped when no copy can be continued from them.

On the source, after each round: the target holds the new one ─► bookmark of the new one ─► hold of the old one released
─► old one destroyed. What the two hosts keep of a migration that is over, of each dataset: the jail itself the bookmark
of the last snapshot that came (that itself where this ZFS has no bookmarks), the copy that stays the last two that were
made: of a dataset in which nothing was written between them, the last one was not sent. So a move back is an increment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model.errors import NotFoundError
from jaild.model.layout import BOOKMARKS_PROPERTY
from jaild.model.migration.journal import Journal
from jaild.model.snapshots import MIGRATION, STANDBY, Bookmark, Snapshot, of_migration
from jaild.ports.zfs import Zfs

_MARKS = 64  # of a property: 3 KiB, were each of a tag of its own
_HEX = re.compile(r"[0-9a-f]+").fullmatch


def tag_of(migration: str, what: object) -> str:
    """Return the name of a migration's snapshots: `what` is their number. Whose they are their property says."""
    return f"mig-{migration[:12]}-{what}"


class MigrationSnapshots:
    """Those of one jail on this host (`dataset`: its own), on either side of a migration."""

    def __init__(self, zfs: Zfs, dataset: str) -> None:
        self._zfs = zfs
        self._dataset = dataset
        self._owned = OwnedSnapshots(zfs, dataset)

    async def take(self, migration: str, what: object, *, hold: bool = True) -> list[Snapshot]:
        """Snapshot all of the jail's datasets at once, hold the snapshots, and return them, parents first."""
        return await self._owned.take(tag_of(migration, what), of_migration(migration), hold=hold)

    async def tagged(self, migration: str, tag: str, *, hold: bool = True) -> list[Snapshot]:
        """Return a migration's snapshots of that name, parents first, held."""
        return await self._owned.tagged(tag, of_migration(migration), hold=hold)

    async def newest(self, migration: str) -> tuple[int, str] | None:
        """Return number and name of the newest snapshot that a migration has made; None for none."""
        tags = [s.tag for s in await self._owned.of(of_migration(migration)) if s.dataset == self._dataset]
        if not tags:
            return None
        number, _, _ = tags[-1].removeprefix(tag_of(migration, "")).partition(".")
        return (int(number) if number.isdigit() else len(tags)), tags[-1]

    async def supersede(self, migration: str, tag: str) -> None:
        """Keep of a migration's rounds only the one that the target has now."""
        own = await self._owned.of(of_migration(migration))
        marks = await self._bookmarked([s for s in own if s.tag == tag])
        await self._owned.drop([s for s in own if s.tag != tag])
        if marks is not None:
            start = tag_of(migration, "")  # of jaild's own bookmarks, those of this migration
            await marks.drop(lambda mark: mark.tag.startswith(start) and mark.tag != tag)

    async def thin(self) -> None:
        """Keep of a copy that stays behind the last two snapshots: a move back is an increment onto one of them."""
        await self._keep(await self._owned.of(MIGRATION), _last_two)
        marks = await _Marks.read(self._zfs, self._dataset)
        await marks.drop(lambda _: True)

    async def settle(self) -> None:
        """Keep of a jail that has come here what a move back starts from: a bookmark, which takes no space.

        Done again, also after a crash in it, it keeps the same.
        """
        own = await self._owned.of(MIGRATION)
        marks = await self._bookmarked(_newest(own))
        if marks is None:
            await self._keep(own, _newest)
            return
        await self._owned.drop(own)
        # Of each dataset: they need not all end with one round. What a crash in the line above leaves changes nothing.
        kept = marks.newest()
        await marks.drop(lambda mark: mark.name not in kept)

    async def forget_rounds(self) -> None:
        """Drop the rounds' snapshots of a jail that nobody keeps a replica of any more: nothing goes on from them."""
        await self._owned.drop(await self._owned.of(STANDBY))

    async def came(self, journal: Journal) -> None:
        """Take for jaild's own what a migration has brought last, in the time in which the jail was down."""
        await self._owned.keep(of_migration(journal.id), journal.guids.values())

    async def aborted(self, journal: Journal) -> None:
        """Drop what a migration that was aborted has made here; what a copy that was kept is continued from, stays."""
        if journal.keep_copy:
            await self.settle()
            return
        await self._owned.drop(await self._owned.of(of_migration(journal.id)))
        start = tag_of(journal.id, "")
        marks = await _Marks.read(self._zfs, self._dataset)
        await marks.drop(lambda mark: mark.tag.startswith(start))

    async def _keep(self, own: Sequence[Snapshot], choose: Callable[[Sequence[Snapshot]], list[Snapshot]]) -> None:
        kept = choose(own)
        await self._owned.hold(kept)
        await self._owned.drop([s for s in own if s not in kept])

    async def _bookmarked(self, snapshots: Sequence[Snapshot]) -> _Marks | None:
        """Return the jail's bookmarks, with new ones of these snapshots; None where this ZFS has none."""
        if not (await self._zfs.capabilities()).bookmarks:
            return None
        marks = await _Marks.read(self._zfs, self._dataset)
        await marks.add(snapshots)
        return marks


async def return_to_before(zfs: Zfs, dataset: str, guids: Sequence[int]) -> bool:
    """Take a dataset of a copy back to the newest of the snapshots that it had before a migration came.

    Returns whether it had any. `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep what came since.
    """
    await zfs.abort_receive(dataset)
    found = await zfs.snapshots(dataset)
    place = max((i for i, snapshot in enumerate(found) if snapshot.guid in guids), default=None)
    if place is None:
        return False
    if newer := found[place + 1 :]:
        await OwnedSnapshots(zfs, dataset).return_to(found[place], newer)
    return True


class _Marks:
    """A jail's bookmarks that are jaild's, as they were read: which are, properties of its dataset say.

    What is to be made is written there before it is made, and what is gone is taken out after it went.
    """

    def __init__(self, zfs: Zfs, dataset: str, texts: dict[str, str], own: dict[str, Bookmark]) -> None:
        self._zfs = zfs
        self._dataset = dataset
        self._texts = texts  # by property
        self._own = own  # by name

    @classmethod
    async def read(cls, zfs: Zfs, dataset: str) -> _Marks:
        properties = (await zfs.dataset(dataset)).properties
        texts = {name: text for name, text in properties.items() if name.startswith(BOOKMARKS_PROPERTY)}
        own = frozenset(mark for text in texts.values() for mark in marks_of(text))
        found = await zfs.bookmarks(dataset, recursive=True)
        return cls(zfs, dataset, texts, {mark.name: mark for mark in found if (mark.tag, mark.guid) in own})

    def newest(self) -> set[str]:
        """Return the names of each dataset's newest. They are in their order: as they were read, then those made."""
        return set({mark.dataset: mark.name for mark in self._own.values()}.values())

    async def add(self, snapshots: Sequence[Snapshot]) -> None:
        """Bookmark snapshots."""
        made = [Bookmark(dataset=s.dataset, tag=s.tag, guid=s.guid, created=s.created) for s in snapshots]
        await self._write([*self._own.values(), *made])
        for snapshot in snapshots:
            await self._zfs.bookmark(snapshot.name, snapshot.tag)
        self._own |= {mark.name: mark for mark in made}

    async def drop(self, goes: Callable[[Bookmark], bool]) -> None:
        """Destroy those that `goes` is true of."""
        for mark in list(self._own.values()):
            if goes(mark):
                with suppress(NotFoundError):  # somebody was faster
                    await self._zfs.destroy(mark.name)
                del self._own[mark.name]
        await self._write(self._own.values())

    async def _write(self, marks: Iterable[Bookmark]) -> None:
        texts = enumerate(marks_texts({(mark.tag, mark.guid) for mark in marks}), 1)
        wanted = {f"{BOOKMARKS_PROPERTY}{f'.{n}' if n > 1 else ''}": text for n, text in texts}
        if changed := {name: text for name, text in wanted.items() if self._texts.get(name) != text}:
            await self._zfs.set(self._dataset, changed)  # at once: a ZFS with bookmarks can
        for name in self._texts.keys() - wanted.keys():
            await self._zfs.inherit(self._dataset, name)
        self._texts = wanted


def _newest(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    return list({snapshot.dataset: snapshot for snapshot in snapshots}.values())


def _last_two(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Return the newest of each dataset, and the one before it if the same migration has made that."""
    newest = _newest(snapshots)
    purposes = {(s.dataset, s.purpose) for s in newest}
    return [*newest, *_newest([s for s in snapshots if s not in newest and (s.dataset, s.purpose) in purposes])]


def marks_of(text: str) -> frozenset[tuple[str, int]]:
    """Return which bookmarks (tag and guid) a jail's property names as jaild's: `TAG=GUID.GUID,TAG=GUID`, in hex."""
    groups = (group.partition("=") for group in text.split(",") if group)
    return frozenset((tag, int(guid, 16)) for tag, _, guids in groups for guid in guids.split(".") if _HEX(guid))


def marks_texts(marks: Iterable[tuple[str, int]]) -> list[str]:
    """Return the properties' texts for these bookmarks: three rounds of each dataset, and a property takes 4 KiB."""
    ordered = sorted(marks)
    return [_marks_text(ordered[at : at + _MARKS]) for at in range(0, len(ordered), _MARKS)]


def _marks_text(marks: Iterable[tuple[str, int]]) -> str:
    by_tag: dict[str, list[str]] = {}
    for tag, guid in marks:
        by_tag.setdefault(tag, []).append(f"{guid:x}")
    return ",".join(f"{tag}={'.'.join(guids)}" for tag, guids in by_tag.items())
