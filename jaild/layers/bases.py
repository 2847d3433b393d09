"""Bases: imported (archives, trees, OCI images), listed, deleted. The source team's use cases."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.engine.operations import Handle
from jaild.layers import pulls
from jaild.layers.images import ImageImport
from jaild.layers.pulls import Pulls
from jaild.layers.removal import LayerKind, LayerRemoval
from jaild.layers.sealing import BaseSealing, Sealer, Source
from jaild.model.errors import InvalidArgumentError
from jaild.model.layers import distset, ociimage, registry
from jaild.model.layers.archive import Listing, base_policy
from jaild.model.layers.registry import Found
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import BaseView, Caller
from jaild.ports.archives import Extracted
from jaild.ports.files import Spooled

_MOUNTS = "a daemon with a mount namespace of its own (--embedded) sees no mounts made after its start"


class Bases:
    """The bases of this host."""

    def __init__(self, engine: Engine, sealer: Sealer, sealing: BaseSealing, found: Pulls) -> None:
        self._inventory = engine.inventory
        self._removal = LayerRemoval(
            engine,
            sealer,
            LayerKind(
                noun="base",
                parent=engine.inventory.where.bases,
                layers=engine.inventory.bases,
                users=lambda users: users.bases,
                resource=lambda name: f"bases/{name}",
                sealed=lambda record: record.imported,
                in_use="BASE_IN_USE",
                has_clones="BASE_HAS_CLONES",
                cloned="patched",
            ),
        )
        self._sealing = sealing
        self._pulls = found
        self._images = ImageImport(engine, sealing, found)
        self._archives = engine.ports.archives
        self._files = engine.ports.files
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations

    def get(self, base_id: str) -> BaseView:
        """Return one. `NotFoundError` (BASE_NOT_FOUND)."""
        return self._inventory.base_view(base_id)

    def list(self) -> list[BaseView]:
        """Return all, by name."""
        users = self._inventory.users()
        return [self._inventory.base_view(name, users) for name in sorted(self._inventory.bases)]

    async def import_stream(
        self,
        base_id: str,
        chunks: AsyncIterator[bytes],
        *,
        sha256: str,
        size: int,
        manifest: str,
        manifest_entry: str,
        image: str = "",
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        """Take an archive as a stream, then import it; returns when all of it has come."""
        duplicate = await self._operations.duplicate(caller, "import", f"bases/{base_id}")
        if duplicate is not None:
            return duplicate
        self._sealing.require_new(base_id)
        sets = distset.parse(manifest) if manifest else None
        if validate_only:
            return await self._dispatcher.planned(_plan(base_id, "take the archive, check its digest"), caller)
        spooled = await self._files.spool(chunks, sha256=sha256, size=size)
        async with undo_on_error(lambda: self._files.remove(spooled.path)):
            if sets is not None:
                distset.verify(sets, manifest_entry or "base.txz", spooled.sha256)
        return await self._submit(base_id, spooled, image, caller)

    async def _submit(self, base_id: str, spooled: Spooled, image: str, caller: Caller) -> Operation:
        async def forget() -> None:
            await self._files.remove(spooled.path)

        async def work(handle: Handle) -> str:
            try:
                self._sealing.require_new(base_id)  # another import of that name may have been before it
                return await self._import_archive(handle, base_id, spooled.path, spooled.sha256, image)
            finally:
                await forget()

        return await self._dispatcher.submit(f"bases/{base_id}", "import", caller, work, unbegun=forget)

    async def import_path(
        self, base_id: str, path: str, *, sha256: str, image: str = "", validate_only: bool = False, caller: Caller
    ) -> Operation:
        """Import what lies on this host: an archive, a folder with base.txz and MANIFEST, an OCI layout or a tree."""
        duplicate = await self._operations.duplicate(caller, "import", f"bases/{base_id}")
        if duplicate is not None:
            return duplicate
        self._sealing.require_new(base_id)
        source = Path(path)
        await self._require_something(source, path)
        if validate_only:
            return await self._dispatcher.planned(_plan(base_id, f"read {path}"), caller)

        async def work(handle: Handle) -> str:
            self._sealing.require_new(base_id)
            if source.is_dir() and self._images.is_layout(map(os.fsencode, await self._files.names(source))):
                with handle.cancellable():
                    return await self._images.from_layout(handle, base_id, source, image)
            if source.is_dir() and not (source / "base.txz").exists():
                self._images.require_none(image, path)
                if sha256:
                    raise InvalidArgumentError(
                        "NO_DIGEST_OF_A_TREE",
                        f"{path} is an unpacked tree and has no sha256",
                        hint="leave it out, or import an archive",
                    )
                return await self._import_tree(handle, base_id, source)
            archive = source / "base.txz" if source.is_dir() else source
            await handle.phase("digest", f"reading {archive}")
            found = await self._files.digest(archive)
            if source.is_dir():
                sets = distset.parse((await self._files.read(source / "MANIFEST")).decode())
                distset.verify(sets, "base.txz", found)
            if sha256 and sha256.lower() != found:
                raise InvalidArgumentError(
                    "DIGEST_MISMATCH",
                    f"{archive} has sha256 {found}, expected {sha256}",
                    hint="fetch it again from its origin",
                )
            return await self._import_archive(handle, base_id, archive, found, image)

        return await self._dispatcher.submit(f"bases/{base_id}", "import", caller, work)

    async def import_image(
        self, base_id: str, image: str, *, sha256: str = "", validate_only: bool = False, caller: Caller
    ) -> Operation:
        """Pull an image from a registry and import it. `sha256`: its manifest's, if it must be that one.

        Raises as `Pulls.find` for a plan; else the operation ends so.
        """
        target = f"bases/{base_id}"
        duplicate = await self._operations.duplicate(caller, "import", target)
        if duplicate is not None:
            return duplicate
        self._sealing.require_new(base_id)

        async def plan() -> tuple[Found, Plan]:
            found = await self._pulls.find(image)
            registry.require_digest(found, sha256)
            ociimage.require_platform(found.platform, await self._pulls.platform())
            return found, pulls.plan(
                "import", target, found, "check every entry, unpack it into a new dataset", "seal it"
            )

        if validate_only:
            return await self._dispatcher.planned((await plan())[1], caller)

        async def work(handle: Handle) -> str:
            self._sealing.require_new(base_id)
            with handle.cancellable():
                await handle.phase("resolve", image)
                found, planned = await plan()
                handle.note(plan=planned)
                return await self._images.from_registry(handle, base_id, found)

        return await self._dispatcher.submit(target, "import", caller, work)

    async def _require_something(self, source: Path, path: str) -> None:
        """Raise `InvalidArgumentError` (PATH_NOT_FOUND) unless the daemon sees something there."""
        hint = "give the daemon's own path, or stream the archive instead"
        if not source.is_absolute():
            why, hint = "is not absolute: the daemon has another working folder", "begin it with /"
        elif not source.exists():
            why = "is not there, as the daemon sees this host"
            hint += f"; {_MOUNTS}"
        elif source.is_dir() and not await self._files.names(source):
            why, hint = "is an empty folder, as the daemon sees this host", f"put the tree there; {_MOUNTS}"
        else:
            return
        raise InvalidArgumentError("PATH_NOT_FOUND", f"{path!r} {why}", hint=hint)

    async def _import_archive(self, handle: Handle, base_id: str, archive: Path, sha256: str, image: str) -> str:
        with handle.cancellable():
            await handle.phase("check", "checking every entry")
            listing = await self._archives.verify(archive, base_policy())
            if self._images.is_layout(listing.roots):
                return await self._images.from_archive(handle, base_id, archive, listing, sha256, image)
            self._images.require_none(image, archive.name)
            await handle.phase("unpack")

            async def unpack(tree: Path) -> Extracted:
                def progress(done: int, total: int) -> None:
                    handle.progress(done, bytes_total=total)

                return await self._archives.extract(archive, tree, listing, progress=progress)

            return await self._sealing.seal(handle, base_id, unpack, Source(sha256=sha256))

    async def _import_tree(self, handle: Handle, base_id: str, source: Path) -> str:
        with handle.cancellable():
            await handle.phase("check", "checking every file")
            listing: Listing = await self._archives.verify_tree(source, base_policy())
            await handle.phase("unpack")

            async def unpack(tree: Path) -> Extracted:
                return await self._archives.copy_tree(source, tree, listing)

            return await self._sealing.seal(handle, base_id, unpack, Source())

    async def delete(self, base_id: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Delete one that nothing needs. Errors as `LayerRemoval.delete`."""
        return await self._removal.delete(base_id, validate_only=validate_only, caller=caller)

    async def prune(self, *, min_age: float, validate_only: bool, caller: Caller) -> Operation:
        """Delete all that nothing needs, and that are `min_age` seconds old. Errors as `LayerRemoval.prune`."""
        return await self._removal.prune(
            "bases", lambda _: True, min_age=min_age, validate_only=validate_only, caller=caller
        )


def _plan(base_id: str, first: str) -> Plan:
    """Return the plan of an import: what comes is looked at when it is there."""
    steps = (first, "check every entry: what is wrong with it is known then", "unpack it into a new dataset", "seal it")
    return Plan(kind="import", target=f"bases/{base_id}", steps=steps)
