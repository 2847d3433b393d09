"""What was done with a jail, as far as this host knows."""

from __future__ import annotations

from contextlib import suppress

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.migration.build import MigrationParts
from jaild.model import bounds
from jaild.model.errors import DataLossError, NotFoundError
from jaild.model.jails.history import Entry, Sources, history, is_about
from jaild.model.layers.records import Generation


class Histories:
    """Reads; changes nothing."""

    def __init__(self, engine: Engine, migration: MigrationParts) -> None:
        self._inventory = engine.inventory
        self._operations = engine.operations
        self._audit = engine.audit
        self._migrations = migration.migrations

    async def of_jail(self, jail: str) -> list[Entry]:
        """Return a jail's history, newest first. `NotFoundError` (JAIL_NOT_FOUND) if there is no jail and no history.

        Of what led to no operation that is remembered, the newest `bounds.HISTORY`.
        """
        entry = self._inventory.jails.get(jail)
        generations = await self._generations(entry) if entry is not None else []
        found = history(
            Sources(
                operations=[each for each in self._operations.list() if is_about(each.target, jail)],
                audit=await self._audit.about(f"jails/{jail}", bounds.HISTORY),
                migrations=[each for each in self._migrations.list() if each.jail == jail],
                generations=generations,
            )
        )
        if not found and entry is None:
            raise NotFoundError(
                "JAIL_NOT_FOUND",
                f"there is no jail {jail} on this host, and nothing is known of one",
                hint="list the jails: jailctl jail ls",
                resource=f"jails/{jail}",
            )
        return found

    async def _generations(self, entry: JailEntry) -> list[Generation]:
        found = []
        staged = entry.staged.number if entry.staged is not None else 0
        for number in sorted(entry.references.keys() - {staged}):  # those that can be read, of what is mounted here
            with suppress(NotFoundError, DataLossError):  # dropped, or damaged, since
                found.append(await self._inventory.generation(entry, number))
        return found
