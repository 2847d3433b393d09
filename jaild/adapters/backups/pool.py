"""Backups on a pool (implements `jaild.ports.backups.Vault`): of another host by ssh, on which only ZFS is needed.

    DATASET/web.1a2b3c4d.backup-20261130t181500z        jaild:backup:ID  the backup, of each that is whole
    DATASET/web.1a2b3c4d.backup-20261130t181500z/data   @ID of each

What is interrupted is gone on with by ZFS's own token. Snapshots of others on these datasets are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

import msgspec

from jaild.model.backups.records import Backup, BackupPart, Lineage, is_of
from jaild.model.errors import DataLossError, FailedPreconditionError, NotFoundError
from jaild.ports.backups import Sending, Stream
from jaild.ports.zfs import Zfs

_PROPERTY = "jaild:backup:"
_PURPOSE = "backup"
_GOING = "going"  # in the place of a backup that is being dropped
_CLOSED = {"canmount": "noauto", "readonly": "on"}


class PoolVault:
    """Those below a dataset."""

    longest: int | None = None
    chained = False

    def __init__(self, zfs: Zfs, dataset: str) -> None:
        self._zfs = zfs
        self._dataset = dataset

    async def lineages(self, jail: str = "") -> list[Lineage]:
        """Return what is whole: what its property says, of the datasets that have its snapshot."""
        return [await self._lineage(name) for name in await self._tops() if is_of(name, jail)]

    async def _tops(self) -> list[str]:
        below = f"{self._dataset}/"
        names = sorted({d.name.removeprefix(below) for d in await self._zfs.datasets(self._dataset)} - {self._dataset})
        return [name for name in names if "/" not in name]

    async def _lineage(self, name: str) -> Lineage:
        top = f"{self._dataset}/{name}"
        properties = (await self._zfs.dataset(top)).properties
        parts: dict[str, list[BackupPart]] = {}
        for snapshot in await self._zfs.snapshots(top, recursive=True):
            path = snapshot.dataset.removeprefix(top).lstrip("/")
            parts.setdefault(snapshot.tag, []).append(BackupPart(path=path, guid=snapshot.guid))
        found = []
        for prop, text in properties.items():
            if not prop.startswith(_PROPERTY):
                continue
            with suppress(msgspec.DecodeError):  # not whole, or somebody else's
                backup = msgspec.json.decode(text, type=Backup)
                if backup.id in parts:
                    found.append(msgspec.structs.replace(backup, parts=tuple(parts[backup.id])))
        return Lineage(name=name, backups=tuple(sorted(found, key=lambda backup: backup.taken)))

    async def append(self, lineage: str, backup: Backup, parts: Sequence[Sending]) -> Backup:
        """Receive what is missing; its property, set last, makes it whole."""
        for name in await self._tops():
            if name.startswith(f"{backup.jail}.{backup.uid[:8]}."):
                await self._end(f"{self._dataset}/{name}")
        top = f"{self._dataset}/{lineage}"
        for part in parts:
            await self._take(f"{top}/{part.path}" if part.path else top, part)
        tops = (f"{top}/{part.path}" if part.path else top for part in parts)
        await self._zfs.mark(_PURPOSE, *(f"{each}@{backup.id}" for each in tops))
        text = msgspec.json.encode(backup).decode()
        await self._zfs.set(top, {f"{_PROPERTY}{backup.id}": text})
        return msgspec.structs.replace(backup, parts=tuple(BackupPart(path=p.path, guid=p.guid) for p in parts))

    async def _take(self, dataset: str, part: Sending) -> None:
        there = await self._guids(dataset)
        if part.guid in there:
            return
        token = await self._zfs.resume_token(dataset)
        try:
            await self._receive(dataset, part, token, is_new=not there)
        except FailedPreconditionError as error:
            if token is None or error.reason != "TOKEN_STALE":
                raise
            await self._zfs.abort_receive(dataset)
            await self._receive(dataset, part, None, is_new=not there)
        if part.guid not in await self._guids(dataset):
            raise DataLossError(
                "GUID_MISMATCH", f"{dataset} does not have what was sent", hint="look at it there; it is sent again"
            )

    async def _receive(self, dataset: str, part: Sending, token: str | None, *, is_new: bool) -> None:
        async with part.open(token) as stream:
            properties = _CLOSED if is_new and token is None else {}
            await self._zfs.receive(dataset, stream, resumable=True, properties=properties)
        if is_new and token is not None:  # a resumed stream brings none
            await self._zfs.set(dataset, _CLOSED)

    async def _guids(self, dataset: str) -> list[int]:
        try:
            return [snapshot.guid for snapshot in await self._zfs.snapshots(dataset)]
        except NotFoundError:
            return []

    async def drop(self, lineage: Lineage, ids: Collection[str]) -> None:
        """Destroy snapshots; a dataset only if nobody else has one on it."""
        top = f"{self._dataset}/{lineage.name}"
        await self._zfs.set(top, {f"{_PROPERTY}{each}": _GOING for each in ids})  # first: from here on it is not whole
        await self._end(top)

    async def _end(self, top: str) -> None:
        """Destroy what was begun to be dropped; done again after a crash, the rest of it."""
        properties = (await self._zfs.dataset(top)).properties
        going = {prop.removeprefix(_PROPERTY) for prop, text in properties.items() if text == _GOING}
        if not going:
            return
        for snapshot in await self._zfs.snapshots(top, recursive=True):
            if snapshot.tag in going and snapshot.purpose == _PURPOSE:
                await self._zfs.destroy(snapshot.name)
        if not await self._zfs.snapshots(top, recursive=True):
            await self._zfs.destroy(top, recursive=True)
            return
        for each in going:
            await self._zfs.inherit(top, f"{_PROPERTY}{each}")

    def streams(self, lineage: Lineage, backup: Backup, path: str) -> Sequence[Stream]:
        """Return one: full, of the snapshot."""
        top = f"{self._dataset}/{lineage.name}"
        return [self._zfs.send(f"{top}/{path}@{backup.id}" if path else f"{top}@{backup.id}")]
