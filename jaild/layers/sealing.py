"""Making layers: a dataset is filled, described, made read-only and sealed; whatever goes wrong leaves nothing behind.

The snapshot @sealed is the commit point: a dataset without it is what a crash left, and recovery destroys it.
Every way to a base ends with `BaseSealing`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.engine.inventory import AnyLayer, Layer, LayerRecord
from jaild.engine.operations import Handle
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.layers import contents
from jaild.model import layout, names
from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from jaild.model.etc import identity
from jaild.model.layers.osversion import OsVersion
from jaild.model.layers.records import BaseRecord, encode
from jaild.model.problems import Plan
from jaild.ports.archives import Extracted
from jaild.ports.files import Files
from jaild.ports.zfs import Zfs

Fill = Callable[[Path], Awaitable[LayerRecord]]
Unpack = Callable[[Path], Awaitable[Extracted]]  # fills the tree
Look = Callable[[OsVersion], None]  # raises if that is not what was expected


class Sealer:
    """Makes sealed datasets, and takes them away."""

    def __init__(self, zfs: Zfs, files: Files) -> None:
        self._zfs = zfs
        self._files = files
        self._lent: Counter[str] = Counter()  # datasets that are being read by other hosts

    @contextmanager
    def lent(self, dataset: str) -> Iterator[None]:
        """Keep a layer from being destroyed while another host reads it: not every ZFS does (zfs-fuse 0.7.0)."""
        self._lent[dataset] += 1
        try:
            yield
        finally:
            self._lent[dataset] -= 1

    async def seal(self, dataset: str, prop: str, fill: Fill[LayerRecord], *, origin: str = "") -> Layer[LayerRecord]:
        """Create `dataset` (from the layer `origin` if given), let `fill` put a tree into its folder, and seal it."""
        making = self._zfs.clone(f"{origin}@{layout.SEALED}", dataset) if origin else self._zfs.create(dataset)
        await self._made(dataset, making)
        async with undo_on_error(lambda: self._zfs.destroy(dataset, recursive=True)):
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

    async def _filled(self, dataset: str, prop: str, fill: Fill[LayerRecord]) -> Layer[LayerRecord]:
        made = await self._zfs.dataset(dataset)
        if made.mountpoint is None or not made.mounted:
            raise FailedPreconditionError(
                "DATASET_NOT_MOUNTED",
                f"{dataset} was made but is not mounted",
                hint=f"give {dataset.rpartition('/')[0]} a mountpoint: zfs set mountpoint=/jaild ...",
            )
        await self._files.make_folder(made.mountpoint / layout.TREE)
        record = await fill(made.mountpoint)
        prefix = contents.prefix_of(record)
        libraries = await self._files.libraries(made.mountpoint / layout.TREE, prefix)
        await self._files.write(made.mountpoint / layout.LIBRARIES, msgspec.json.encode(libraries))
        await contents.write_index(self._files, made.mountpoint, prefix, made.mountpoint, libraries)
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

    async def layer(self, dataset: str, record: LayerRecord) -> Layer[LayerRecord]:
        """Return a dataset that is sealed, as the inventory holds it."""
        found = await self._zfs.dataset(dataset)
        guid = next((s.guid for s in await self._zfs.snapshots(dataset) if s.tag == layout.SEALED), None)
        if guid is None or found.mountpoint is None:
            raise NotFoundError(
                "NOT_SEALED", f"{dataset} has no @{layout.SEALED}", hint="import it again", resource=dataset
            )
        return Layer(
            dataset=dataset,
            guid=guid,
            folder=found.mountpoint,
            tree=found.mountpoint / layout.TREE,
            used=found.used,
            record=record,
            origin=found.origin,
        )

    async def destroy(self, layer: AnyLayer) -> None:
        """Take a layer away. `FailedPreconditionError` (DATASET_HAS_CLONES) if another one is made from it."""
        await self.require_unclaimed(layer)
        await self._zfs.unmount(layer.dataset)  # refused while something uses it: then nothing was touched
        async with undo_on_error(lambda: self._zfs.mount(layer.dataset)):
            await self._zfs.destroy(layer.dataset, recursive=True)

    async def require_unclaimed(self, layer: AnyLayer) -> None:
        """Raise `FailedPreconditionError` (SNAPSHOTS_IN_USE) if somebody, or a transfer, keeps a layer's snapshot."""
        if self._lent[layer.dataset]:
            raise FailedPreconditionError(
                "SNAPSHOTS_IN_USE",
                f"deleting {layer.dataset} has to wait: another host is fetching it",
                hint="wait until that is over; the event layer.received on that host says when",
                resource=layer.dataset,
            )
        await OwnedSnapshots(self._zfs, layer.dataset).require_unclaimed(f"deleting {layer.dataset}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a base comes from."""

    sha256: str = ""  # of what came
    image: str = ""  # in a registry, with its digest
    origin: str = ""  # name of the base that it is a clone of
    look: Look = lambda _: None


class BaseSealing:
    """Makes bases."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
        self._inventory = engine.inventory
        self._sealer = sealer
        self._files = engine.ports.files
        self._events = engine.events
        self._clock = engine.ports.clock

    async def seal(self, handle: Handle, base_id: str, unpack: Unpack, source: Source) -> str:
        """Fill a new dataset by `unpack` and seal it as a base; return its resource name. A failure leaves nothing."""
        self.require_new(base_id)

        async def fill(folder: Path) -> BaseRecord:
            tree = folder / layout.TREE
            extracted = await unpack(tree)
            await handle.phase(layout.SEALING, "reading version and libraries")
            system = await self._files.system(tree)
            source.look(system)
            made = await self._files.make_mount_points(tree, system.family)
            shared = await self._identity(handle, tree)
            notes = (*shared, *extracted.notes, *((f"made mount points: {', '.join(made)}",) if made else ()))
            return BaseRecord(
                name=base_id,
                family=system.family,
                version=system.version,
                abi=system.abi,
                osreldate=system.osreldate,
                sha256=source.sha256,
                image=source.image,
                imported=self._clock.now(),
                files=extracted.files,
                size=extracted.size,
                notes=tuple(note[:200] for note in notes[:8]),
            )

        origin = self._inventory.base(source.origin).dataset if source.origin else ""
        layer = await self._sealer.seal(self._inventory.where.base(base_id), layout.BASE_PROPERTY, fill, origin=origin)
        self._inventory.bases[base_id] = layer
        await self._events.emit("base.sealed", f"bases/{base_id}", f"guid {layer.guid}", sha256=source.sha256)
        return f"bases/{base_id}"

    async def _identity(self, handle: Handle, tree: Path) -> list[str]:
        """Tell of files that should be one machine's alone; return that as notes."""
        data = await self._files.matching(tree, identity.DATA)
        problems = identity.in_base(await self._files.read_tree(tree / layout.ETC), data)
        if problems:
            operation = handle.operation
            handle.note(plan=Plan(kind=operation.kind, target=operation.target, problems=problems))
        return [f"{problem.code}: {problem.message}" for problem in problems]

    def require_new(self, base_id: str) -> None:
        """Raise `AlreadyExistsError` (BASE_EXISTS), `InvalidArgumentError` (INVALID_NAME)."""
        names.base(base_id)
        if base_id in self._inventory.bases:
            raise AlreadyExistsError(
                "BASE_EXISTS",
                f"base {base_id} is here already, and bases never change",
                hint="import it under another name, or delete the one that is there",
                resource=f"bases/{base_id}",
            )
