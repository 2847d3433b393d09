"""A jail coming file by file from a host whose pool cannot be read whole: the target's side.

The migration itself is `jaild.migration.target`'s: begin, prepare and activate are the same, so who owns the jail is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.jails.build import JailParts
from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Generation
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import ReceiveHeader
from jaild.model.migration.received import offered_generation
from jaild.model.salvage import Report
from jaild.ports.salvage import Written
from jaild.transfer.build import TransferParts
from jaild.transfer.snapshots import MigrationSnapshots

REPORT = "salvage.json"  # on the jail's own dataset


class SalvageIn:
    """Receives files, and keeps the list of what did not come."""

    def __init__(self, engine: Engine, jails: JailParts, transfer: TransferParts) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._trees = engine.ports.file_trees
        self._journals = transfer.journals
        self._datasets = jails.datasets
        self._keys = engine.keys
        self._receiver = transfer.receiver
        self._lock = asyncio.Lock()  # a host takes one salvage at a time

    def _journal(self, migration: str) -> Journal:
        journal = self._journals.find(migration, outgoing=False)
        if journal is None or journal.phase is not Phase.RECEIVING or journal.before is not None:
            raise FailedPreconditionError(
                "MIGRATION_PHASE", f"no files of migration {migration} are expected", hint="begin it again"
            )
        return journal

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Written:
        """Take the files of one dataset into a new one."""
        async with self._lock:
            journal = self._journal(header.migration)
            offered = next((d for d in journal.offer.jail.datasets if d.path == header.dataset), None)
            if offered is None:
                raise InvalidArgumentError(
                    "DATASET_NOT_OFFERED",
                    f"{header.dataset!r} is no dataset of it",
                    hint="begin it again",
                )
            dataset = self._inventory.where.part(journal.jail, header.dataset)
            closed = {"canmount": "noauto"}
            if header.dataset:
                await self._keys.create(dataset, offered_generation(journal.offer.jail).spec, closed)
            else:
                await self._zfs.create(dataset, closed)
            if not header.dataset:
                await self._receiver.enter(journal)
            await self._zfs.mount(dataset)
            return await self._trees.write(await self._folder(dataset), chunks)

    async def _folder(self, dataset: str) -> Path:
        found = await self._zfs.dataset(dataset)
        if found.mountpoint is None or not found.mounted:
            raise FailedPreconditionError(
                "DATASET_NOT_MOUNTED", f"{dataset} is not mounted", hint="see that its parent has a mountpoint"
            )
        return found.mountpoint

    async def finish(self, migration: str, text: str) -> dict[str, int]:
        """Keep the report with the jail, and make what came durable; return the guids of its snapshots."""
        async with self._lock:
            journal = self._journal(migration)
            report = _report(text)
            entry, record = self._inventory.permitted(journal.jail, Intent.READ)
            await self._files.write(entry.folder / REPORT, msgspec.json.format(msgspec.json.encode(report)))
            await self._mend(entry.folder, journal)
            await self._datasets.write(entry, msgspec.structs.replace(record, salvaged=report.summary))
            # What was staged may have come in parts: nothing tells whether it is what was made.
            offered = msgspec.structs.replace(journal.offer.jail, staged=None)
            offer = msgspec.structs.replace(journal.offer, jail=offered)
            await self._journals.put(msgspec.structs.replace(journal, offer=offer))
            taken = await MigrationSnapshots(self._zfs, entry.dataset).take(migration, "files")
            return {snapshot.dataset.removeprefix(entry.dataset).lstrip("/"): snapshot.guid for snapshot in taken}

    async def _mend(self, folder: Path, journal: Journal) -> None:
        """Write the active generation's own file if it did not come: the source knew it by heart."""
        path = layout.generation_folder(folder, journal.offer.jail.generation) / layout.GENERATION
        told = journal.offer.jail.generation_json.encode()
        try:
            msgspec.json.decode(await self._files.read(path), type=Generation)
        except (NotFoundError, msgspec.DecodeError):
            await self._files.make_folder(path.parent)
            await self._files.write(path, told, mode=layout.SECRET_MODE)

    async def report(self, name: str) -> Report:
        """Return what a jail lost when it was salvaged. `NotFoundError` (NOT_SALVAGED)."""
        entry = self._inventory.jail(name)
        try:
            return _report((await self._files.read(entry.folder / REPORT)).decode())
        except NotFoundError:
            raise NotFoundError(
                "NOT_SALVAGED",
                f"jail {name} has no list of losses here",
                hint="only a salvaged jail has one, on the host that owns it",
                resource=f"jails/{name}",
            ) from None


def _report(text: str) -> Report:
    try:
        return msgspec.json.decode(text, type=Report)
    except msgspec.DecodeError as error:
        raise InvalidArgumentError(
            "INVALID_PEER_MESSAGE", f"the report of a salvage cannot be read: {error}", hint="salvage it again"
        ) from error
