"""A release made of what an old jail has in /usr/local: copied, checked as one that is pushed, and sealed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaild.adoption.survey import Found
from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.layers.sealing import Sealer
from jaild.model import layout
from jaild.model.errors import ResourceExhaustedError
from jaild.model.foreign.jail import ForeignJail
from jaild.model.jails.mounts import package_database
from jaild.model.layers.archive import release_policy
from jaild.model.layers.records import Family, Manifest, ReleaseRecord

VERSION = "adopted"  # and a number
States = Mapping[Path, str | None]


class AdoptedReleases:
    """Makes releases of old jails, and takes them away again."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
        self._inventory = engine.inventory
        self._files = engine.ports.files
        self._archives = engine.ports.archives
        self._zfs = engine.ports.zfs
        self._events = engine.events
        self._clock = engine.ports.clock
        self._sealer = sealer

    def next(self, app: str) -> str:
        """Return the reference of the release that comes next."""
        number = 1
        while f"{app}/{VERSION}-{number}" in self._inventory.releases:
            number += 1
        return f"{app}/{VERSION}-{number}"

    async def state(self, found: Found) -> States:
        """Return words for the state of what the release is made of: they change with anything in it."""
        places = found.jail.places
        folders = {found.own / found.local, Path(places.local_etc), Path(places.packages)}
        return {folder: await self._state_of(folder) for folder in folders}

    async def is_as(self, before: States) -> bool:
        """Whether it is as these words say. What may have changed without a trace counts as changed."""
        for folder, state in before.items():
            if state is None or await self._state_of(folder, like=state) != state:
                return False
        return True

    async def _state_of(self, folder: Path, *, like: str = "") -> str | None:
        try:
            return await self._files.state_of(folder, like=like)
        except ResourceExhaustedError:
            return None  # too many files for that: nothing tells that it is as it was

    async def make(self, handle: Handle, reference: str, found: Found) -> None:
        """Seal it. A failure leaves nothing; what the old jail writes meanwhile may be in it or not."""
        app, _, version = reference.partition("/")

        async def fill(folder: Path) -> ReleaseRecord:
            tree = folder / layout.TREE
            await self._copy(found, tree)
            await handle.phase("seal-release", "reading libraries")
            listing = await self._archives.verify_tree(tree, release_policy())
            handle.facts(files=listing.files, size_bytes=listing.size)
            if listing.notes:
                handle.facts(notes="; ".join(listing.notes))
            return ReleaseRecord(
                app=app,
                version=version,
                manifest=Manifest(),
                pushed=self._clock.now(),
                files=listing.files,
                size=listing.size,
                added=listing.size,
            )

        dataset = self._inventory.where.release(app, version)
        await self._sealer.ensure_parent(dataset)
        layer = await self._sealer.seal(dataset, layout.RELEASE_PROPERTY, fill)
        self._inventory.releases[reference] = layer
        await self._events.emit("release.sealed", f"apps/{app}/releases/{version}", f"guid {layer.guid}")

    async def _copy(self, found: Found, tree: Path) -> None:
        places, own = found.jail.places, found.own
        await self._files.remove(tree)  # the copy has the owner and mode of what it is of
        if found.local.startswith("/"):
            await self._files.copy(Path(found.local), tree)
        else:
            await self._files.copy(own, tree, below=found.local)
        if places.local_etc != f"{places.local}/etc":  # elsewhere, and here a link
            await self._files.remove(tree / "etc")
            await self._files.copy(own, tree / "etc", below=_below(found.jail, places.local_etc))
        await self._files.make_folder(tree / "etc")  # what a generation's own configuration is mounted on
        if self._inventory.base(found.spec.base).record.family is Family.FREEBSD:
            await self._bring_packages(found, tree)

    async def _bring_packages(self, found: Found, tree: Path) -> None:
        """Bring the package database to where a release has it, if the old jail has one."""
        places = found.jail.places
        target = tree / package_database(Family.FREEBSD).lstrip("/")
        if places.packages.startswith(f"{places.own}/"):
            source, below = found.own, _below(found.jail, places.packages)
        else:  # in its /usr/local, which is copied by now
            source, below = tree, str(Path(places.packages).relative_to(places.local))
        await self._files.make_folder(target.parent)
        if not await self._files.obstacles([("/", source)], [f"/{below}"]):
            await self._files.copy(source, target, below=below)

    async def unmake(self, reference: str) -> None:
        """Take a release away again that no jail has."""
        layer = self._inventory.releases.pop(reference, None)
        if layer is not None:
            await self._sealer.destroy(layer)
        app = reference.partition("/")[0]
        if not any(other.startswith(f"{app}/") for other in self._inventory.releases):
            await self._zfs.destroy(self._inventory.where.app(app))


def _below(jail: ForeignJail, place: str) -> str:
    return str(Path(place).relative_to(jail.places.own))
