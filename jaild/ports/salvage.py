"""Port: trees of files as streams, read from file systems that fail in places. See `jaild.model.salvage`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaild.model.migration.protocol import ReceiveHeader
from jaild.model.salvage import Loss


@dataclass(frozen=True, kw_only=True)
class Written:
    """A stream that was carried out."""

    entries: int  # files, folders and links
    sha256: str  # of the stream


class FileTrees(Protocol):
    """Reads and writes them."""

    def read(self, root: Path, losses: list[Loss], *, skip: frozenset[str] = frozenset()) -> AsyncIterator[bytes]:
        """Stream a tree, without what is mounted in it and without `skip` (names in `root`).

        What cannot be read is added to `losses` and left out.
        """

    async def write(self, root: Path, chunks: AsyncIterator[bytes]) -> Written:
        """Carry a stream out in a folder that is empty. `DataLossError` (SALVAGE_STREAM_INVALID)."""


class SalvagePeer(Protocol):
    """One other host; its errors are those of `jaild.ports.peer.Peer`."""

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Written:
        """Send the files of one dataset into a new one there."""

    async def finish(self, migration: str, report: str) -> dict[str, int]:
        """Tell it what is lost (JSON of `Report`); it snapshots what came and returns the guids by dataset path."""
