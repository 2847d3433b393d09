"""What becomes of a jail that came: it is made this host's own, started, and brought through its health checks.

Or discarded, if the migration was aborted: the host is then as it was before. What it had not is destroyed; an older
copy is rolled back to the snapshot that it ended with, its record too. Layers that came whole stay: they are complete,
and the next try needs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.concurrency import for_each
from jaild.engine.inventory import JailEntry
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.build import JailParts
from jaild.jails.health import check_ended
from jaild.model.errors import JaildError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership
from jaild.model.migration.budget import Parts
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import Activated
from jaild.model.migration.received import offered_generation
from jaild.model.replication.policy import to_be_confirmed
from jaild.model.snapshots import STANDBY
from jaild.transfer.snapshots import MigrationSnapshots, return_to_before

_MOUNTS = 16  # datasets of one jail that are mounted at once
STOPPING = frozenset({"stop", "shutdown", "restart", "delete"})


class Activation:
    """Takes jails over, or throws away what came of them. Runs in the jail's queue only."""

    def __init__(self, engine: Engine, jails: JailParts) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._datasets = jails.datasets
        self._runs = jails.runs
        self._health_checks = jails.health_checks
        self._hooks = jails.hooks
        self._events = engine.events
        self._clock = engine.ports.clock
        self._keys = engine.keys
        self._checking: dict[str, asyncio.Task[None]] = {}
        self._log = structlog.get_logger("jaild.activation")

    def owns(self, journal: Journal) -> bool:
        """Whether the jail is this host's by that migration, but its activation has not come to its end."""
        entry = self._inventory.jails.get(journal.jail)
        record = entry.record if entry is not None else None
        mine = record is not None and record.state is Ownership.ACTIVE and record.epoch >= journal.epoch
        return mine and journal.phase is Phase.PREPARED

    async def activate(self, journal: Journal) -> Activated:
        """Become the owner if this host is not, and start the jail."""
        with self._starting(journal.jail):
            return await self._activate(journal)

    @contextmanager
    def _starting(self, jail: str) -> Iterator[None]:
        """Show a jail as one that starts, and not as one that has failed because it does not run yet."""
        self._inventory.to_start.add(jail)
        try:
            yield
        finally:
            self._inventory.to_start.discard(jail)
            self._inventory.jails.tell(jail)

    async def _activate(self, journal: Journal) -> Activated:
        began = self._clock.monotonic()
        entry, record = self._inventory.permitted(journal.jail, Intent.READ)
        # The jail is down: what came is known, and not asked for again.
        came = self._inventory.where.parts(journal.jail, (each.path for each in journal.offer.jail.datasets))
        datasets = sorted(came.values(), key=_depth)
        closed = datasets[:1] if journal.closed_as_one else datasets
        try:
            if self.owns(journal):
                await self._make_writable(closed)
            else:
                await self._take(entry, record, journal, closed)
            await self._keys.load(
                datasets[0], offered_generation(journal.offer.jail).spec
            )  # this host may have booted meanwhile
            await self._mount(datasets)
            await self._inventory.read_generations(entry)
        except JaildError:
            raise  # its source asks again
        except Exception as error:  # asked again it would be the same, and its source would ask for ever
            if not self.owns(journal):
                raise
            return await self._unhealthy(entry, error, Parts())
        return await self.start(entry, began)

    async def _take(self, entry: JailEntry, record: JailRecord, journal: Journal, closed: Sequence[str]) -> None:
        """Become the owner of a jail that its source has given away, and make what is closed writable meanwhile.

        So they share transaction groups, each of which takes as long as the disk does. Nothing is mounted before the
        record is written. If that fails, the copy stays the prepared one that it was, and the source asks again.
        """
        mine = advance(
            record,
            Ownership.ACTIVE,
            owner=self._inventory.host_id,
            epoch=journal.epoch,
            migration="",
            peer="",
            replica=None,
            failover=None,
            staged=journal.offer.jail.staged,  # its generation came in the datasets
            removed_guids=journal.offer.jail.removed_guids,
        )
        opening = asyncio.ensure_future(self._make_writable(closed))
        try:
            await self._datasets.write(entry, mine)
            entry.layers = ()
            await opening
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    async def _make_writable(self, datasets: Sequence[str]) -> None:
        root, *below = datasets
        await self._zfs.set(root, {"readonly": "off"}, *below)

    async def _mount(self, datasets: Sequence[str]) -> None:
        """Mount a jail's datasets, which come by depth: parents first."""
        for _, level in groupby(datasets, _depth):
            await for_each(level, self._zfs.mount, at_once=_MOUNTS)

    async def open_datasets(self, entry: JailEntry) -> None:
        """Make an owned jail's datasets writable and mounted, parents first, but for those whose key is not loaded."""
        found = await self._zfs.datasets(entry.dataset)
        datasets = sorted((dataset.name for dataset in found), key=_depth)
        await self._make_writable(datasets)
        locked = await self._keys.locked(entry.dataset)
        await self._mount([name for name in datasets if name not in locked])
        entry.folder = found[0].mountpoint or entry.folder

    async def start(self, entry: JailEntry, began: float) -> Activated:
        """Start an owned jail, if it should run, and pass its health checks; `began` (monotonic): of the request."""
        generation = entry.generation
        if generation is None or entry.record is None or entry.record.desired is Desired.STOPPED:
            return Activated(healthy=True, parts=Parts(mounts=self._clock.monotonic() - began))
        parts = Parts()
        try:
            if entry.run is None or not entry.run.running:
                started = await self._runs.ensure(entry, generation)
                start = entry.took.start or 0.0
                parts = Parts(mounts=max(started - start - began, 0.0), start=start)
            checking = self._clock.monotonic()
            await self._checked(entry, generation)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the answer is that it does not serve
            return await self._unhealthy(entry, error, parts)
        readiness = self._clock.monotonic() - checking
        hooks = generation.spec.hooks.after_start
        told = await self._hooks.after_start(entry.name, generation, may_abort=False) if hooks else None
        await self._events.emit("jail.started", f"jails/{entry.name}", "after its migration")
        return Activated(healthy=True, parts=msgspec.structs.replace(parts, readiness=readiness, after_start=told))

    async def _unhealthy(self, entry: JailEntry, error: Exception, parts: Parts) -> Activated:
        told = str(error) if isinstance(error, JaildError) else f"{type(error).__name__}: {error}"
        self._log.warning("a jail that came is not healthy", jail=entry.name, exc_info=error)
        entry.message = f"it did not become healthy after its migration: {told}"
        await self._events.emit("jail.failed", f"jails/{entry.name}", entry.message)
        return Activated(healthy=False, parts=parts, message=told)

    async def _checked(self, entry: JailEntry, generation: Generation) -> None:
        """Wait for the health checks. `AbortedError` (HEALTH_CHECK_ENDED) if `give_way` ends it."""
        checking = asyncio.create_task(
            self._health_checks.require_healthy(entry.name, generation.number, generation.spec)
        )
        self._checking[entry.name] = checking
        try:
            await asyncio.wait({checking})
        finally:
            checking.cancel()
            del self._checking[entry.name]
        if checking.cancelled():
            raise check_ended(entry.name)
        await checking

    async def give_way(self, target: str) -> None:
        """End the health checks of a jail that somebody stops: who wants it down does not wait for it to be well."""
        checking = self._checking.get(target.removeprefix("jails/"))
        if checking is not None:
            checking.cancel()

    async def tidy(self, entry: JailEntry, journal: Journal) -> None:
        """See to what could wait until the jail served. Done again it changes nothing."""
        # canmount stays noauto: the daemon mounts what it owns, and zfs-fuse unmounts what it is set to `on` for.
        snapshots = MigrationSnapshots(self._zfs, entry.dataset)
        await snapshots.came(journal)
        await snapshots.settle()
        await self._drop_removed(entry, journal)
        if entry.record is not None and not to_be_confirmed(entry.record, _spec(entry), self._inventory.host_name):
            await snapshots.forget_rounds()  # such as of the one that this host kept
        await self._datasets.keep_to_quotas(entry)
        await self._datasets.measure(entry)

    async def _drop_removed(self, entry: JailEntry, journal: Journal) -> None:
        """Destroy volumes that their owner removed after this host's replica had them: no round says so any more."""
        if entry.record is None or not entry.record.removed_guids:
            return
        known = (g for g in (entry.generation, entry.staged, entry.fallback) if g is not None)
        paths = {each.path for each in journal.offer.jail.datasets}.union(*(g.spec.volumes for g in known))
        kept = {self._inventory.where.part(entry.name, path) for path in paths}
        rounds = await OwnedSnapshots(self._zfs, entry.dataset).of(STANDBY)
        for dataset in sorted({s.dataset for s in rounds if s.guid in entry.record.removed_guids} - kept):
            volume = dataset.rpartition("/")[2]
            try:
                await self._datasets.destroy_all(dataset)
            except JaildError as error:  # others keep a snapshot of it: `jailctl volume ls` shows it
                self._log.warning("cannot drop a volume", jail=entry.name, volume=volume, error=str(error))
                continue
            message = f"{volume}: its owner has removed it"
            await self._events.emit("standby.volume_removed", f"jails/{entry.name}", message)

    # -- discarding

    async def discard(self, journal: Journal) -> None:
        """Undo what came of a migration that was aborted; done again it changes nothing."""
        await self._interrupted_layers(journal)
        entry = self._inventory.jails.get(journal.jail)
        if entry is not None and entry.record is not None and entry.record.migration != journal.id:
            return  # the jail here has nothing to do with it
        if journal.before is not None and entry is not None:
            await self._return(entry, journal, journal.before)
            return
        if journal.keep_copy and entry is not None and entry.record is not None:
            await self._datasets.write(entry, advance(entry.record, Ownership.MOVED))  # its owner is the source
            return
        ghost = entry or JailEntry(
            name=journal.jail,
            dataset=self._inventory.where.jail(journal.jail),
            folder=self._inventory.folder_of_jails / journal.jail,
        )
        for dataset in await self._parts(journal.jail):
            await self._zfs.abort_receive(dataset)
        await self._datasets.destroy_if_there(ghost)
        self._inventory.jails.pop(journal.jail, None)

    async def _interrupted_layers(self, journal: Journal) -> None:
        others = {
            path for who, paths in self._inventory.needed.items() if who != f"migrations/{journal.id}" for path in paths
        }
        for layer in journal.offer.jail.layers:
            kind, _, name = layer.path.partition("/")
            here = self._inventory.bases if kind == "bases" else self._inventory.releases
            if name not in here and layer.path not in others:
                await self._zfs.abort_receive(self._inventory.where.layer(layer.path))

    async def _return(self, entry: JailEntry, journal: Journal, before: JailRecord) -> None:
        root = self._inventory.where.jail(journal.jail)
        for dataset in reversed(await self._parts(journal.jail)):
            had = journal.had.get(dataset.removeprefix(root).lstrip("/"), ())
            with suppress(NotFoundError):  # an interrupted receive into it was all there was
                if not await return_to_before(self._zfs, dataset, had):
                    await self._datasets.destroy_all(dataset)
        await self._datasets.write(entry, before)

    async def _parts(self, jail: str) -> list[str]:
        try:
            return [dataset.name for dataset in await self._zfs.datasets(self._inventory.where.jail(jail))]
        except NotFoundError:
            return []


def _spec(entry: JailEntry) -> JailSpec | None:
    return entry.generation.spec if entry.generation is not None else None


def _depth(dataset: str) -> int:
    return dataset.count("/")
