"""What a crash left of imports, pushes and builds."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.engine.inventory import Found
from jaild.model import layout


class LayerRecovery:
    """Repairs it."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._operations = engine.operations
        self._recovery = engine.recovery
        self._zfs = engine.ports.zfs

    async def end_sealed(self, _: Found) -> None:
        """End the operations that were past their commit point as done: the layer is sealed, and is here.

        Nobody else sealed it: only one whose turn it was, and that had made the dataset, comes to that phase.
        """
        for operation in self._operations.list():
            sealing = not operation.done and operation.phase == layout.SEALING
            if sealing and self._inventory.has_layer(operation.target):
                await self._operations.finish(operation.id, result=operation.target)
                await self._recovery.tell(f"{operation.target} is sealed: its {operation.kind} is done")

    async def destroy_unsealed(self, found: Found) -> None:
        """Destroy layers that never got whole, but those that a migration goes on with."""
        for dataset in found.unsealed:
            if not await self._is_coming(dataset):
                work = self._zfs.destroy(dataset, recursive=True)
                await self._recovery.attempt(f"destroyed {dataset}, left of an import", work)

    async def _is_coming(self, layer: str) -> bool:
        """Whether it is an interrupted receive that a migration goes on with."""
        coming = {self._inventory.where.layer(path) for paths in self._inventory.needed.values() for path in paths}
        return layer in coming and await self._zfs.resume_token(layer) is not None
