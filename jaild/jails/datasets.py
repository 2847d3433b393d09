"""A jail's datasets and what lies in them: made, described, grown, destroyed. The only writer of a jail's record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError, ResourceExhaustedError
from jaild.model.etc import identity
from jaild.model.jails import quotas
from jaild.model.jails.authority import Intent
from jaild.model.jails.mounts import holder_of
from jaild.model.jails.quotas import Bounds, Room, Space
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation, JailRecord, Manifest, decode, encode
from jaild.model.problems import Problem, Severity
from jaild.model.snapshots import CLONE, SAFETY, going_along
from jaild.ports.files import NewFolder
from jaild.ports.zfs import Dataset

KEPT_GENERATIONS = 10  # older ones are dropped at a commit, and with them what they hold of bases and releases
KEPT_SAFETY_SNAPSHOTS = 3


Seed = Callable[[JailEntry, Generation], Awaitable[None]]  # makes data and volumes of a copy, by `JailDatasets.bring`
MakePart = Callable[[str, Mapping[str, str]], Awaitable[None]]  # makes that dataset with these properties


class JailDatasets:
    """Writes what a jail is."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._keys = engine.keys
        self._deleted = engine.deleted
        self._reserve = engine.reserve
        self._supervisor = engine.supervisor
        self._dispatcher = engine.dispatcher
        self.cloning = asyncio.Lock()  # from a snapshot until there are clones of it: nothing else keeps that

    async def make(
        self, entry: JailEntry, record: JailRecord, generation: Generation, seed: Seed | None = None
    ) -> None:
        """Create the jail's datasets with its record on them, and its data as the base ships it, less its identity.

        Or as `seed` brings them, which makes the volumes, too.
        """
        await self._zfs.create(entry.dataset, {layout.JAIL_PROPERTY: encode(record)})
        entry.safety = ()
        await self._require_mounted(entry.dataset, entry.folder)
        if seed is not None:
            await seed(entry, generation)
            return
        spec = generation.spec
        await self._make_part(entry, spec, layout.DATA, quotas.bounds_of(spec.quota))
        base = self._inventory.base(generation.base).tree
        others = await self._files.matching(base, identity.DATA)
        for folder in layout.DATA_FOLDERS:
            without = [path.removeprefix(f"{folder}/") for path in others if path.startswith(f"{folder}/")]
            await self._files.copy(base / folder, entry.folder / layout.DATA / folder, without=without)

    async def _make_part(self, entry: JailEntry, spec: JailSpec, path: str, bounds: Bounds, **properties: str) -> None:
        dataset = self._inventory.where.part(entry.name, path)
        await self._keys.create(dataset, spec, bounds.properties | properties)
        entry.parts[path] = bounds
        await self._require_mounted(dataset, entry.folder / path)

    async def bring(self, entry: JailEntry, spec: JailSpec, path: str, make: MakePart) -> None:
        """Have `make` make one of a copy's datasets, give it the quotas of its spec, and see it mounted."""
        dataset, volume = self._inventory.where.part(entry.name, path), spec.volumes.get(path)
        recordsize = volume.recordsize if volume is not None else None
        await make(dataset, {"recordsize": recordsize} if recordsize else {})
        await self._keys.require_encrypted(dataset, spec)
        await self._zfs.mount(dataset)
        quota = volume.quota if volume is not None else spec.quota
        wanted = quotas.bounds_of(quota, _space(await self._zfs.dataset(dataset)))
        if quota is not None:  # after it has come: ZFS refuses one below what is in it
            await self._zfs.set(dataset, wanted.properties)
        entry.parts[path] = wanted
        await self._require_mounted(dataset, entry.folder / path)

    async def forget_identity(self, entry: JailEntry) -> None:
        """Take out of a copy's data what says which machine it is. It has never run: nobody else writes there."""
        data = entry.folder / layout.DATA
        for path in await self._files.matching(data, identity.DATA):
            await self._files.remove(data / path)

    async def open(self, entry: JailEntry, path: str) -> None:
        """Have a part mounted. A volume is not that no spec named, such as one that only the copy had of this jail."""
        if await self._zfs.mounted(entry.folder / path) is None:
            dataset = self._inventory.where.part(entry.name, path)
            await self._zfs.inherit(dataset, "readonly")
            await self._zfs.mount(dataset)
            await self._require_mounted(dataset, entry.folder / path)

    async def _require_mounted(self, dataset: str, folder: Path) -> None:
        """Raise DATASET_NOT_MOUNTED if a new dataset is not where its parent's folder says."""
        if await self._zfs.mounted(folder) is None:
            raise FailedPreconditionError(
                "DATASET_NOT_MOUNTED",
                f"{dataset} is not mounted on {folder}",
                hint=f"see `zfs get mountpoint {dataset}`; if its parent's was changed, restart the daemon",
            )

    async def fit(self, entry: JailEntry, spec: JailSpec, manifest: Manifest, *, new_quotas: bool = True) -> None:
        """Make the volumes, quotas and folders that a spec and its release want and that are missing.

        A new volume, and the manifest's directories wherever they lie, belong to the user that the release runs as.
        `new_quotas`: whether what is there gets them now.
        """
        await self._keys.open(entry, spec)
        if new_quotas and not quotas.are_kept(spec, entry.parts):
            await self._keep_to_quotas(entry, spec)
        owner = next((u for u in manifest.users if u.name == (spec.user or manifest.user)), None)
        uid, gid = (owner.uid, owner.gid) if owner else (0, 0)
        for name, volume in sorted(spec.volumes.items()):
            if name in entry.parts:
                if entry.generation is None or name not in entry.generation.spec.volumes:
                    await self.open(entry, name)
                continue
            more = {"recordsize": volume.recordsize} if volume.recordsize else {}
            await self._make_part(entry, spec, name, quotas.bounds_of(volume.quota), **more)
            await self._files.own(entry.folder / name, uid, gid, 0o755)
        for name, volume in spec.volumes.items():
            await self._make_folder(entry, holder_of(spec, volume.path, mounted=name))
        for path in manifest.directories:
            await self._make_folder(entry, holder_of(spec, path), uid, gid, mode=0o750)

    async def _make_folder(
        self, entry: JailEntry, at: tuple[str, str] | None, uid: int = 0, gid: int = 0, *, mode: int = 0o755
    ) -> None:
        if at is not None and at[1]:
            folder = NewFolder(path=at[1], uid=uid, gid=gid, mode=mode)
            await self._files.make_folders(entry.folder / at[0], [folder])

    async def keep_to_quotas(self, entry: JailEntry) -> None:
        """Give the datasets of a jail that came here the quotas of its spec: a copy has none, see `Receiver`."""
        entry.safety = None
        if entry.generation is not None:
            await self._keep_to_quotas(entry, entry.generation.spec)

    async def _keep_to_quotas(self, entry: JailEntry, spec: JailSpec) -> None:
        present = await self._parts(entry)
        for path, quota in quotas.of_spec(spec).items():
            if (dataset := present.get(path)) is None:
                continue
            wanted = quotas.bounds_of(quota, _space(dataset))
            if wanted != entry.parts[path]:
                await self._zfs.set(dataset.name, wanted.properties)
                entry.parts[path] = wanted

    async def _parts(self, entry: JailEntry) -> dict[str, Dataset]:
        """Look at a jail's datasets, by their paths below its own, which has none."""
        root = entry.dataset
        found = {d.name.removeprefix(root).lstrip("/"): d for d in await self._zfs.datasets(root)}
        entry.parts = {path: Bounds(d.refquota, d.quota) for path, d in found.items() if path}
        return found

    async def room(self, entry: JailEntry | None, *, taken: bool) -> Room:
        """Return what is left for a jail (None: a new one), and, if it is wanted, what it has `taken`: ZFS is asked."""
        if entry is not None and taken:
            parts = await self._parts(entry)
            return Room(free=parts[""].available, taken={path: _space(dataset) for path, dataset in parts.items()})
        where = self._inventory
        folder, name = (entry.folder, entry.dataset) if entry else (where.folder_of_jails, where.where.jails)
        return Room(free=(await self._zfs.mounted(folder) or await self._zfs.dataset(name)).available)

    async def write(self, entry: JailEntry, record: JailRecord) -> None:
        """Replace the jail's record: one atomic `zfs set`. What this raises means that it was not written.

        In a full pool the reserve is given up for it. If the command fails, the dataset is asked what it has now, until
        it answers.
        """
        try:
            await self._put(entry.dataset, {layout.JAIL_PROPERTY: encode(record)})
        except Exception:
            if await self.recorded(entry) != record:
                raise
        entry.record = record
        if record.staged is None:
            entry.staged = None

    async def _put(self, dataset: str, properties: Mapping[str, str]) -> None:
        try:
            await self._zfs.set(dataset, properties)
        except ResourceExhaustedError:
            if not await self._reserve.give_up():
                raise
            await self._zfs.set(dataset, properties)

    async def recorded(self, entry: JailEntry) -> JailRecord:
        """Return a jail's record as its dataset has it, asked until it answers: after a `write` only that is sure.

        `NotFoundError` and `FailedPreconditionError` (RECORD_DAMAGED) are answers: it is gone, or cannot be read.
        `UnavailableError` (SHUTTING_DOWN): the daemon ends, and its successor asks.
        """
        message = entry.message

        async def ask() -> JailRecord | JaildError:
            try:
                dataset = await self._zfs.dataset(entry.dataset)
                return decode(dataset.properties.get(layout.JAIL_PROPERTY, ""), JailRecord, dataset.name)
            except (NotFoundError, FailedPreconditionError) as error:
                return error
            except Exception as error:
                entry.message = f"its dataset does not say whether its record was written; asked again: {error}"
                raise

        answer = await self._supervisor.insist(f"record of {entry.name}", ask, target=f"jails/{entry.name}")
        entry.message = message
        if isinstance(answer, JaildError):
            raise answer
        return answer

    async def stage(self, entry: JailEntry, generation: Generation) -> None:
        """Begin a new generation's folder, marked as staged until its first commit."""
        folder = layout.generation_folder(entry.folder, generation.number)
        await self._files.remove(folder)
        await self._files.make_folder(folder)
        await self._files.restrict([folder])
        await self._files.write(folder / layout.STAGED, b"")
        text = msgspec.json.format(msgspec.json.encode(generation))
        await self._files.write(folder / layout.GENERATION, text, mode=layout.SECRET_MODE)

    async def commit(self, entry: JailEntry, record: JailRecord, generation: Generation) -> None:
        """Make a generation the active one, or keep it as staged: before this it was not there, after it, it is."""
        await self.write(entry, record)
        self.committed(entry, record, generation)

    def committed(self, entry: JailEntry, record: JailRecord, generation: Generation) -> None:
        """Take into the index what a commit of a generation wrote: it is the active one, or the one that is staged."""
        entry.record = record
        if record.generation == generation.number:
            entry.generation = generation
        elif record.staged is not None and record.staged.number == generation.number:
            entry.staged = generation
        if record.staged is None:
            entry.staged = None
        entry.references[generation.number] = (generation.base, generation.release)

    async def settle(self, entry: JailEntry, number: int) -> None:
        """Take away the mark of a generation that has been committed."""
        await self._files.remove(layout.generation_folder(entry.folder, number) / layout.STAGED)

    async def unstage(self, entry: JailEntry, record: JailRecord) -> None:
        """Drop what is staged; its record says so first, so that a crash does not keep half of it."""
        await self.write(entry, msgspec.structs.replace(record, staged=None))
        if record.staged is not None:
            await self.drop(entry, record.staged.number)

    async def drop(self, entry: JailEntry, number: int) -> None:
        """Remove a generation's folder."""
        await self._files.remove(layout.generation_folder(entry.folder, number))
        entry.references.pop(number, None)

    async def prune(self, entry: JailEntry) -> None:
        """Drop the oldest generations beyond those that are kept, and in the background the oldest safety snapshots.

        What is staged stays, and what it was made of: without that, its cutover could not tell what it changes.
        """
        active = entry.generation.number if entry.generation else 0
        staged = {entry.staged.number, entry.staged.parent} if entry.staged else set()
        for number in sorted(entry.references.keys() - staged)[:-KEPT_GENERATIONS]:
            if number != active:
                await self.drop(entry, number)
        if self._are_too_many(entry.safety):
            name, target = f"old safety snapshots of {entry.name}", f"jails/{entry.name}"
            self._supervisor.retry(name, lambda: self._drop_too_many(entry), target=target)

    async def _drop_too_many(self, entry: JailEntry) -> None:
        """Drop them in the jail's turn, after what is done with it now: unless a change has, or it is not here."""
        async with self._dispatcher.exclusive(f"jails/{entry.name}"):
            is_here = self._inventory.jails.get(entry.name) is entry and self._inventory.may(entry, Intent.RUN_ON)
            if is_here and self._are_too_many(entry.safety):
                await self._drop_safety(entry)

    @staticmethod
    def _are_too_many(safety: Sequence[str] | None) -> bool:
        return safety is None or len(safety) > KEPT_SAFETY_SNAPSHOTS

    async def safety_snapshot(self, entry: JailEntry, number: int, *, anew: bool) -> None:
        """Snapshot all of a jail before generation `number` takes over: a net for people, never restored by itself.

        `anew`: there was no such generation yet. A snapshot for it is then of an earlier try, and goes before.
        """
        tag = f"before-{number}"
        known = entry.safety
        if known is None or self._are_too_many(known) or (anew and tag in known):
            known = await self._drop_safety(entry, tag if anew else "")
        entry.safety = None  # what fails now may have made it: they are looked at again
        made = await OwnedSnapshots(self._zfs, entry.dataset).make(tag, SAFETY, besides=known)
        entry.safety = (*known, made)

    async def _drop_safety(self, entry: JailEntry, failed: str = "") -> tuple[str, ...]:
        """Drop the oldest safety snapshots beyond those that are kept, and that of a `failed` try; return the others.

        What others keep stays, and is dropped another time.
        """
        found = await self._zfs.snapshots(entry.dataset, recursive=True)
        own = [snapshot for snapshot in found if snapshot.purpose == SAFETY]
        tags = [snapshot.tag for snapshot in own if snapshot.dataset == entry.dataset]
        old = {*tags[:-KEPT_SAFETY_SNAPSHOTS], failed}
        await OwnedSnapshots(self._zfs, entry.dataset).drop([s for s in own if s.tag in old], among=found)
        entry.safety = tuple(tag for tag in tags if tag not in old)
        return entry.safety

    async def state_of(self, entry: JailEntry, number: int, *, like: str = "") -> str:
        """Return words for the state of a generation's folder; `like`: to be compared with these."""
        return await self._files.state_of(layout.generation_folder(entry.folder, number), like=like)

    async def next_number(self, entry: JailEntry) -> int:
        """Return the number that a new generation gets: one above the highest there ever was a folder for."""
        names = await self._files.names(entry.folder / layout.GENERATIONS)
        return max((int(name) for name in names if name.isascii() and name.isdigit()), default=0) + 1

    async def destroy(self, entry: JailEntry) -> None:
        """Destroy the jail with all its data, its holds first; that there was one is remembered before.

        What jaild took to clone it of another jail goes with it, if nothing else was made of that.
        `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep a snapshot of it: nothing is lost then.
        """
        await self._deleted.remember(entry)
        await self.destroy_all(entry.dataset)
        for dataset in self._originals(entry.record.cloned_from if entry.record is not None else ""):
            with suppress(NotFoundError):
                await self.drop_cloned(dataset)

    def _originals(self, dataset: str) -> set[str]:
        """Return what may be the dataset by now that a clone's record names; its jail may have got another name."""
        records = [(each.dataset, each.record) for each in self._inventory.jails.values() if each.record is not None]
        renamed = {
            now
            for now, record in records
            if any(self._inventory.where.jail(former.name) == dataset for former in record.formerly)
        }
        return {dataset} | renamed if dataset else set()

    async def destroy_all(self, dataset: str) -> None:
        """Destroy a dataset of a jail, with all that is below it, as `destroy` does."""
        owned = OwnedSnapshots(self._zfs, dataset)
        await owned.release_all(await owned.require_unclaimed(f"destroying {dataset}"))
        await self._zfs.destroy(dataset, recursive=True)

    async def drop_cloned(self, dataset: str) -> None:
        """Drop the snapshots that clones of a jail (its own dataset) were made of, as far as no clone is left."""
        owned = OwnedSnapshots(self._zfs, dataset)
        async with self.cloning:
            await owned.drop(await owned.of(CLONE))

    async def require_destroyable(self, name: str) -> None:
        """Raise `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep a snapshot of a jail."""
        with suppress(NotFoundError):  # nothing of it is left to be destroyed
            owned = OwnedSnapshots(self._zfs, self._inventory.where.jail(name))
            await owned.require_unclaimed(f"destroying jail {name}", f"jails/{name}")

    async def deletion(self, name: str) -> tuple[Problem, ...]:
        """Return who keeps snapshots of a jail, as an error, and what others' snapshots go with it."""
        dataset, resource = self._inventory.where.jail(name), f"jails/{name}"
        try:
            await self.require_destroyable(name)
            return going_along(await OwnedSnapshots(self._zfs, dataset).foreign(), resource)
        except NotFoundError:
            return ()
        except FailedPreconditionError as error:
            kept = Problem(
                severity=Severity.ERROR,
                code=error.reason,
                message=error.message,
                subject=resource,
                hint=error.hint,
                evidence=tuple(error.detail.get("snapshots", "").split(",")),
            )
            return (kept,)

    async def destroy_if_there(self, entry: JailEntry) -> None:
        """Destroy what there is of a jail that did not come into being, but no dataset that has another record."""
        try:
            dataset = await self._zfs.dataset(entry.dataset)
        except NotFoundError:
            return  # it failed before its dataset was made
        text = dataset.properties.get(layout.JAIL_PROPERTY)
        here = decode(text, JailRecord, dataset.name).uid if text is not None else ""
        if here == (entry.record.uid if entry.record is not None else ""):
            await self.destroy(entry)

    async def measure(self, entry: JailEntry) -> None:
        """Take the jail's size into the index: of the files in its datasets. ZFS is asked if one is not mounted."""
        folders = [entry.folder, *(entry.folder / path for path in entry.parts)]
        told = [await self._zfs.mounted(folder) for folder in folders] if entry.parts else []
        sizes = [each.referenced for each in told if each is not None]
        if not sizes or len(sizes) < len(folders):
            sizes = [dataset.referenced for dataset in (await self._parts(entry)).values()]
        entry.used = sum(sizes)


def _space(dataset: Dataset) -> Space:
    return Space(referenced=dataset.referenced, used=dataset.used)
