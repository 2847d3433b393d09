"""What sealed layers hold: the index that was sealed with each, or one that is made later in the daemon's own folder.

A layer that an older jaild sealed, here or on the host that it came from, has none beside its tree, and its dataset is
never changed again. So its index lies in the daemon's folder by the guid of @sealed, which is the same on all hosts.
Nothing of it is kept in memory.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import AnyLayer
from jaild.model import layout
from jaild.model.contents.index import Contents, FileSums, Package
from jaild.model.contents.versions import Ecosystem
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.model.layers.libraries import Libraries
from jaild.model.layers.records import BaseRecord, ReleaseRecord
from jaild.ports.files import Files

_TASK = "index of layers that have none"
_Part = TypeVar("_Part", Contents, FileSums)


def prefix_of(record: BaseRecord | ReleaseRecord) -> str:
    """Return where jails see a layer's tree."""
    return "/" if isinstance(record, BaseRecord) else record.manifest.mount_point


async def write_index(files: Files, layer: Path, prefix: str, into: Path, libraries: Libraries, name: str = "") -> None:
    """Index the tree of a layer in the folder `layer`, and write both parts into the folder `into`."""
    indexed = await files.contents(layer / layout.TREE, prefix, libraries)
    packages = (*indexed.contents.packages, *await _built_in(files, layer))
    contents = msgspec.structs.replace(indexed.contents, packages=packages)
    for part, content in ((layout.FILES, indexed.files), (layout.CONTENTS, contents)):
        await files.write(into / f"{name}{part}", msgspec.json.encode(content))


async def _built_in(files: Files, layer: Path) -> tuple[Package, ...]:
    """Return the packages of a release that was built here: pkg's database was not in its tree."""
    try:
        listed = msgspec.json.decode(await files.read(layer / layout.PACKAGES), type=tuple[str, ...])
    except NotFoundError:
        return ()
    named = [each.rpartition("-") for each in listed]
    return tuple(Package(name=name, version=version, ecosystem=Ecosystem.PKG) for name, _, version in named if name)


class LayerContents:
    """Reads the index of each layer, and has it made where it is missing."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._files = engine.ports.files
        self._supervisor = engine.supervisor
        self._folder = engine.place.contents
        self._unreadable: set[int] = set()  # guids of layers of whose index a part was missing, or damaged

    async def of(self, layer: AnyLayer) -> Contents:
        """Return a layer's packages and libraries. `FailedPreconditionError` (NOT_INDEXED) as long as there is none."""
        return await self._read(layer, layout.CONTENTS, Contents)

    async def files(self, layer: AnyLayer, wanted: bytes = b"") -> FileSums:
        """Return a layer's files; none if `wanted` is given and stands nowhere in them. Errors as `of`."""
        return await self._read(layer, layout.FILES, FileSums, wanted)

    async def _read(self, layer: AnyLayer, part: str, kind: type[_Part], wanted: bytes = b"") -> _Part:
        for path in (layer.folder / part, self._own(layer, part)):
            try:
                content = await self._files.read(path)
            except NotFoundError:
                continue
            if wanted and wanted not in content:
                return kind()
            try:
                return await asyncio.to_thread(msgspec.json.decode, content, type=kind)
            except (ValueError, RecursionError):  # a copy of another jaild's: this one makes its own
                continue
        self._unreadable.add(layer.guid)
        self.begin()
        raise FailedPreconditionError(
            "NOT_INDEXED",
            f"what {layer.dataset} holds is not in an index yet",
            hint="it is being made, `jailctl host show` tells of failures; ask again in a minute",
            resource=layer.dataset,
        )

    def _own(self, layer: AnyLayer, part: str) -> Path:
        return self._folder / f"{layer.guid}.{part}"

    def begin(self) -> None:
        """Have what is missing made, in the background."""
        self._supervisor.retry(_TASK, self._make_missing)

    def heard(self, kind: str, _target: str) -> None:
        """Take an event: a layer that came from an older jaild brings no index."""
        if kind == "layer.received":
            self.begin()

    async def _make_missing(self) -> None:
        layers: list[AnyLayer] = [*self._inventory.bases.values(), *self._inventory.releases.values()]
        await self._files.make_folder(self._folder)
        known = {f"{layer.guid}" for layer in layers}
        for name in await self._files.names(self._folder):
            if name.partition(".")[0] not in known:  # of a layer that is gone, or what a crash left
                await self._files.remove(self._folder / name)
        there = set(await self._files.names(self._folder))
        failures: list[Exception] = []
        for layer in layers:
            own = {self._own(layer, part).name for part in (layout.CONTENTS, layout.FILES)}
            if layer.guid not in self._unreadable and (own <= there or await self._has_its_own(layer)):
                continue
            try:
                await self._make(layer)
                self._unreadable.discard(layer.guid)
            except (JaildError, OSError) as error:  # told when the others have theirs, and tried again
                failures.append(error)
        if failures:
            raise failures[0]

    async def _make(self, layer: AnyLayer) -> None:
        prefix = prefix_of(layer.record)
        libraries = await self._files.libraries(layer.tree, prefix)
        await write_index(self._files, layer.folder, prefix, self._folder, libraries, f"{layer.guid}.")

    async def _has_its_own(self, layer: AnyLayer) -> bool:
        """Say whether it was sealed with an index that can be read here."""
        try:
            content = await self._files.read(layer.folder / layout.CONTENTS)
            await asyncio.to_thread(msgspec.json.decode, content, type=Contents)
        except (NotFoundError, ValueError, RecursionError):
            return False
        return True
