"""An OCI image layout of one layer, written (image-spec 1.1: image-layout.md, manifest.md, config.md, layer.md).

The same tree, read in the same order, gives the same bytes: no time of its own is in them, so that a registry has a
layer once however often it is pushed.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any

import msgspec

from jaild.adapters.files.room import Place
from jaild.model.layers import ociimage
from jaild.model.layers.ociimage import Platform
from jaild.ports.archives import Progress

_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say that it is to write a gzip file; its header has no time
_LEVEL = 6
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class _Blob:
    """A file that gets the digest of its content as its name. Its methods block."""

    def __init__(self, file: IO[bytes], place: Place | None) -> None:
        self._file = file
        self._place = place
        self._packed = hashlib.sha256()
        self.unpacked = hashlib.sha256()
        self.size = 0
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)

    def add(self, piece: bytes) -> None:
        self.unpacked.update(piece)
        self._write(self._gzip.compress(piece))

    def finish(self) -> str:
        """Return the digest."""
        self._write(self._gzip.flush())
        return self._packed.hexdigest()

    def _write(self, data: bytes) -> None:
        if self._place is not None:
            self._place.write(len(data))
        self._file.write(data)
        self._packed.update(data)
        self.size += len(data)


class LayoutWriter:
    """Writes a layout into a folder that does not exist. `place`: what it may take of its file system."""

    def __init__(self, layout: Path, place: Place | None) -> None:
        self._layout = layout
        self._blobs = layout / "blobs" / "sha256"
        self._place = place

    async def write(
        self, tar: AsyncIterator[bytes], platform: Platform, annotations: Mapping[str, str], progress: Progress
    ) -> str:
        """Write an image of one layer; return its manifest's sha256 in hex. `progress`: bytes of the tar, of 0."""
        await asyncio.to_thread(self._blobs.mkdir, parents=True)
        coming = self._layout / "layer"
        done = 0
        with coming.open("xb") as file:
            blob = _Blob(file, self._place)
            async with aclosing(tar) as pieces:  # type: ignore[type-var]  # a generator, as the port's implementation is
                async for piece in pieces:
                    await asyncio.to_thread(blob.add, piece)
                    done += len(piece)
                    progress(done, 0)
            digest = await asyncio.to_thread(blob.finish)
        coming.rename(self._blobs / digest)
        layer = {"mediaType": ociimage.LAYER, "digest": f"sha256:{digest}", "size": blob.size}
        config = {
            "architecture": platform.architecture,
            "os": platform.os,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{blob.unpacked.hexdigest()}"]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._document(config, _CONFIG),
            "layers": [layer],
            "annotations": dict(sorted(annotations.items())),
        }
        described = self._document(manifest, _MANIFEST)
        (self._layout / ociimage.LAYOUT).write_text('{"imageLayoutVersion": "1.0.0"}')
        index = {"schemaVersion": 2, "manifests": [described]}
        (self._layout / ociimage.INDEX).write_bytes(msgspec.json.encode(index))
        return ociimage.hexadecimal(described["digest"])

    def _document(self, content: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        """Write a small document as a blob; return its descriptor."""
        data = msgspec.json.encode(content)
        name = hashlib.sha256(data).hexdigest()
        (self._blobs / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}
