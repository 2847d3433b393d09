"""Releases of apps: pushed, listed, deleted. The product teams' use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.layers import pulls
from jaild.layers.pulls import Pulls
from jaild.layers.removal import LayerKind, LayerRemoval
from jaild.layers.sealing import Sealer
from jaild.model import access, layout, names, quantity
from jaild.model.errors import AlreadyExistsError, NotFoundError
from jaild.model.jails import specfile
from jaild.model.layers import manifest as manifestcheck
from jaild.model.layers import registry
from jaild.model.layers.archive import release_policy
from jaild.model.layers.records import Manifest, ReleaseRecord
from jaild.model.layers.registry import Found
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller, ReleaseView
from jaild.ports.archives import Difference, Extracted, Progress
from jaild.ports.files import Spooled
from jaild.ports.images import Image


class Releases:
    """The releases of this host."""

    def __init__(self, engine: Engine, sealer: Sealer, found: Pulls) -> None:
        self._pulls = found
        self._images = engine.ports.images
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._sealer = sealer
        self._removal = LayerRemoval(
            engine,
            sealer,
            LayerKind(
                noun="release",
                parent=engine.inventory.where.apps,
                layers=engine.inventory.releases,
                users=lambda users: users.releases,
                resource=lambda key: "/releases/".join(("apps/" + key).rsplit("/", 1)),
                sealed=lambda record: record.pushed,
                in_use="RELEASE_IN_USE",
                has_clones="RELEASE_HAS_CLONES",
                cloned="pushed",
                after=self._forget_app,
            ),
        )
        self._archives = engine.ports.archives
        self._files = engine.ports.files
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._clock = engine.ports.clock
        self._staging = engine.place.staging

    def get(self, app: str, version: str) -> ReleaseView:
        """Return one. `NotFoundError` (RELEASE_NOT_FOUND)."""
        return self._inventory.release_view(f"{app}/{version}")

    def list(self, app: str | None) -> list[ReleaseView]:
        """Return an app's releases, or all; by app, oldest first."""
        users = self._inventory.users()
        found = [self._inventory.release_view(key, users) for key in self._inventory.releases]
        return sorted(
            (view for view in found if app is None or view.record.app == app),
            key=lambda view: (view.record.app, view.record.pushed, view.record.version),
        )

    async def packages(self, app: str, version: str) -> tuple[str, ...]:
        """Return the packages in a release that was built here, name-version; none for others."""
        layer = self._inventory.release(f"{app}/{version}")
        try:
            return msgspec.json.decode(await self._files.read(layer.folder / layout.PACKAGES), type=tuple[str, ...])
        except NotFoundError:
            return ()

    async def push(
        self,
        app: str,
        version: str,
        chunks: AsyncIterator[bytes],
        *,
        sha256: str,
        size: int,
        parent: str,
        manifest: Manifest,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        """Take an archive as a stream, then seal it; with `parent` (a version) as a clone with the difference."""
        duplicate = await self._operations.duplicate(caller, "push", f"apps/{app}/releases/{version}")
        if duplicate is not None:
            return duplicate
        names.release(f"{app}/{version}")
        manifestcheck.require(manifest)
        self._require_new(app, version)
        if parent:
            self._inventory.release(f"{app}/{parent}")
        if validate_only:
            unpack = f"write what differs from {app}/{parent} into a clone of it" if parent else "unpack it"
            first = ("take the archive, check its digest", "check every entry: what is wrong with it is known then")
            plan = Plan(kind="push", target=f"apps/{app}/releases/{version}", steps=(*first, unpack, "seal it"))
            return await self._dispatcher.planned(plan, caller)
        spooled = await self._files.spool(chunks, sha256=sha256, size=size)

        async def forget() -> None:
            await self._files.remove(spooled.path)

        async def work(handle: Handle) -> str:
            try:
                with handle.cancellable():
                    return await self._unpack(handle, app, version, parent, manifest, spooled)
            finally:
                await forget()

        return await self._dispatcher.submit(f"apps/{app}/releases/{version}", "push", caller, work, unbegun=forget)

    async def _unpack(
        self, handle: Handle, app: str, version: str, parent: str, manifest: Manifest, spooled: Spooled
    ) -> str:
        self._require_new(app, version)
        await handle.phase("check", "checking every entry")
        listing = await self._archives.verify(spooled.path, release_policy())
        await handle.phase("unpack")

        async def unpack(tree: Path) -> Difference:
            if parent:
                staging = self._staging / handle.id
                return await self._archives.extract_difference(
                    spooled.path, tree, listing, staging=staging, progress=_progress(handle)
                )
            return _whole(await self._archives.extract(spooled.path, tree, listing, progress=_progress(handle)))

        record = ReleaseRecord(app=app, version=version, manifest=manifest, sha256=spooled.sha256, parent=parent)
        return await self._seal(handle, record, unpack)

    async def _seal(
        self, handle: Handle, record: ReleaseRecord, unpack: Callable[[Path], Awaitable[Difference]]
    ) -> str:
        """Fill a new dataset, or a clone of the parent, by `unpack`, and seal it as what `record` says."""
        app, version, parent = record.app, record.version, record.parent

        async def fill(folder: Path) -> ReleaseRecord:
            tree = folder / layout.TREE
            made = await unpack(tree)
            await self._files.make_folder(tree / "etc")  # what a generation's own configuration is mounted on
            await handle.phase(layout.SEALING, "reading libraries")
            shared = max(0, made.size - made.added)
            handle.facts(files=made.files, size_bytes=made.size, added_bytes=made.added, shared_bytes=shared)
            if made.notes:
                handle.facts(notes="; ".join(made.notes))
            return msgspec.structs.replace(
                record, pushed=self._clock.now(), files=made.files, size=made.size, added=made.added
            )

        origin = self._inventory.release(f"{app}/{parent}").dataset if parent else ""
        dataset = self._inventory.where.release(app, version)
        await self._sealer.ensure_parent(dataset)
        layer = await self._sealer.seal(dataset, layout.RELEASE_PROPERTY, fill, origin=origin)
        self._inventory.releases[f"{app}/{version}"] = layer
        handle.facts(used_bytes=layer.used)
        target = f"apps/{app}/releases/{version}"
        await self._events.emit("release.sealed", target, f"guid {layer.guid}", sha256=record.sha256)
        return target

    async def pull(
        self,
        app: str,
        version: str,
        image: str,
        *,
        sha256: str,
        parent: str,
        manifest: Manifest | None,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        """Pull an image from a registry and seal it as a release; without `manifest` by the one that it brings.

        Raises as `Pulls.find` and IMAGE_WITHOUT_MANIFEST for a plan; else the operation ends so.
        """
        target = f"apps/{app}/releases/{version}"
        duplicate = await self._operations.duplicate(caller, "push", target)
        if duplicate is not None:
            return duplicate
        names.release(f"{app}/{version}")
        self._require_new(app, version)
        if parent:
            self._inventory.release(f"{app}/{parent}")

        async def plan() -> tuple[Found, Manifest, Plan]:
            found = await self._pulls.find(image)
            registry.require_digest(found, sha256)
            registry.require_release_platform(found, await self._pulls.platform())
            own = manifest or _brought(found)
            manifestcheck.require(own)
            unpack = f"write what differs from {app}/{parent} into a clone of it" if parent else "unpack it"
            return found, own, pulls.plan("push", target, found, "check every entry", unpack, "seal it")

        if validate_only:
            return await self._dispatcher.planned((await plan())[2], caller)

        async def work(handle: Handle) -> str:
            self._require_new(app, version)
            with handle.cancellable():
                await handle.phase("resolve", image)
                found, own, planned = await plan()
                handle.note(plan=planned)
                record = ReleaseRecord(
                    app=app,
                    version=version,
                    manifest=own,
                    sha256=found.digest,
                    parent=parent,
                    image=str(found.reference),
                )
                async with self._pulls.pulled(handle, found) as pulled:
                    return await self._seal_image(handle, record, pulled)

        return await self._dispatcher.submit(target, "push", caller, work)

    async def _seal_image(self, handle: Handle, record: ReleaseRecord, image: Image) -> str:
        policy = release_policy()
        await handle.phase("unpack", quantity.count(len(image.layers), "layer"))

        async def unpack(tree: Path) -> Difference:
            if not record.parent:
                notes = await self._images.unpack(image, tree, policy, progress=_progress(handle))
                listing = await self._archives.verify_tree(tree, policy)
                return _whole(Extracted(files=listing.files, size=listing.size, notes=(*notes, *listing.notes)))
            staging = self._staging / handle.id
            try:
                await self._files.make_folder(staging)
                notes = await self._images.unpack(image, staging, policy, progress=_progress(handle))
                listing = await self._archives.verify_tree(staging, policy)
                return await self._archives.match_tree(staging, tree, replace(listing, notes=(*notes, *listing.notes)))
            finally:
                await self._files.remove(staging)

        return await self._seal(handle, record, unpack)

    def _require_new(self, app: str, version: str) -> None:
        if f"{app}/{version}" in self._inventory.releases:
            raise AlreadyExistsError(
                "RELEASE_EXISTS",
                f"release {app}/{version} is here already, and releases never change",
                hint="push it under another version, or delete the one that is there",
                resource=f"apps/{app}/releases/{version}",
            )

    async def delete(self, app: str, version: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Delete one that nothing needs. Errors as `LayerRemoval.delete`."""
        return await self._removal.delete(f"{app}/{version}", validate_only=validate_only, caller=caller)

    async def prune(self, app: str | None, *, min_age: float, validate_only: bool, caller: Caller) -> Operation:
        """Delete all releases that nothing needs, of an app or of all that are the caller's to change.

        Those are `min_age` seconds old. Errors as `LayerRemoval.prune`.
        """

        def among(key: str) -> bool:
            of = key.partition("/")[0]
            return app in {None, of} and access.has_app(caller, of)

        return await self._removal.prune(
            f"apps/{app or '-'}", among, min_age=min_age, validate_only=validate_only, caller=caller
        )

    async def _forget_app(self, key: str) -> None:
        """Destroy an app's dataset when its last release is gone."""
        app = key.partition("/")[0]
        if not any(other.startswith(f"{app}/") for other in self._inventory.releases):
            await self._zfs.destroy(self._inventory.where.app(app))


def _progress(handle: Handle) -> Progress:
    def progress(done: int, total: int) -> None:
        handle.progress(done, bytes_total=total)

    return progress


def _whole(extracted: Extracted) -> Difference:
    """Return what was unpacked as the difference from nothing."""
    return Difference(
        files=extracted.files,
        size=extracted.size,
        added=extracted.size,
        unchanged=0,
        written=extracted.files,
        adjusted=0,
        removed=0,
        notes=extracted.notes,
    )


def _brought(found: Found) -> Manifest:
    if not found.release_manifest:
        raise registry.no_manifest(found)
    return specfile.parse_manifest(found.release_manifest, f"{registry.MANIFEST} of {found.reference}")
