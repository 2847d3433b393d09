"""Clones of jails: new jails whose data are ZFS clones of another one's, and whose identity is their own.

    original: data@SNAPSHOT ◄── origin ── NEW/data          made in a moment, and takes only what either writes later
              volume@SNAPSHOT ◄── origin ── NEW/volume

A clone is a creation (`jaild.jails.changes`) with another source of data, so it is refused, undone and repaired like
one. The original keeps the snapshot as long as the clone is there, and cannot be deleted before it (SNAPSHOTS_IN_USE).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from jaild.copies.moments import Moments, When
from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry, OwnedJail
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.build import JailParts
from jaild.model import access, layout
from jaild.model.errors import NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Create, Origin
from jaild.model.jails.copying import Reach, copied
from jaild.model.layers.records import Generation
from jaild.model.operation import Operation
from jaild.model.snapshots import CLONE
from jaild.model.views import Caller


class Clones:
    """Makes them. The work is done in the new jail's queue."""

    def __init__(self, engine: Engine, jails: JailParts, moments: Moments) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._jails = jails.jails
        self._datasets = jails.datasets
        self._past = jails.past
        self._moments = moments

    async def clone(
        self,
        original: str,
        name: str,
        *,
        at: When = None,
        reach: Reach | None = None,
        stopped: bool = False,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        """Make jail `name` as a copy of `original` as it is now, or was at a snapshot.

        `NotFoundError` (JAIL_NOT_FOUND, SNAPSHOT_NOT_FOUND), `FailedPreconditionError` (SNAPSHOT_NOT_WHOLE, or why the
        original is not here), and what `Jails.create` raises.
        """
        duplicate = await self._operations.duplicate(caller, "clone", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        owned = self._inventory.owned(original, Intent.COPY)
        access.require_own(caller, original, owned.generation)
        if at is None:
            tag, past = "", await self._past.now(owned)
        else:
            point, past = await self._moments.of(owned, at)
            tag = point.tag
        spec, notes = copied(past.generation.spec, reach or Reach(), original)
        snapshot = tag or "a snapshot that is taken for it"
        origin = Origin(
            base=past.generation.base,
            release=past.generation.release,
            etc=past.etc,
            local_etc=past.local_etc,
            step=f"clone data and volumes of {original} from {snapshot}; {original} stays as long as the clone does",
            cloned_from=owned.entry.dataset,
            accepted=past.generation.accepted,
            problems=notes,
        )
        creation = Create(spec, stopped, kind="clone", base=past.generation.base, origin=origin)
        seed = partial(self._seed, owned, tag, caller)
        return await self._jails.make(name, creation, seed=seed, validate_only=validate_only, caller=caller)

    async def _seed(self, asked: OwnedJail, tag: str, caller: Caller, entry: JailEntry, generation: Generation) -> None:
        # Nothing is done with the original between its snapshot and the clones of that: a migration, another clone.
        original = asked.entry.name
        async with self._dispatcher.exclusive(f"jails/{original}"):
            owned, parts = self._still(asked, caller), (layout.DATA, *generation.spec.volumes)
            if not tag:
                await self._datasets.drop_cloned(owned.entry.dataset)
                await self._files.flush([owned.entry.folder / path for path in parts])
            async with self._datasets.cloning:
                if not tag:
                    tag = await OwnedSnapshots(self._zfs, owned.entry.dataset).make(f"clone-{entry.name}", CLONE)
                for path in parts:
                    snapshot = f"{self._inventory.where.part(original, path)}@{tag}"
                    await self._datasets.bring(entry, generation.spec, path, partial(self._clone, snapshot))
        await self._datasets.forget_identity(entry)

    def _still(self, asked: OwnedJail, caller: Caller) -> OwnedJail:
        """Return the original as it is by now, if it is the same jail, and still the caller's to clone."""
        name = asked.entry.name
        owned = self._inventory.owned(name, Intent.COPY)
        access.require_own(caller, name, owned.generation)
        if owned.record.uid != asked.record.uid:
            raise NotFoundError(
                "JAIL_NOT_FOUND",
                f"the jail {name} that was to be cloned is gone, and another one has its name",
                hint="ask again if that one is meant",
                resource=f"jails/{name}",
            )
        return owned

    async def _clone(self, snapshot: str, dataset: str, properties: Mapping[str, str]) -> None:
        await self._zfs.clone(snapshot, dataset, properties)
