"""Backups in a folder (implements `jaild.ports.backups.Vault`): a file for each stream, and what they are.

    PATH/web.1a2b3c4d.backup-20261130t181500z/backup-20261130t181500z/{0.zfs, 1.zfs, manifest.json}

A backup is written beside them as `.part` and renamed when all of it is on the disk; one that goes is renamed back
before. What a crash leaves of either is taken away with the next of its lineage. Checksums are asked before anything of
a stream is used. Others may write there, as on a share: names are those of folders, never what a manifest says, and no
link is followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import msgspec

from jaild.adapters.files.errors import explained
from jaild.model.backups.records import Backup, BackupPart, Lineage, is_of
from jaild.model.backups.targets import Directory
from jaild.model.errors import DataLossError
from jaild.ports.backups import Sending, Stream

_MANIFEST = "manifest.json"
_PART = ".part"
_PIECE = 1 << 20
_MOST = 1 << 20  # bytes of a manifest


class DirectoryVault:
    """Those in a folder."""

    chained = True

    def __init__(self, settings: Directory) -> None:
        self._path = settings.path
        self.longest: int | None = settings.increments

    async def lineages(self, jail: str = "") -> list[Lineage]:
        """Return what has a manifest that can be read."""
        return await asyncio.to_thread(self._lineages, jail)

    def _lineages(self, jail: str) -> list[Lineage]:
        with explained(self._path):
            folders = sorted(each for each in self._path.iterdir() if _is_folder(each) and is_of(each.name, jail))
            found = [Lineage(name=folder.name, backups=tuple(_backups(folder))) for folder in folders]
        return [lineage for lineage in found if lineage.backups]

    async def append(self, lineage: str, backup: Backup, parts: Sequence[Sending]) -> Backup:
        """Write the streams and the manifest; the rename makes it whole."""
        folder = self._path / lineage / f"{backup.id}{_PART}"
        await asyncio.to_thread(self._begin, folder)
        kept = []
        for number, part in enumerate(parts):
            async with part.open(None) as stream:
                kept.append(await self._written(folder / f"{number}.zfs", part, stream))
        whole = msgspec.structs.replace(backup, parts=tuple(kept))
        await asyncio.to_thread(self._end, folder, whole)
        return whole

    def _begin(self, folder: Path) -> None:
        with explained(folder):
            self._path.stat()  # it must be there: else what is to be mounted there is not
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            _sweep(folder.parent)
            folder.mkdir(mode=0o700)

    async def _written(self, path: Path, part: Sending, stream: AsyncIterator[bytes]) -> BackupPart:
        digest, size = hashlib.sha256(), 0
        with explained(path):
            file: IO[bytes] = await asyncio.to_thread(lambda: path.open("xb"))
        try:
            async for piece in stream:
                with explained(path):
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(digest.update, piece)
                size += len(piece)
            with explained(path):
                await asyncio.to_thread(_sync, file)
        finally:
            await asyncio.to_thread(file.close)
        return BackupPart(path=part.path, guid=part.guid, base=part.base, size=size, sha256=digest.hexdigest())

    def _end(self, folder: Path, backup: Backup) -> None:
        whole = folder.with_name(backup.id)
        with explained(folder):
            with (folder / _MANIFEST).open("xb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(backup)))
                _sync(file)
            _sync_folder(folder)
            folder.rename(whole)
            _sync_folder(whole.parent)
            _sync_folder(self._path)

    async def drop(self, lineage: Lineage, ids: Collection[str]) -> None:
        """Remove folders: the newest first, so that what a crash leaves can be restored."""
        await asyncio.to_thread(self._drop, lineage, ids)

    def _drop(self, lineage: Lineage, ids: Collection[str]) -> None:
        folder = self._path / lineage.name
        with explained(folder):
            for backup in reversed(lineage.backups):
                if backup.id in ids:
                    (folder / backup.id).rename(folder / f"{backup.id}{_PART}")
            _sync_folder(folder)
            _sweep(folder)
            if not any(folder.iterdir()):
                folder.rmdir()

    def streams(self, lineage: Lineage, backup: Backup, path: str) -> Sequence[Stream]:
        """Return the full one and all increments up to this backup."""
        found: list[Stream] = []
        for each in lineage.backups:
            for number, part in enumerate(each.parts):
                if part.path == path:
                    found = [] if part.base == 0 else found
                    found.append(_stream(self._path / lineage.name / each.id / f"{number}.zfs", part))
            if each.id == backup.id:
                break
        return found


def _backups(folder: Path) -> list[Backup]:
    found = []
    for each in sorted(folder.iterdir()):
        if each.name.endswith(_PART) or not _is_folder(each) or not os.path.lexists(each / _MANIFEST):
            continue
        try:
            backup = msgspec.json.decode(_manifest(each / _MANIFEST), type=Backup)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _damaged(each / _MANIFEST, str(error)) from error
        if backup.id != each.name:
            raise _damaged(each / _MANIFEST, f"it is of {backup.id!r}, and its folder of another one")
        found.append(backup)
    return sorted(found, key=lambda backup: backup.taken)


def _sweep(folder: Path) -> None:
    """Remove what is not whole: nobody else writes into this lineage, which is of one jail and one target."""
    for each in folder.iterdir():
        if each.name.endswith(_PART) and _is_folder(each):
            shutil.rmtree(each)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _manifest(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(_MOST + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    if not 0 < len(text) <= _MOST:
        raise _damaged(path, "it is no file of a manifest's size")
    return text


def _damaged(path: Path, why: str) -> DataLossError:
    return DataLossError(
        "BACKUP_DAMAGED",
        f"{path} cannot be read: {why}",
        hint="take it away if it is none of jaild's; what is left of it may be restored by zfs receive",
    )


@asynccontextmanager
async def _stream(path: Path, part: BackupPart) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give a stream that has the checksum which is said of it."""
    with explained(path):
        digest = await asyncio.to_thread(_digest, path)
    if digest != part.sha256:
        raise DataLossError(
            "BACKUP_DAMAGED",
            f"{path} is not what was written: its checksum is another one",
            hint="restore an earlier backup, or one of another target",
            detail={"sha256": digest, "written": part.sha256},
        )
    with path.open("rb") as file:
        yield _pieces(file)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
