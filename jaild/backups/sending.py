"""A jail's backup to a target: all of its datasets at one moment, each an increment of what is there already.

snapshot ─► streams, parents first ─► whole ─► bookmarks of it, the snapshot dropped ─► old ones dropped there
└── lost line, crash: the same snapshot is gone on with by the next attempt
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry, OwnedJail
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model.backups.records import Backup, Lineage, continued, doomed, is_of, lineage_name
from jaild.model.backups.targets import TargetSettings
from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.jails.spec import Keep
from jaild.model.layers.records import JailRecord
from jaild.model.snapshots import BACKUP, Bookmark, Snapshot
from jaild.ports.backups import Sending, Stream, Vault

_PROPERTY = "jaild:backup:"  # on a jail's dataset, with a target's name: the tags of our bookmarks for it
_KINDS = frozenset({"off", "-", ""})  # of encryption


class BackupSending:
    """Sends them, one at a time to each target."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._clock = engine.ports.clock
        self._settings: Mapping[str, TargetSettings] = engine.place.backups
        self._vaults = {name: engine.ports.vaults.make(each) for name, each in self._settings.items()}
        self._one_at_a_time = {name: asyncio.Lock() for name in self._settings}

    def vault(self, target: str) -> Vault:
        """Return a target. `NotFoundError` (BACKUP_TARGET_NOT_FOUND)."""
        if target not in self._vaults:
            there = ", ".join(sorted(self._vaults)) or "none"
            raise NotFoundError(
                "BACKUP_TARGET_NOT_FOUND",
                f"this host has no backup target {target}",
                hint=f"there are: {there}; they are `backups` in jaild.yaml",
                resource="host",
            )
        return self._vaults[target]

    def targets(self) -> Mapping[str, str]:
        """Return the targets' names, and what may be shown of where they are."""
        return {name: each.destination for name, each in sorted(self._settings.items())}

    async def newest(self, entry: JailEntry, target: str) -> float:
        """Return when the newest backup of a jail at a target was taken; 0 if there is none."""
        if entry.record is None:
            return 0.0
        uid, lineages = entry.record.uid, await self._lineages(self.vault(target), entry.name, entry.record)
        return max((b.taken for lineage in lineages for b in lineage.backups if b.uid == uid), default=0.0)

    async def _lineages(self, vault: Vault, name: str, record: JailRecord) -> list[Lineage]:
        """Return those of all names that the jail has had: what is kept of them is kept together."""
        names = dict.fromkeys((name, *(former.name for former in record.formerly)))
        return [lineage for each in names for lineage in await vault.lineages(each)]

    async def send(self, name: str, target: str, keep: Keep | None) -> Backup:
        """Send one; `keep`: which of the jail's stay there, None for all. Errors of ZFS here and there, and of sshd."""
        vault = self.vault(target)
        async with self._one_at_a_time[target]:
            owned = self._inventory.owned(name, Intent.REPLICATE)
            await self._require_clear(owned.entry)
            lineages = await self._lineages(vault, name, owned.record)
            if keep is not None:  # before, too: a target that is full takes nothing until something goes
                lineages = await self._prune(vault, lineages, owned, keep)
            whole = {backup.id for lineage in lineages for backup in lineage.backups}
            purpose = f"{BACKUP}/{target}"
            snapshots = await self._snapshots(owned.entry, purpose, whole)
            there = await self._bases(owned.entry, {snapshot.guid for snapshot in snapshots})
            guids = {path: {guid for _, guid in bases} for path, bases in there.items()}
            of_name = [each for each in lineages if is_of(each.name, name)]  # one is asked for by the jail's name
            lineage = continued(of_name, owned.record.uid, guids, vault.longest)
            tip = {part.path: part.guid for part in lineage.backups[-1].parts} if lineage is not None else {}
            backup = self._record(owned, snapshots[0])
            parts = [self._sending(owned.entry, snapshot, tip, there) for snapshot in snapshots]
            of = lineage.name if lineage is not None else lineage_name(name, owned.record.uid, backup.id)
            sent = await vault.append(of, backup, parts)
            await self._settle(owned.entry, target, purpose, snapshots)
            if keep is not None:
                await self._prune(vault, await self._lineages(vault, name, owned.record), owned, keep)
            return sent

    async def _require_clear(self, entry: JailEntry) -> None:
        if (await self._zfs.settings(entry.dataset)).get("encryption", "off") not in _KINDS:
            raise FailedPreconditionError(
                "DATASET_ENCRYPTED",
                f"{entry.dataset} is encrypted, and a backup would leave it in the clear",
                hint="send it by your own means (zfs send -w) until jaild sends raw streams",
                resource=f"jails/{entry.name}",
            )

    async def _snapshots(self, entry: JailEntry, purpose: str, whole: set[str]) -> list[Snapshot]:
        """Return the snapshots of an attempt that did not end, or new ones; parents first."""
        owned = OwnedSnapshots(self._zfs, entry.dataset)
        left = [s.tag for s in await owned.of(purpose) if s.dataset == entry.dataset and s.tag not in whole]
        if left:
            return await owned.tagged(left[-1], purpose)
        stamp = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y%m%dt%H%M%Sz")
        return await owned.take(f"backup-{stamp}", purpose)

    async def _bases(self, entry: JailEntry, new: set[int]) -> dict[str, list[tuple[str, int]]]:
        """Return by path what increments may start from: name and guid of snapshots and bookmarks."""
        found: dict[str, list[tuple[str, int]]] = {}
        snapshots = await self._zfs.snapshots(entry.dataset, recursive=True)
        bookmarks = await self._zfs.bookmarks(entry.dataset, recursive=True)
        those: list[Snapshot | Bookmark] = [*snapshots, *bookmarks]
        for each in those:
            path = each.dataset.removeprefix(entry.dataset).lstrip("/")
            known = found.setdefault(path, [])
            if each.guid not in new:
                known.append((each.name, each.guid))
        return found

    def _record(self, owned: OwnedJail, snapshot: Snapshot) -> Backup:
        return Backup(
            id=snapshot.tag,
            jail=owned.entry.name,
            uid=owned.record.uid,
            host=self._inventory.host_name,
            taken=float(snapshot.created),
            record=_slim(owned.record),
            base=owned.generation.base,
            release=owned.generation.release,
        )

    def _sending(
        self,
        entry: JailEntry,
        snapshot: Snapshot,
        tip: Mapping[str, int],
        there: Mapping[str, Sequence[tuple[str, int]]],
    ) -> Sending:
        path = snapshot.dataset.removeprefix(entry.dataset).lstrip("/")
        base = next(((name, guid) for name, guid in there.get(path, ()) if guid == tip.get(path)), None)
        name, guid = base if base is not None else (None, 0)
        return Sending(path=path, guid=snapshot.guid, base=guid, open=partial(self._open, snapshot.name, name))

    def _open(self, snapshot: str, base: str | None, token: str | None) -> Stream:
        return self._zfs.send(snapshot, base=base) if token is None else self._zfs.send(snapshot, token=token)

    async def _settle(self, entry: JailEntry, target: str, purpose: str, sent: Sequence[Snapshot]) -> None:
        """Keep here what the next increment starts from: a bookmark, or where there are none the snapshot itself."""
        owned, tag = OwnedSnapshots(self._zfs, entry.dataset), sent[0].tag
        own = await owned.of(purpose)
        if not (await self._zfs.capabilities()).bookmarks:
            await owned.drop([snapshot for snapshot in own if snapshot.tag != tag])
            return
        prop = f"{_PROPERTY}{target}"
        before = set((await self._zfs.dataset(entry.dataset)).properties.get(prop, "").split()) - {tag}
        await self._zfs.set(
            entry.dataset, {prop: " ".join((*sorted(before), tag))}
        )  # first: a crash leaves none unknown
        for snapshot in sent:
            await self._zfs.bookmark(snapshot.name, tag)
        if before:
            for mark in await self._zfs.bookmarks(entry.dataset, recursive=True):
                if mark.tag in before:
                    with suppress(NotFoundError):  # somebody was faster
                        await self._zfs.destroy(mark.name)
            await self._zfs.set(entry.dataset, {prop: tag})
        await owned.drop(own)

    async def _prune(self, vault: Vault, lineages: list[Lineage], owned: OwnedJail, keep: Keep) -> list[Lineage]:
        """Drop what nothing keeps any more; return what is there then."""
        by_name = {lineage.name: lineage for lineage in lineages}
        gone = doomed(lineages, owned.record.uid, keep, chained=vault.chained)
        for lineage, ids in gone.items():
            await vault.drop(by_name[lineage], ids)
        return await self._lineages(vault, owned.entry.name, owned.record) if gone else lineages


def _slim(record: JailRecord) -> JailRecord:
    """Return a record without what is this host's only: with the rest of a backup it is to fit into one property."""
    return msgspec.structs.replace(
        record, formerly=(), removed_guids=(), removing=(), staged=None, restoring=None, confirm=None, failover=None
    )
