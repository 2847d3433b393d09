"""What was in a jail's datasets when a snapshot was taken: read from clones of it, which are gone again afterwards.

Not every ZFS shows snapshots in a `.zfs` folder (zfs-fuse has none). A crash leaves the clones below `rehearsals/`:
they are destroyed at the next start, as those of test migrations are.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from jaild.engine import generations
from jaild.engine.build import Engine
from jaild.engine.clones import readable
from jaild.engine.inventory import OwnedJail
from jaild.model import layout
from jaild.model.errors import FailedPreconditionError
from jaild.model.etc.tree import Tree
from jaild.model.layers.records import Generation

_ID = 12  # hexadecimal digits


@dataclass(frozen=True, kw_only=True)
class Past:
    """A jail's generation at some time, with the configuration that the jail had."""

    generation: Generation
    etc: Tree
    local_etc: Tree


class PastReader:
    """Reads it."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files

    async def now(self, owned: OwnedJail) -> Past:
        """Return what is in force."""
        return await self._read(owned.entry.folder, owned.generation)

    async def at(self, owned: OwnedJail, tag: str) -> Past:
        """Return what the jail's own dataset had in it at a snapshot.

        No snapshot says which of its generations was the active one: it is that which is active now, or, where it was
        not there yet, the last one before. `FailedPreconditionError` (GENERATION_MISSING) if there was none.
        """
        name = owned.entry.name
        async with self.opened(name, tag, "") as folder:
            found = await generations.folders(self._files, folder)
            numbers = [number for number, names in found.items() if not generations.only_staged(number, names, 0)]
            before = [number for number in numbers if number <= owned.generation.number]
            if not before:
                raise FailedPreconditionError(
                    "GENERATION_MISSING",
                    f"jail {name} had no generation yet at its snapshot {tag}",
                    hint="name a later snapshot",
                    resource=f"jails/{name}",
                )
            generation = await generations.read(self._files, name, layout.generation_folder(folder, max(before)))
            return await self._read(folder, generation)

    async def _read(self, folder: Path, generation: Generation) -> Past:
        within = layout.generation_folder(folder, generation.number)
        return Past(
            generation=generation,
            etc=await self._files.read_tree(within / layout.ETC),
            local_etc=await self._files.read_tree(within / layout.LOCAL_ETC),
        )

    @asynccontextmanager
    async def opened(self, jail: str, tag: str, path: str) -> AsyncIterator[Path]:
        """Mount one of a jail's datasets (`path` as `Layout.part` has it) as it was at a snapshot, read-only."""
        snapshot = f"{self._inventory.where.part(jail, path)}@{tag}"
        name = uuid.uuid4().hex[:_ID]
        async with readable(self._inventory.where, self._zfs, self._files, snapshot, name) as folder:
            yield folder
