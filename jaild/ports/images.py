"""Port: OCI images in a layout folder of the host, checked by digest and unpacked layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaild.model.layers.archive import Policy
from jaild.model.layers.ociimage import Manifest, Platform
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

    async def verified(self, layout: Path, digest: str, manifest: Manifest) -> Image:
        """Verify the layers of an image whose manifest, of that digest (sha256 in hex), is known. Raises as `open`."""

    async def write(
        self, layout: Path, tree: Path, platform: Platform, annotations: Mapping[str, str], *, progress: Progress
    ) -> str:
        """Pack a tree as an image of one layer into a folder that does not exist; return its manifest's sha256 in hex.

        `progress` is told of bytes of the tree, of 0 in all. `InvalidArgumentError` (ARCHIVE_TOO_LARGE),
        `ResourceExhaustedError` (UPLOADS_FULL, NO_SPACE), `InternalError` (COMMAND_FAILED).
        """

    async def unpack(
        self, image: Image, destination: Path, policy: Policy, *, progress: Progress | None = None
    ) -> tuple[str, ...]:
        """Unpack the layers into an empty folder, whiteouts carried out; return notes for people.

        Each layer's entries are checked before any of it is written. Raises what `Archives.verify` and `extract` raise.
        """
