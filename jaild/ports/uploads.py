"""Port: large files that come in over the API, and whose rest may come later, also to the next daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol


class Upload(Protocol):
    """One that is open. Its bytes stay when it is closed before it was whole."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes that are there."""

    def content(self) -> AsyncIterator[bytes]:
        """Iterate over what was there when it was opened."""

    async def write(self, chunk: bytes) -> None:
        """Add to it. `ResourceExhaustedError` (UPLOADS_FULL, NO_SPACE), `InvalidArgumentError` (ARCHIVE_TOO_LARGE)."""


class Uploads(Protocol):
    """Those of this host. Each is known by the SHA-256 of the whole, which its sender says; the oldest are dropped."""

    async def size(self, key: str) -> int:
        """Return how many bytes of one are here; 0 if nothing is."""

    def opened(self, key: str, announced: int) -> AbstractAsyncContextManager[Upload]:
        """Open one to add to it; an empty `key`: a new one. `announced`: bytes that it is to have, 0 if not known.

        `FailedPreconditionError` (UPLOAD_UNDER_WAY) while somebody else has it open.
        """

    async def drop(self, path: Path) -> None:
        """Remove one. No error if it is gone."""
