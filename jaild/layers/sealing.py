"""Making layers: a dataset is filled, described, made read-only and sealed; whatever goes wrong leaves nothing behind.

The snapshot @sealed is the commit point: a dataset without it is what a crash left, and recovery destroys it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from jaild.engine.inventory import Layer
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.engine.undo import UndoOnError
from jaild.model import layout
from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.layers.records import BaseRecord, ReleaseRecord
from jaild.ports.files import Files
from jaild.ports.zfs import Zfs

MAX_RECORD = 4000  # bytes of JSON in a property: every ZFS takes that (zfs-fuse ends at 8 KiB, with a crash)
Fill = Callable[[Path], Awaitable[BaseRecord | ReleaseRecord]]


class Sealer:
    """Makes sealed datasets, and takes them away."""

    def __init__(self, zfs: Zfs, files: Files) -> None:
        self._zfs = zfs
        self._files = files

    async def seal(self, dataset: str, prop: str, fill: Fill, *, origin: str = "") -> Layer:
        """Create `dataset` (from the layer `origin` if given), let `fill` put a tree into its folder, and seal it."""
        making = self._zfs.clone(f"{origin}@{layout.SEALED}", dataset) if origin else self._zfs.create(dataset)
        await self._made(dataset, making)
        async with UndoOnError(lambda: self._zfs.destroy(dataset, recursive=True)):
            return await self._filled(dataset, prop, fill)

    async def _made(self, dataset: str, making: Coroutine[Any, Any, None]) -> None:
        # Not interrupted in the middle: then nobody knew whether the dataset is there, and whose it is.
        task = asyncio.create_task(making, name=f"make {dataset}")
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            if task.exception() is None:
                await self._zfs.destroy(dataset, recursive=True)
            raise

    async def _filled(self, dataset: str, prop: str, fill: Fill) -> Layer:
        made = await self._zfs.dataset(dataset)
        if made.mountpoint is None or not made.mounted:
            raise FailedPreconditionError(
                "DATASET_NOT_MOUNTED",
                f"{dataset} was made but is not mounted",
                remedy=f"give {dataset.rpartition('/')[0]} a mountpoint: zfs set mountpoint=/jaild ...",
            )
        await self._files.make_folder(made.mountpoint / layout.TREE)
        record = await fill(made.mountpoint)
        libraries = await self._files.libraries(made.mountpoint / layout.TREE, _prefix(record))
        await self._files.write(made.mountpoint / layout.LIBRARIES, msgspec.json.encode(libraries))
        name = "base.json" if isinstance(record, BaseRecord) else "release.json"
        await self._files.write(made.mountpoint / name, msgspec.json.format(msgspec.json.encode(record)))
        await self._zfs.set(dataset, {prop: encode(record)})
        await self._zfs.set(dataset, {"readonly": "on"})
        await self._zfs.snapshot(dataset, layout.SEALED)
        return await self.layer(dataset, record)

    async def ensure_parent(self, dataset: str) -> None:
        """Make the dataset above a layer (a release's app) if it is not there."""
        try:
            await self._zfs.create(dataset.rpartition("/")[0])
        except AlreadyExistsError:
            return  # an earlier release made it

    async def layer(self, dataset: str, record: BaseRecord | ReleaseRecord) -> Layer:
        """Return a dataset that is sealed, as the inventory holds it."""
        found = await self._zfs.dataset(dataset)
        guid = next((s.guid for s in await self._zfs.snapshots(dataset) if s.tag == layout.SEALED), None)
        if guid is None or found.mountpoint is None:
            raise NotFoundError(
                "NOT_SEALED", f"{dataset} has no @{layout.SEALED}", remedy="import it again", resource=dataset
            )
        return Layer(
            dataset=dataset, guid=guid, folder=found.mountpoint, used=found.used, record=record, origin=found.origin
        )

    async def destroy(self, layer: Layer) -> None:
        """Take a layer away. `FailedPreconditionError` (DATASET_HAS_CLONES) if another one is made from it."""
        await self.require_unclaimed(layer)
        await self._zfs.unmount(layer.dataset)  # refused while something uses it: then nothing was touched
        async with UndoOnError(lambda: self._zfs.mount(layer.dataset)):
            await self._zfs.destroy(layer.dataset, recursive=True)

    async def require_unclaimed(self, layer: Layer) -> None:
        """Raise `FailedPreconditionError` (SNAPSHOTS_IN_USE) if somebody, or a transfer, keeps a layer's snapshot."""
        await OwnedSnapshots(self._zfs).require_unclaimed(layer.dataset, f"deleting {layer.dataset}")


def _prefix(record: BaseRecord | ReleaseRecord) -> str:
    return "/" if isinstance(record, BaseRecord) else record.manifest.mount_point


def encode(record: msgspec.Struct) -> str:
    """Return a record as a property holds it. `InvalidArgumentError` (RECORD_TOO_LARGE)."""
    text = msgspec.json.encode(record).decode()
    if len(text.encode()) > MAX_RECORD:
        raise InvalidArgumentError(
            "RECORD_TOO_LARGE",
            f"the record is {len(text.encode())} bytes, {MAX_RECORD} is the most that a ZFS property can hold",
            remedy="shorten the manifest: fewer environment variables, accounts or directories",
        )
    return text
