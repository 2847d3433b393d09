"""OCI images by bsdtar(1): index, manifest and configuration are read here, layers unpacked one over the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ocilayers import Layer
from jaild.adapters.archives.ociwriting import LayoutWriter
from jaild.adapters.archives.tarstream import TarRewriter
from jaild.adapters.files import plain as plainfiles
from jaild.adapters.files.room import Room
from jaild.model.errors import DataLossError, NotFoundError
from jaild.model.layers import ociimage
from jaild.model.layers.archive import Entry, Policy
from jaild.model.layers.ociimage import Descriptor, Index, Manifest, Platform
from jaild.ports.archives import Progress
from jaild.ports.images import Image

_MAX_DOCUMENT = 4 << 20  # bytes: image-spec advises registries so for manifests
_MAX_DEPTH = 4  # indexes in indexes
_BATCH = 1000  # entries that a thread looks at in a go


class OciImages:
    """Implements `jaild.ports.images.Images`."""

    def __init__(self, archives: BsdtarArchives, *, room: Room | None = None) -> None:
        self._archives = archives
        self._room = room

    async def open(self, layout: Path, *, reference: str, wanted: Platform) -> Image:
        """See the port."""
        index = ociimage.parse(await _document(layout / ociimage.INDEX), Index, ociimage.INDEX)
        chosen = ociimage.choose(index.manifests, reference, wanted)
        for _ in range(_MAX_DEPTH):
            if not chosen.is_index:
                break
            inner = ociimage.parse(await self._blob(layout, chosen), Index, chosen.digest)
            chosen = ociimage.choose(inner.manifests, "", wanted)
        manifest = ociimage.parse(await self._blob(layout, chosen), Manifest, chosen.digest)
        config = ociimage.parse(await self._blob(layout, manifest.config), Platform, manifest.config.digest)
        ociimage.require_platform(config, wanted)
        return await self.verified(layout, ociimage.hexadecimal(chosen.digest), manifest)

    async def verified(self, layout: Path, digest: str, manifest: Manifest) -> Image:
        """See the port."""
        ociimage.require_layers(manifest)
        for layer in manifest.layers:
            await self._verified(layout, layer)
        return Image(
            digest=digest,
            layers=tuple(_path(layout, layer) for layer in manifest.layers),
            size=sum(layer.size for layer in manifest.layers),
        )

    async def unpack(
        self, image: Image, destination: Path, policy: Policy, *, progress: Progress | None = None
    ) -> tuple[str, ...]:
        """See the port."""
        notes: dict[str, None] = {}
        done = 0
        for path in image.layers:
            layer = Layer(destination, policy)
            batch = list[Entry]()
            async with aclosing(self._archives.entries(path)) as found:
                async for entry in found:
                    batch.append(entry)
                    if len(batch) == _BATCH:
                        await asyncio.to_thread(layer.place, batch)
                        batch = []
            await asyncio.to_thread(layer.place, batch)
            listing = await asyncio.to_thread(layer.finish)
            if listing is not None:
                without = await self._archives.not_kept(destination, listing.extras)
                rewriter = TarRewriter(layer.placed, without=without)
                dropped = await self._archives.rewrite(path, destination, listing, rewriter)
                notes |= dict.fromkeys((*listing.notes, *dropped))
            done += path.stat().st_size
            if progress is not None:
                progress(done, image.size)
        return tuple(notes)

    async def write(
        self, layout: Path, tree: Path, platform: Platform, annotations: Mapping[str, str], *, progress: Progress
    ) -> str:
        """See the port."""
        place = await asyncio.to_thread(self._room.begin, 0) if self._room is not None else None
        try:
            return await LayoutWriter(layout, place).write(self._archives.pack(tree), platform, annotations, progress)
        finally:
            if place is not None:
                place.give_back()

    async def _blob(self, layout: Path, descriptor: Descriptor) -> bytes:
        if descriptor.size > _MAX_DOCUMENT:
            raise ociimage.unreadable(f"{descriptor.digest} is a document of {descriptor.size} bytes")
        return await _document(await self._verified(layout, descriptor))

    async def _verified(self, layout: Path, descriptor: Descriptor) -> Path:
        path = _path(layout, descriptor)
        try:
            found = await asyncio.to_thread(plainfiles.digest, path)
            size = path.stat().st_size
        except (NotFoundError, FileNotFoundError) as error:
            raise ociimage.unreadable(f"the blob {descriptor.digest} is missing") from error
        if found != ociimage.hexadecimal(descriptor.digest) or size != descriptor.size:
            raise DataLossError(
                "DIGEST_MISMATCH",
                f"the blob {descriptor.digest} has sha256 {found} and {size} bytes, {descriptor.size} were said",
                hint="copy the image again from its registry",
                detail={"expected": descriptor.digest, "found": found},
            )
        return path


def _path(layout: Path, descriptor: Descriptor) -> Path:
    return layout / "blobs" / "sha256" / ociimage.hexadecimal(descriptor.digest)


async def _document(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(plainfiles.read, path)
    except NotFoundError as error:
        raise ociimage.unreadable(f"there is no {path.name}") from error
