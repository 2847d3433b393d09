"""Port: where backups are kept, which may be elsewhere and knows nothing of jaild."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from jaild.model.backups.records import Backup, Lineage
from jaild.model.backups.targets import TargetSettings

Stream = AbstractAsyncContextManager[AsyncIterator[bytes]]


@dataclass(frozen=True, kw_only=True)
class Sending:
    """One dataset of a backup, on its way."""

    path: str  # below the jail's own, which has ''
    guid: int
    base: int  # 0: a full stream
    open: Callable[[str | None], Stream]  # with the token of an interrupted receive, or from its beginning


class Vault(Protocol):
    """One target."""

    longest: int | None  # increments that a lineage may have; None: any number
    chained: bool  # whether a backup can be restored only with all before it in its lineage

    async def lineages(self, jail: str = "") -> list[Lineage]:
        """Return what is kept whole, of all jails of a name, or of all. `UnavailableError` (BACKUP_UNREACHABLE)."""

    async def append(self, lineage: str, backup: Backup, parts: Sequence[Sending]) -> Backup:
        """Keep a backup, parents first, in a lineage that is there or new; return it with its parts.

        It is there whole when this returns, and not told by `lineages` before. Done again after a failure it goes on
        from what came, where it can.
        """

    async def drop(self, lineage: Lineage, ids: Collection[str]) -> None:
        """Destroy backups; the lineage if none is left."""

    def streams(self, lineage: Lineage, backup: Backup, path: str) -> Sequence[Stream]:
        """Return the streams to be received one after the other to have a dataset as it was. `DataLossError`."""


class Vaults(Protocol):
    """Makes them."""

    def make(self, settings: TargetSettings) -> Vault:
        """Return one."""
