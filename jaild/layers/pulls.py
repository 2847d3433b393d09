"""Images of registries: found by name or digest, and brought here, to be unpacked as those of a layout folder are."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.model import quantity
from jaild.model.errors import DataLossError, UnavailableError
from jaild.model.layers import ociimage, registry
from jaild.model.layers.ociimage import Descriptor, Index, Manifest, Platform
from jaild.model.layers.registry import Config, Found, Reference
from jaild.model.problems import Plan
from jaild.ports.images import Image

_MAX_DEPTH = 4  # indexes in indexes
_PAUSES = (1.0, 2.0, 4.0)  # seconds before each further try: skopeo 1.9 makes none where a blob breaks off


class Pulls:
    """Pulls images. Of one that the connection broke off, the blobs that came are kept for the next try."""

    def __init__(self, engine: Engine) -> None:
        self._registries = engine.ports.registries
        self._images = engine.ports.images
        self._files = engine.ports.files
        self._runtime = engine.ports.runtime
        self._clock = engine.ports.clock
        self._staging = engine.place.staging
        self._kept: Path | None = None  # at most one: what nobody comes back for is not to fill the disk

    async def platform(self) -> Platform:
        """Return what images must be for."""
        facts = await self._runtime.facts()
        return Platform(architecture=ociimage.machine(facts.machine), os=facts.family.value)

    async def find(self, name: str) -> Found:
        """Return what a name leads to now: that of an index for this host's system and machine.

        Raises as `ImageRegistries.manifest`, INVALID_IMAGE, OCI_UNREADABLE, OCI_PLATFORM, OCI_AMBIGUOUS.
        """
        reference = registry.parse(name)
        self._registries.require(reference)
        wanted = await self.platform()
        data = await self._registries.manifest(reference)
        for _ in range(_MAX_DEPTH):
            reference = _resolved(reference, data)
            kind = ociimage.parse(data, ociimage.Document, str(reference))
            if not kind.is_index:
                break
            inner = ociimage.parse(data, Index, str(reference))
            reference = reference.resolved(ociimage.choose(inner.manifests, "", wanted).digest)
            data = await self._registries.manifest(reference)
        reference = _resolved(reference, data)
        manifest = ociimage.parse(data, Manifest, str(reference))
        ociimage.require_layers(manifest)
        return await self._described(reference, manifest)

    async def _described(self, reference: Reference, manifest: Manifest) -> Found:
        data = await self._registries.config(reference)
        _require_digest(manifest.config, data)
        of_an_image = manifest.config.media_type in ociimage.CONFIGS
        platform = ociimage.parse(data, Platform, manifest.config.digest) if of_an_image else Platform()
        config = ociimage.parse(data, Config, manifest.config.digest) if of_an_image else Config()
        return Found(reference=reference, manifest=manifest, platform=platform, labels=config.labels)

    @asynccontextmanager
    async def pulled(self, handle: Handle, found: Found) -> AsyncIterator[Image]:
        """Bring an image to a folder that goes when the block ends; its layers are verified. Raises as `fetch`."""
        target = hashlib.sha256(handle.operation.target.encode()).hexdigest()
        folder = self._staging / f"pull-{found.digest[:32]}-{target[:16]}"
        if self._kept is not None and self._kept != folder:
            await self._files.remove(self._kept)
        self._kept = None
        try:
            await self._fetch(handle, found, folder)
            await handle.phase("check", "checking every blob")
            yield await self._images.verified(folder, found.digest, found.manifest)
        finally:
            if self._kept != folder:
                await self._files.remove(folder)

    async def _fetch(self, handle: Handle, found: Found, folder: Path) -> None:
        await handle.phase("fetch", told(found))
        await self._files.make_folder(folder)
        handle.facts(image=str(found.reference))

        def progress(done: int, total: int) -> None:
            handle.progress(done, bytes_total=total)

        for pause in (*_PAUSES, None):
            try:
                await self._registries.fetch(found.reference, folder, found.size, progress=progress)
            except UnavailableError as error:
                if pause is None or error.reason != "REGISTRY_UNREACHABLE":
                    self._kept = folder
                    raise
                handle.note(message=f"{error.message}: again in {pause:g} s")
                await self._clock.sleep(pause)
            else:
                return


def told(found: Found) -> str:
    """Return what is to be fetched, for people."""
    layers = quantity.count(len(found.manifest.layers), "layer")
    return f"{found.reference}: {layers}, {quantity.size(found.size)}"


def plan(kind: str, target: str, found: Found, *steps: str) -> Plan:
    """Return the plan of what is made of an image."""
    return Plan(kind=kind, target=target, steps=(f"fetch {told(found)}", "check the digest of every blob", *steps))


def _resolved(reference: Reference, data: bytes) -> Reference:
    """Return it with the digest of its document. `DataLossError` (DIGEST_MISMATCH) if that is not the one asked for."""
    digest = registry.digest_of(data)
    if reference.digest not in {"", digest}:
        raise _mismatch(reference.digest, digest)
    return reference.resolved(digest)


def _require_digest(descriptor: Descriptor, data: bytes) -> None:
    digest = registry.digest_of(data)
    if digest != descriptor.digest:
        raise _mismatch(descriptor.digest, digest)


def _mismatch(expected: str, found: str) -> DataLossError:
    return DataLossError(
        "DIGEST_MISMATCH",
        f"{expected} was asked for, and the registry sent {found}",
        hint="ask again; then tell whoever runs the registry",
        detail={"expected": expected, "found": found},
    )
