"""What every way to a base ends with: the tree described, completed with mount points, sealed, told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.layers.sealing import Sealer
from jaild.model import layout, names
from jaild.model.errors import AlreadyExistsError
from jaild.model.layers.osversion import OsVersion
from jaild.model.layers.records import BaseRecord
from jaild.ports.archives import Extracted

Unpack = Callable[[Path], Awaitable[Extracted]]  # fills the tree
Look = Callable[[OsVersion], None]  # raises if that is not what was expected


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a base comes from."""

    sha256: str = ""  # of what came
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
            notes = extracted.notes + ((f"made mount points: {', '.join(made)}",) if made else ())
            return BaseRecord(
                name=base_id,
                family=system.family,
                version=system.version,
                abi=system.abi,
                osreldate=system.osreldate,
                sha256=source.sha256,
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

    def require_new(self, base_id: str) -> None:
        """Raise `AlreadyExistsError` (BASE_EXISTS), `InvalidArgumentError` (INVALID_NAME)."""
        names.base(base_id)
        if base_id in self._inventory.bases:
            raise AlreadyExistsError(
                "BASE_EXISTS",
                f"base {base_id} is here already, and bases never change",
                remedy="import it under another name, or delete the one that is there",
                resource=f"bases/{base_id}",
            )
