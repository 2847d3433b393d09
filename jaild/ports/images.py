"""Port: OCI images in a layout folder of the host, checked by digest and unpacked layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaild.model.layers.ociimage import Platform
from jaild.ports.archives import Progress


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image whose blobs are all there, and are what their digests say."""

    digest: str  # of its manifest, sha256 in hex
    layers: tuple[Path, ...]  # blobs, the lowest first
    size: int  # bytes of the layers as they lie there


class Images(Protocol):
    """Reads and unpacks images."""

    async def open(self, layout: Path, *, reference: str, wanted: Platform) -> Image:
        """Choose the image for a platform (and of a name, if one is given) and verify every blob.

        `InvalidArgumentError` (OCI_UNREADABLE), `NotFoundError` (OCI_IMAGE_NOT_FOUND), `FailedPreconditionError`
        (OCI_PLATFORM, OCI_AMBIGUOUS), `DataLossError` (DIGEST_MISMATCH).
        """

    async def unpack(self, image: Image, destination: Path, *, progress: Progress | None = None) -> tuple[str, ...]:
        """Unpack the layers into an empty folder, whiteouts carried out; return notes for people.

        Each layer's entries are checked before any of it is written. Raises what `Archives.verify` and `extract` raise.
        """
