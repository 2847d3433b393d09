"""The data of a jail that begins with an older one's: cloned where that is a dataset of the pool, else copied.

A clone takes no time and no space, and leaves what it is of as it was, but for a snapshot: that stays as long as the
clone does, and goes with the jail (`JailDatasets.destroy`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from jaild.adoption.survey import Found, dataset_at
from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.datasets import JailDatasets
from jaild.model import layout
from jaild.model.etc import identity
from jaild.model.layers.records import Generation
from jaild.model.snapshots import CLONE
from jaild.ports.zfs import Dataset


class Seeding:
    """Makes the datasets of a new jail that has what an older one had."""

    def __init__(self, engine: Engine, datasets: JailDatasets) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._keys = engine.keys
        self._datasets = datasets

    async def fill(self, found: Found, entry: JailEntry, generation: Generation) -> None:
        """Make the jail's data and volumes; a folder of the data that the old jail has not is the base's."""
        spec = generation.spec
        # A clone is encrypted as what it is of, which the old jail's data are not, or not by this jail's key.
        cloned = await self._cloned(found, entry, generation) if found.dataset and spec.encryption is None else set()

        async def make(dataset: str, properties: Mapping[str, str]) -> None:
            await self._keys.create(dataset, spec, properties)

        data = entry.folder / layout.DATA
        if layout.DATA in cloned:
            await self._files.reduce(data, found.data)
        else:
            await self._datasets.bring(entry, spec, layout.DATA, make)
            for name, path in found.data.items():
                await self._files.copy(found.own, data / name, below=path)
        for name in spec.volumes.keys() - cloned:
            if name in found.volumes:  # one that nothing is brought to is made empty, as any new one
                await self._datasets.bring(entry, spec, name, make)
                await self._copy(found, found.volumes[name], entry.folder / name)
        await self._complete(generation.base, data, found.data)

    async def _cloned(self, found: Found, entry: JailEntry, generation: Generation) -> set[str]:
        """Clone the old jail's dataset, and those in it that are volumes; return which parts came so."""
        await self._datasets.drop_cloned(found.dataset)  # what an earlier try may have left
        async with self._datasets.cloning:
            tag = await OwnedSnapshots(self._zfs, found.dataset).make(f"jaild-{entry.name}", CLONE)
            of = {layout.DATA: found.dataset, **self._nested(found, await self._zfs.datasets(found.dataset))}
            for path, dataset in of.items():
                await self._datasets.bring(entry, generation.spec, path, partial(self._clone, f"{dataset}@{tag}"))
        return set(of)

    @staticmethod
    def _nested(found: Found, there: Sequence[Dataset]) -> dict[str, str]:
        """Return the volumes that are datasets below the old jail's own, with these."""
        at = {name: dataset_at(there, folder) for name, folder in found.volumes.items()}
        return {name: dataset.name for name, dataset in at.items() if dataset is not None}

    async def _clone(self, snapshot: str, dataset: str, properties: Mapping[str, str]) -> None:
        await self._zfs.clone(snapshot, dataset, properties)

    async def _copy(self, found: Found, source: Path, destination: Path) -> None:
        inside = source.is_relative_to(found.own)  # the old jail's to write: no link is followed
        top, below = (found.own, str(source.relative_to(found.own))) if inside else (source, "")
        await self._files.copy(top, destination, below=below)

    async def _complete(self, base: str, data: Path, there: Mapping[str, str]) -> None:
        tree = self._inventory.base(base).tree
        others = await self._files.matching(tree, identity.DATA)
        for folder in (each for each in layout.DATA_FOLDERS if each not in there):
            without = [path.removeprefix(f"{folder}/") for path in others if path.startswith(f"{folder}/")]
            await self._files.copy(tree / folder, data / folder, without=without)
