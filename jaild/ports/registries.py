"""Port: images in OCI registries (distribution-spec). What comes is untrusted, but for its digest."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from jaild.model.layers.registry import Reference
from jaild.ports.archives import Progress


class ImageRegistries(Protocol):
    """The registries that this host may use.

    Every call: `PermissionDeniedError` (REGISTRY_NOT_ALLOWED, REGISTRY_UNAUTHORIZED), `NotFoundError`
    (IMAGE_NOT_FOUND), `UnavailableError` (REGISTRY_UNREACHABLE, PROGRAM_MISSING), `FailedPreconditionError`
    (REGISTRY_UNTRUSTED), `DataLossError` (DIGEST_MISMATCH), `InternalError` (COMMAND_FAILED).
    """

    def require(self, image: Reference, *, push: bool = False) -> None:
        """Raise REGISTRY_NOT_ALLOWED unless the configuration lets this host pull it, or push to it."""

    async def manifest(self, image: Reference) -> bytes:
        """Return the manifest, or the index, that a tag or digest names; its digest is that of the image."""

    async def config(self, image: Reference) -> bytes:
        """Return an image's configuration: a document that its manifest names."""

    async def fetch(self, image: Reference, layout: Path, size: int, *, progress: Progress) -> None:
        """Bring the blobs of an image, by its digest, into a folder, as a layout; none that is there is fetched.

        `size`: bytes of its layers; far more do not come: `InvalidArgumentError` (ARCHIVE_TOO_LARGE). Also
        `ResourceExhaustedError` (UPLOADS_FULL, NO_SPACE). Ended in the middle, whole blobs stay in the folder.
        """

    async def push(self, layout: Path, image: Reference) -> None:
        """Push the one image of a layout folder, as it is; blobs that the registry has are not sent."""
