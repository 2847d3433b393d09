"""What differs between two generations of a jail."""

from __future__ import annotations

import asyncio

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import AnyLayer, JailEntry
from jaild.layers.contents import LayerContents
from jaild.model import access, layout
from jaild.model.contents.comparison import Comparison, Side, compare
from jaild.model.contents.index import Contents, FileSums
from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.etc.tree import Tree
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Generation
from jaild.model.views import Caller


class Comparisons:
    """Reads; changes nothing."""

    def __init__(self, engine: Engine, contents: LayerContents) -> None:
        self._inventory = engine.inventory
        self._files = engine.ports.files
        self._contents = contents

    async def of(self, jail: str, before: int, after: int, caller: Caller) -> Comparison:
        """Compare two generations; `after` 0: the active one, `before` 0: the newest below that.

        `NotFoundError` (JAIL_NOT_FOUND, GENERATION_NOT_FOUND), `ResourceExhaustedError` (TREE_TOO_LARGE).
        JAIL_MOVED and the like: ask its owner.
        """
        entry = self._inventory.jail(jail)
        if entry.record is not None:
            self._inventory.permitted(jail, Intent.LOOK_INTO)
        later = after or (entry.generation.number if entry.generation is not None else 0)
        earlier = before or max(
            (number for number in await self._inventory.committed(entry) if number < later), default=0
        )
        old, new = [await self._generation(entry, number) for number in (earlier, later)]
        notes: list[str] = []
        sides = [await self._side(entry, generation, notes) for generation in (old, new)]
        values = all(access.sees_values(caller, each.release.partition("/")[0]) for each in (old, new))
        found = await asyncio.to_thread(compare, *sides, values=values)
        return msgspec.structs.replace(found, notes=(*found.notes, *dict.fromkeys(notes)))

    async def _generation(self, entry: JailEntry, number: int) -> Generation:
        if not number:
            raise NotFoundError(
                "GENERATION_NOT_FOUND",
                f"jail {entry.name} has no earlier generation that is kept here",
                hint=f"list them: jailctl jail generations {entry.name}",
                resource=f"jails/{entry.name}",
            )
        return await self._inventory.generation(entry, number)

    async def _side(self, entry: JailEntry, generation: Generation, notes: list[str]) -> Side:
        stack = self._inventory.stack(generation.base, generation.release)
        layers: list[AnyLayer] = [stack.base, *([stack.release] if stack.release is not None else [])]
        read = [await self._read(layer, notes) for layer in layers]
        folder = layout.generation_folder(entry.folder, generation.number)
        etc: dict[str, Tree] = {"/etc": await self._files.read_tree(folder / layout.ETC)}
        if stack.release is not None:
            etc[f"{stack.manifest.mount_point}/etc"] = await self._files.read_tree(folder / layout.LOCAL_ETC)
        return Side(
            generation=generation,
            contents=[contents for contents, _ in read],
            base=read[0][1],
            release=read[1][1] if len(read) > 1 else FileSums(),
            etc=etc,
        )

    async def _read(self, layer: AnyLayer, notes: list[str]) -> tuple[Contents, FileSums]:
        try:
            contents, files = await self._contents.of(layer), await self._contents.files(layer)
        except FailedPreconditionError as error:
            notes.append(f"not compared: {error.message}; {error.hint}")
            return Contents(), FileSums()
        notes.extend(f"{layer.dataset}: {problem}" for problem in contents.problems)
        return contents, files
