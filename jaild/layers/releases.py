"""Releases of apps: pushed, listed, deleted. The product teams' use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.layers.removal import LayerKind, LayerRemoval
from jaild.layers.sealing import Sealer
from jaild.model import access, layout, names
from jaild.model.errors import AlreadyExistsError, NotFoundError
from jaild.model.layers import manifest as manifestcheck
from jaild.model.layers.archive import release_policy
from jaild.model.layers.records import Manifest, ReleaseRecord
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller, ReleaseView
from jaild.ports.files import Spooled


class Releases:
    """The releases of this host."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
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

        def progress(done: int, total: int) -> None:
            handle.progress(done, bytes_total=total)

        async def fill(folder: Path) -> ReleaseRecord:
            tree = folder / layout.TREE
            if parent:
                staging = self._staging / handle.id
                difference = await self._archives.extract_difference(
                    spooled.path, tree, listing, staging=staging, progress=progress
                )
                files, total, added, notes = difference.files, difference.size, difference.added, difference.notes
            else:
                extracted = await self._archives.extract(spooled.path, tree, listing, progress=progress)
                files, total, added, notes = extracted.files, extracted.size, extracted.size, extracted.notes
            await self._files.make_folder(tree / "etc")  # what a generation's own configuration is mounted on
            await handle.phase(layout.SEALING, "reading libraries")
            handle.facts(files=files, size_bytes=total, added_bytes=added, shared_bytes=max(0, total - added))
            if notes:
                handle.facts(notes="; ".join(notes))
            return ReleaseRecord(
                app=app,
                version=version,
                manifest=manifest,
                sha256=spooled.sha256,
                parent=parent,
                pushed=self._clock.now(),
                files=files,
                size=total,
                added=added,
            )

        origin = self._inventory.release(f"{app}/{parent}").dataset if parent else ""
        dataset = self._inventory.where.release(app, version)
        await self._sealer.ensure_parent(dataset)
        layer = await self._sealer.seal(dataset, layout.RELEASE_PROPERTY, fill, origin=origin)
        self._inventory.releases[f"{app}/{version}"] = layer
        handle.facts(used_bytes=layer.used)
        target = f"apps/{app}/releases/{version}"
        await self._events.emit("release.sealed", target, f"guid {layer.guid}", sha256=spooled.sha256)
        return target

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
