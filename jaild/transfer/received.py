"""The generation inside a copy that came from another host, read before this host makes the copy its own.

not mounted ─► mounted, read-only ─► read, by descriptor ─► unmounted

What is offered is only said; what is in the datasets is what starts. A copy that is kept stays unmounted: nothing but
these few reads is done in it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from jaild.engine.inventory import Inventory
from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.model.layers.records import Generation
from jaild.ports.files import Files
from jaild.ports.zfs import Zfs

_LIMIT = 1 << 20  # bytes of a generation's file: ours have a few KiB


class ReceivedCopies:
    """Looks into copies."""

    def __init__(self, inventory: Inventory, zfs: Zfs, files: Files) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._files = files
        self._opened: set[str] = set()
        self._log = structlog.get_logger("jaild.received")

    async def generation(self, jail: str, number: int) -> Generation:
        """Return a generation of a copy, which is left as it was. Errors as `open`."""
        try:
            return await self.open(jail, number)
        finally:
            await self.close(jail)

    async def open(self, jail: str, number: int) -> Generation:
        """Return a generation of a copy; what was mounted for it stays so until `close`.

        `FailedPreconditionError` (GENERATION_MISSING, GENERATION_UNREADABLE), and what mounting or reading raises.
        """
        entry = self._inventory.jail(jail)
        try:
            return await self.read(entry.folder, jail, number)  # it is mounted: a salvage writes to it
        except FailedPreconditionError as error:
            if error.reason != "GENERATION_MISSING":
                raise
        self._opened.add(jail)
        await self._zfs.mount(self._inventory.where.jail(jail))
        return await self.read(entry.folder, jail, number)

    async def close(self, jail: str) -> None:
        """Unmount a copy that `open` has mounted. If somebody uses it, it stays mounted, read-only as it is."""
        if jail not in self._opened:
            return
        self._opened.discard(jail)
        try:
            await self._zfs.unmount(self._inventory.where.jail(jail))
        except JaildError as error:
            self._log.warning("a copy stays mounted", jail=jail, reason=error.reason, error=str(error))

    async def read(self, folder: Path, jail: str, number: int) -> Generation:
        """Return a generation of a copy that is mounted at `folder`; errors as `generation`."""
        path = layout.generation_folder(Path(), number) / layout.GENERATION
        try:
            text = await self._files.read_below(folder, path, _LIMIT)
            return msgspec.json.decode(text, type=Generation)
        except NotFoundError:
            raise FailedPreconditionError(
                "GENERATION_MISSING",
                f"what came of jail {jail} has no generation {number}",
                remedy="nothing of it is started; send it again",
                resource=f"jails/{jail}",
            ) from None
        except msgspec.DecodeError as error:
            raise FailedPreconditionError(
                "GENERATION_UNREADABLE",
                f"generation {number} of what came of jail {jail} cannot be read: {error}",
                remedy="nothing of it is started; see what its source has there",
                resource=f"jails/{jail}",
            ) from error
