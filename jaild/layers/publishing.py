"""Bases and releases pushed to registries, each as an OCI image of one layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaild.engine.build import Engine
from jaild.engine.inventory import AnyLayer
from jaild.engine.operations import Handle
from jaild.layers.pulls import Pulls
from jaild.model import quantity
from jaild.model.errors import NotFoundError
from jaild.model.jails import specfile
from jaild.model.layers import registry
from jaild.model.layers.registry import Reference
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller

_NAME, _VERSION = "org.opencontainers.image.title", "org.opencontainers.image.version"  # image-spec, annotations.md


class Publishing:
    """Pushes what is sealed here."""

    def __init__(self, engine: Engine, pulls: Pulls) -> None:
        self._inventory = engine.inventory
        self._pulls = pulls
        self._registries = engine.ports.registries
        self._images = engine.ports.images
        self._files = engine.ports.files
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._staging = engine.place.staging

    async def base(self, base_id: str, image: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Push a base. `NotFoundError` (BASE_NOT_FOUND); else as `release`."""
        layer = self._inventory.base(base_id)
        annotations = {registry.KIND: "base", _NAME: base_id, _VERSION: layer.record.version}
        return await self._publish(f"bases/{base_id}", layer, annotations, image, validate_only, caller)

    async def release(
        self, app: str, version: str, image: str, *, validate_only: bool = False, caller: Caller
    ) -> Operation:
        """Push a release. `NotFoundError` (RELEASE_NOT_FOUND), INVALID_IMAGE, REGISTRY_NOT_ALLOWED.

        The operation ends as `Images.write` and `ImageRegistries.push` raise.
        """
        layer = self._inventory.release(f"{app}/{version}")
        annotations = {
            registry.KIND: "release",
            registry.MANIFEST: specfile.render(layer.record.manifest),
            _NAME: app,
            _VERSION: version,
        }
        return await self._publish(f"apps/{app}/releases/{version}", layer, annotations, image, validate_only, caller)

    async def _publish(
        self,
        target: str,
        layer: AnyLayer,
        annotations: Mapping[str, str],
        image: str,
        validate_only: bool,  # noqa: FBT001 -- as it came
        caller: Caller,
    ) -> Operation:
        duplicate = await self._operations.duplicate(caller, "publish", target)
        if duplicate is not None:
            return duplicate
        where = registry.destination(image)
        self._registries.require(where, push=True)
        if validate_only:
            packed = (
                f"pack {quantity.count(layer.record.files, 'file')}, {quantity.size(layer.record.size)}, as a layer"
            )
            steps = (packed, f"push it as {where}, {await self._now(where)}")
            return await self._dispatcher.planned(Plan(kind="publish", target=target, steps=steps), caller)

        async def work(handle: Handle) -> str:
            folder = self._staging / handle.id
            try:
                with handle.cancellable():
                    await self._push(handle, layer.tree, annotations, where, folder)
            finally:
                await self._files.remove(folder)
            return target

        return await self._dispatcher.submit(target, "publish", caller, work)

    async def _push(
        self, handle: Handle, tree: Path, annotations: Mapping[str, str], where: Reference, folder: Path
    ) -> None:
        await handle.phase("pack", "as an OCI image")

        def progress(done: int, total: int) -> None:
            handle.progress(done, bytes_total=total)

        platform = await self._pulls.platform()
        digest = await self._images.write(folder, tree, platform, annotations, progress=progress)
        pushed = where.resolved(f"sha256:{digest}")
        await handle.phase("push", str(pushed))
        await self._registries.push(folder, where)
        handle.facts(image=str(pushed))

    async def _now(self, where: Reference) -> str:
        """Return what the tag names now, for people."""
        try:
            found = await self._registries.manifest(where)
        except NotFoundError:
            return "which is not there yet"
        return f"which names {registry.digest_of(found)} now and will name this one"
