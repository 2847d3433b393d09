"""Jails whose copy here was deleted, remembered: a host that was away asks about them before it starts an older copy.

a copy goes ─► remembered, on disk ─► its datasets destroyed
└── answered to whoever asks (`known`), told to whom a failover concerns until all know it
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from jaild.engine.inventory import Inventory, JailEntry
from jaild.model.replication.deleted import DeletedJail, left_of, surplus
from jaild.model.replication.protocol import Known
from jaild.ports.clock import Clock
from jaild.ports.store import Store


class DeletedJails:
    """In memory and in the store."""

    def __init__(self, inventory: Inventory, store: Store, clock: Clock) -> None:
        self._inventory = inventory
        self._store = store
        self._clock = clock
        self._rows: dict[str, DeletedJail] = {}  # by the jail's uid
        self._writing = asyncio.Lock()
        self._when_untold: list[Callable[[], None]] = []

    def when_untold(self, hook: Callable[[], None]) -> None:
        """Let `hook` see to it that those are told who have not been told of a jail that is deleted now."""
        self._when_untold.append(hook)

    async def load(self) -> None:
        """Read the store."""
        self._rows = {row.uid: row for row in await self._store.deleted_jails()}

    async def remember(self, entry: JailEntry) -> None:
        """Remember a copy that is about to be destroyed; on disk when this returns. Done again it changes nothing."""
        record = entry.record
        if record is None:
            return
        row = left_of(
            entry.name,
            record,
            owner_name=self._inventory.host_names.get(record.owner, record.peer),
            is_owner=self._inventory.claim(entry, record).names_this_host,
            now=self._clock.now(),
        )
        if row is None:
            return
        async with self._writing:
            before = self._rows.get(row.uid)
            if before is not None and before.epoch >= row.epoch:
                return
            await self._store.put_deleted_jail(row)
            self._rows[row.uid] = row
            for old in surplus(self._rows):
                await self._store.forget_deleted_jail(old.uid)
                del self._rows[old.uid]
        if row.untold:
            for hook in self._when_untold:
                hook()

    def known(self, uid: str) -> Known | None:
        """Return what is told of a jail whose copy was deleted here; None if none is remembered."""
        row = self._rows.get(uid)
        return None if row is None else row.known

    def find(self, uid: str) -> DeletedJail | None:
        """Return what is remembered of a jail."""
        return self._rows.get(uid)

    def untold(self) -> list[DeletedJail]:
        """Return the jails of which somebody is still to be told."""
        return [row for row in self._rows.values() if row.untold]

    async def told(self, uid: str, hosts: Iterable[str]) -> None:
        """Note that these hosts know it."""
        async with self._writing:
            row = self._rows.get(uid)
            if row is None:
                return
            left = tuple(host for host in row.untold if host not in set(hosts))
            row = msgspec.structs.replace(row, untold=left)
            await self._store.put_deleted_jail(row)
            self._rows[uid] = row
