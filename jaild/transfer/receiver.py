"""Taking ZFS streams from a migration's source, each compared by guid before it counts; looking into what came.

What is offered is only said; what is in the datasets is what starts. A copy that is kept stays unmounted: nothing but
these few reads is done in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.datasets import JailDatasets
from jaild.layers.arrivals import Arrivals
from jaild.model import layout
from jaild.model.errors import DataLossError, FailedPreconditionError, InvalidArgumentError, JaildError, NotFoundError
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership
from jaild.model.migration.journal import Journal
from jaild.model.migration.protocol import DatasetOffer, DatasetState, JailOffer, Received, ReceiveHeader
from jaild.model.migration.received import standbys_of
from jaild.model.snapshots import STANDBY, Snapshot, of_migration

Enter = Callable[[Journal], Awaitable[None]]
_LIMIT = 1 << 20  # bytes of a generation's file: ours have a few KiB
_NOTHING = ("", 0, 0)
# Properties that a source may set here. Quotas are not: a copy becomes as large as its source is let, and a quota that
# was right when it first came would refuse what the source may write by now, or wrote above its refquota before ZFS
# counted it. Its owner sets them, by the spec: `JailDatasets.keep_to_quotas`.
_CARRIED = frozenset({"recordsize", "compression"})


class Receiver:
    """Receives layers and a jail's datasets, and reads what would start out of them."""

    def __init__(self, engine: Engine, arrivals: Arrivals, datasets: JailDatasets) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._datasets = datasets
        self._arrivals = arrivals
        self._files = engine.ports.files
        self._clock = engine.ports.clock
        self._locks: dict[str, asyncio.Lock] = {}  # what is sent twice is received one after the other
        self._came: dict[str, tuple[str, int, int]] = {}  # dataset -> what came into it last: migration, attempt, guid
        self._marked: dict[str, set[int]] = {}  # jail -> guids of what came from its owner and is known as jaild's
        self._late: dict[str, set[int]] = {}  # dataset -> guids of what came while the jail was down: not marked yet
        self.on_received: list[Callable[[str, int], None]] = []  # told what each piece of a stream is of, and its bytes
        self._opened: dict[str, str] = {}  # copies that are mounted to be read: dataset, by jail
        self._log = structlog.get_logger("jaild.receiver")

    async def layer(self, journal: Journal, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Take a base or release; one that comes with several jails at once is taken from the first of them.

        `InvalidArgumentError` (LAYER_NOT_OFFERED), `DataLossError` (GUID_MISMATCH).
        """
        offered = next((layer for layer in journal.offer.jail.layers if layer.path == header.layer), None)
        if offered is None or header.tag != layout.SEALED:
            raise InvalidArgumentError(
                "LAYER_NOT_OFFERED", f"{header.layer} is not a layer of this migration", hint="offer it at its begin"
            )
        if header.origin_path != offered.origin_path:
            raise InvalidArgumentError(
                "LAYER_NOT_OFFERED", f"{header.origin_path} is not the origin that was offered", hint="begin it again"
            )

        async def receive(dataset: str, origin: str | None) -> int:
            return await self._stream(dataset, header, chunks, {"readonly": "on"}, origin)

        size = await self._arrivals.take(offered, receive, journal.peer, migration=journal.id)
        return Received(guid=offered.guid, bytes=size)

    async def dataset(
        self,
        journal: Journal,
        header: ReceiveHeader,
        chunks: AsyncIterator[bytes],
        *,
        enter: Enter | None = None,
        purpose: str = "",
    ) -> Received:
        """Take one of the jail's datasets; `enter` puts the record on the first one (as incoming if not said).

        `purpose`: what its snapshots are for, if they are not the migration's.

        `InvalidArgumentError` (DATASET_NOT_OFFERED), `DataLossError` (GUID_MISMATCH).
        """
        offered = next((d for d in journal.offer.jail.datasets if d.path == header.dataset), None)
        if offered is None:
            raise InvalidArgumentError(
                "DATASET_NOT_OFFERED",
                f"{header.dataset!r} is not a dataset of this migration",
                hint="offer it at its begin",
            )
        dataset = self._inventory.where.part(journal.jail, header.dataset)
        async with self._locks.setdefault(dataset, asyncio.Lock()):
            enter, purpose = enter or self.enter, purpose or of_migration(journal.id)
            return await self._dataset(journal, dataset, offered, header, chunks, enter=enter, purpose=purpose)

    async def _dataset(
        self,
        journal: Journal,
        dataset: str,
        offered: DatasetOffer,
        header: ReceiveHeader,
        chunks: AsyncIterator[bytes],
        *,
        enter: Enter,
        purpose: str,
    ) -> Received:
        owned = OwnedSnapshots(self._zfs, dataset)
        came = self._came.pop(dataset, _NOTHING)  # put back if this stream comes too
        known = came[2] if header.attempt and came[:2] == (header.migration, header.attempt) else 0
        there = [known] if known else await self.guids(dataset)
        newest = there[-1] if there else 0
        if header.guid in there:
            self._came[dataset] = came
            return Received(guid=header.guid)
        closed = {} if header.dataset else {"readonly": "on"}  # parts come later, and have it from the jail's own
        properties = {"canmount": "noauto", **closed}
        properties |= {k: v for k, v in offered.properties.items() if k in _CARRIED}
        carried = {} if newest else properties
        size = await self._stream(dataset, header, chunks, carried, clean=known != 0, newest=newest)
        superseded: list[Snapshot] = []
        if not header.urgent:  # what the jail is down for is compared once, before this host prepares
            # Others may make snapshots at any moment, so that it need not be the newest.
            arrived = await self._snapshots(dataset)
            _require_guid(header, header.guid if any(s.guid == header.guid for s in arrived) else 0)
            late = self._late.get(dataset, set())
            own = await owned.keep(purpose, (header.guid, *late), among=arrived)
            superseded = [s for s in own if s.guid != header.guid]
            self._marked.setdefault(journal.jail, set()).update((header.guid, *late))
            late.clear()
        else:
            self._late.setdefault(dataset, set()).add(header.guid)
        if not header.dataset and journal.jail not in self._inventory.jails:
            await enter(journal)
        if superseded and purpose != STANDBY:  # of a replica's rounds some stay: they go when one is whole
            await owned.drop(superseded)
        self._came[dataset] = (header.migration, header.attempt, header.guid)
        return Received(guid=header.guid, bytes=size)

    async def _stream(
        self,
        dataset: str,
        header: ReceiveHeader,
        chunks: AsyncIterator[bytes],
        properties: dict[str, str],
        origin: str | None = None,
        *,
        clean: bool = False,
        newest: int = 0,
    ) -> int:
        """Receive a stream, or the rest of one that was interrupted; return its bytes.

        `clean`: nothing interrupted can be here. `newest` is the guid of the newest snapshot here, 0 if there is none.
        `FailedPreconditionError` (TOKEN_STALE) if what is here of it is not what the sender goes on from.
        """
        resumable = header.attempt > 0  # a migration's: others begin anew
        token = "" if clean else await self._zfs.resume_token(dataset) or ""
        counted = _Counted(chunks, partial(self._tell, header.of))
        if not header.resume_token:
            if token:
                await self._zfs.abort_receive(dataset)
            await self._zfs.receive(
                dataset, counted.chunks(), origin=origin, resumable=resumable, properties=properties, newest=newest
            )
            return counted.bytes
        if token != header.resume_token:
            raise FailedPreconditionError(
                "TOKEN_STALE",
                f"what was received of {header.layer or header.dataset or '.'} is not what the stream goes on from",
                hint="send it from the beginning",
            )
        await self._zfs.receive(dataset, counted.chunks(), resumable=True)
        if properties:  # a resumed stream brings none
            await self._zfs.set(dataset, properties)
        return counted.bytes

    def _tell(self, of: str, size: int) -> None:
        for hear in self.on_received:
            hear(of, size)

    async def take_over(self, jail: JailOffer, here: Iterable[DatasetState], purpose: str) -> None:
        """Take for jaild's own what has come of a jail, and an end of this daemon kept from being marked so.

        `here`: what there is of its datasets.
        """
        own = {guid for dataset in jail.datasets for guid in dataset.own_guids}
        came = own.intersection(guid for dataset in here for guid in dataset.snapshot_guids)
        if not came <= self._marked.get(jail.name, set()):
            await OwnedSnapshots(self._zfs, self._inventory.where.jail(jail.name)).keep(purpose, came)
        self._marked[jail.name] = came

    async def close_as_one(self, jail: str) -> bool:
        """Let the parts of a copy be read-only by the jail's own dataset, and not each by itself; tell if they are.

        So one property opens all of them while the jail is down: each takes a transaction group of its own.
        """
        try:
            root, *parts = await self._zfs.datasets(self._inventory.where.jail(jail))
        except NotFoundError:
            return True  # what comes will be
        if not root.readonly:
            return False
        for part in parts:
            await self._zfs.inherit(part.name, "readonly")
        return True

    async def enter(self, journal: Journal) -> None:
        """Put the record on the jail's dataset as soon as there is one, and the jail into the index."""
        jail = journal.offer.jail
        record = JailRecord(
            uid=jail.uid,
            owner=journal.offer.source_id,
            epoch=jail.epoch,
            state=Ownership.INCOMING,
            generation=jail.generation,
            desired=Desired(jail.desired),
            created=jail.created or self._clock.now(),
            migration=journal.id,
            peer=journal.peer,
            standbys=standbys_of(jail, self._inventory.host_name),
        )
        found = await self._zfs.dataset(self._inventory.where.jail(journal.jail))
        folder = found.mountpoint or self._inventory.folder_of_jails / journal.jail
        entry = JailEntry(name=journal.jail, dataset=found.name, folder=folder)
        await self._datasets.write(entry, record)
        self._inventory.jails[journal.jail] = entry

    async def require(self, jail: str, guids: Mapping[str, int]) -> None:
        """Raise `DataLossError` (GUID_MISMATCH) if a dataset of a jail does not end with the snapshot of that guid.

        Later snapshots of others are no matter as long as nothing was written since.
        """
        where = self._inventory.where.parts(jail, ("", *guids))
        found: dict[str, list[Snapshot]] = {}
        with suppress(NotFoundError):
            for snapshot in await self._zfs.snapshots(where[""], recursive=True):
                found.setdefault(snapshot.dataset, []).append(snapshot)
        for path, guid in guids.items():
            there = found.get(where[path], [])
            wanted = next((snapshot for snapshot in there if snapshot.guid == guid), None)
            if wanted is None or (wanted is not there[-1] and not await self._zfs.is_unchanged(wanted.name)):
                raise DataLossError(
                    "GUID_MISMATCH",
                    f"{jail}/{path or '.'} does not end with the snapshot that was announced",
                    hint="send it again; of a migration: the source aborts, migrate again",
                )

    async def require_unwritten(self, jail: str, guids: Mapping[str, int]) -> None:
        """Raise `FailedPreconditionError` (DATASET_MODIFIED) if a part of a jail was written to since it came.

        What has not changed at its owner is not sent again while the jail is down, so that no receive finds that out.
        The jail's own dataset always is, and may be mounted to be read. Not every ZFS can tell.
        """
        if not (await self._zfs.capabilities()).written:
            return
        where = self._inventory.where.parts(jail, guids)
        try:
            written = await self._zfs.written(self._inventory.where.jail(jail))
        except NotFoundError:
            return  # `require` says so
        for path in guids:
            if path and written.get(where[path]) and not await self._is_as_newest(where[path]):
                raise FailedPreconditionError(
                    "DATASET_MODIFIED",
                    f"{where[path]} was written to on {self._inventory.host_name} since it came",
                    hint="look at what was written; the source aborts: migrate again",
                    resource=f"jails/{jail}",
                )

    async def _is_as_newest(self, dataset: str) -> bool:
        """Ask again with care: what an import after a crash has put in order counts as written, too."""
        there = await self._snapshots(dataset)
        return bool(there) and await self._zfs.is_unchanged(there[-1].name)

    async def guids(self, dataset: str) -> list[int]:
        """Return the guids of a dataset's snapshots, oldest first; none if it is not here."""
        return [snapshot.guid for snapshot in await self._snapshots(dataset)]

    async def _snapshots(self, dataset: str) -> list[Snapshot]:
        try:
            return await self._zfs.snapshots(dataset)
        except NotFoundError:
            return []

    # -- the generation inside a copy: not mounted ─► mounted, read-only ─► read, by descriptor ─► unmounted

    async def generation_of_copy(self, jail: str, number: int) -> Generation:
        """Return a generation of a copy, which is left as it was. Errors as `open_copy`."""
        try:
            return await self.open_copy(jail, number)
        finally:
            await self.close_copy(jail)

    async def open_copy(self, jail: str, number: int) -> Generation:
        """Return a generation of a copy; what was mounted for it stays so until `close_copy`.

        `FailedPreconditionError` (GENERATION_MISSING, GENERATION_UNREADABLE), and what mounting or reading raises.
        """
        entry = self._inventory.jail(jail)
        try:
            return await self.read_copy(entry.folder, jail, number)  # it is mounted: a salvage writes to it
        except FailedPreconditionError as error:
            if error.reason != "GENERATION_MISSING":
                raise
        self._opened[jail] = entry.dataset
        await self._zfs.mount(entry.dataset)
        return await self.read_copy(entry.folder, jail, number)

    async def close_copy(self, jail: str) -> None:
        """Unmount a copy that `open_copy` has mounted. If somebody uses it, it stays mounted, read-only as it is."""
        dataset = self._opened.pop(jail, None)
        if dataset is None:
            return
        try:
            await self._zfs.unmount(dataset)
        except JaildError as error:
            self._log.warning("a copy stays mounted", jail=jail, reason=error.reason, error=str(error))

    async def read_copy(self, folder: Path, jail: str, number: int) -> Generation:
        """Return a generation of a copy that is mounted at `folder`; errors as `open_copy`."""
        path = layout.generation_folder(Path(), number) / layout.GENERATION
        try:
            text = await self._files.read_below(folder, path, _LIMIT)
            return msgspec.json.decode(text, type=Generation)
        except NotFoundError:
            raise FailedPreconditionError(
                "GENERATION_MISSING",
                f"what came of jail {jail} has no generation {number}",
                hint="nothing of it is started; send it again",
                resource=f"jails/{jail}",
            ) from None
        except msgspec.DecodeError as error:
            raise FailedPreconditionError(
                "GENERATION_UNREADABLE",
                f"generation {number} of what came of jail {jail} cannot be read: {error}",
                hint="nothing of it is started; see what its source has there",
                resource=f"jails/{jail}",
            ) from error


class _Counted:
    def __init__(self, chunks: AsyncIterator[bytes], hear: Callable[[int], None]) -> None:
        self._chunks = chunks
        self._hear = hear
        self.bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self.bytes += len(chunk)
            self._hear(len(chunk))
            yield chunk


def _require_guid(header: ReceiveHeader, guid: int) -> None:
    if guid != header.guid:
        raise DataLossError(
            "GUID_MISMATCH",
            f"{header.layer or header.dataset or '.'}@{header.tag} arrived with another guid than announced",
            hint="the source aborts; migrate again",
            detail={"announced": str(header.guid), "there": str(guid)},
        )
