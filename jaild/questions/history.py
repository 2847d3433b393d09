"""What was done with a jail, as far as this host knows."""

from __future__ import annotations

from contextlib import suppress
from math import inf

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.migration.build import MigrationParts
from jaild.model import bounds
from jaild.model.errors import DataLossError, NotFoundError
from jaild.model.jails.history import Entry, Sources, former_names, history, was_about
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
        names = former_names(entry.record) if entry is not None and entry.record is not None else {}
        names[jail] = inf
        audit = [
            each
            for name, until in names.items()
            for each in await self._audit.about(f"jails/{name}", bounds.HISTORY)
            if each.time <= until
        ]
        found = history(
            Sources(
                operations=[each for each in self._operations.list() if was_about(each.target, each.created, names)],
                audit=audit,
                migrations=[each for each in self._migrations.list() if each.created <= names.get(each.jail, -inf)],
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
