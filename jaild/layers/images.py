"""Bases of OCI images: of a layout folder, of a tar of one, of a registry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.layers.pulls import Pulls
from jaild.layers.sealing import BaseSealing, Source
from jaild.model import quantity
from jaild.model.errors import InvalidArgumentError
from jaild.model.layers import ociimage
from jaild.model.layers.archive import Listing, base_policy
from jaild.model.layers.ociimage import Platform
from jaild.model.layers.osversion import OsVersion
from jaild.model.layers.registry import Found
from jaild.ports.archives import Extracted
from jaild.ports.images import Image


class ImageImport:
    """Imports OCI images."""

    def __init__(self, engine: Engine, sealing: BaseSealing, pulls: Pulls) -> None:
        self._images = engine.ports.images
        self._archives = engine.ports.archives
        self._files = engine.ports.files
        self._pulls = pulls
        self._sealing = sealing
        self._staging = engine.place.staging

    @staticmethod
    def is_layout(names: Iterable[bytes]) -> bool:
        """Tell by the names at the top whether it is a layout."""
        return {ociimage.LAYOUT.encode(), ociimage.INDEX.encode()} <= set(names)

    @staticmethod
    def require_none(reference: str, what: str) -> None:
        """Raise `InvalidArgumentError` (NOT_AN_IMAGE) if an image was named, and this is none."""
        if reference:
            raise InvalidArgumentError(
                "NOT_AN_IMAGE", f"{what} is no OCI layout, and has no image {reference!r}", hint="name none"
            )

    async def from_archive(
        self, handle: Handle, base_id: str, archive: Path, listing: Listing, sha256: str, reference: str
    ) -> str:
        """Import from a tar of a layout that was checked."""
        folder = self._staging / handle.id
        try:
            await self._files.make_folder(folder)
            await handle.phase("unpack", "the layout")
            await self._archives.extract(archive, folder, listing)
            return await self.from_layout(handle, base_id, folder, reference, sha256=sha256)
        finally:
            await self._files.remove(folder)

    async def from_layout(self, handle: Handle, base_id: str, layout: Path, reference: str, *, sha256: str = "") -> str:
        """Import from a layout folder. Its sha256, if none is given, is that of the image's manifest."""
        await handle.phase("check", "checking every blob")
        wanted = await self._pulls.platform()
        image = await self._images.open(layout, reference=reference, wanted=wanted)
        return await self._seal(handle, base_id, image, wanted, Source(sha256=sha256 or image.digest))

    async def from_registry(self, handle: Handle, base_id: str, found: Found) -> str:
        """Import an image for this host's system and machine that was found in a registry."""
        wanted = found.platform
        async with self._pulls.pulled(handle, found) as image:
            source = Source(sha256=image.digest, image=str(found.reference))
            return await self._seal(handle, base_id, image, wanted, source)

    async def _seal(self, handle: Handle, base_id: str, image: Image, wanted: Platform, source: Source) -> str:
        await handle.phase("unpack", quantity.count(len(image.layers), "layer"))

        def progress(done: int, total: int) -> None:
            handle.progress(done, bytes_total=total)

        async def unpack(tree: Path) -> Extracted:
            notes = await self._images.unpack(image, tree, base_policy(), progress=progress)
            listing = await self._archives.verify_tree(tree, base_policy())
            told = f"OCI image of {quantity.count(len(image.layers), 'layer')}, manifest sha256:{image.digest}"
            return Extracted(files=listing.files, size=listing.size, notes=(told, *notes))

        def look(system: OsVersion) -> None:
            found = Platform(architecture=ociimage.machine(system.machine), os=system.family.value)
            ociimage.require_platform(found, wanted)

        return await self._sealing.seal(handle, base_id, unpack, replace(source, look=look))
