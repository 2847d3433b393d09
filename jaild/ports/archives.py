"""Port: trees that come in as archives or folders, checked first and then unpacked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaild.model.layers.archive import Listing, Policy

Progress = Callable[[int, int], None]  # bytes done, bytes in all; of the archive as it lies there


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """What was unpacked."""

    files: int  # entries of every kind
    size: int  # bytes of content
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a tree was made equal to another one."""

    files: int  # entries of every kind in the tree as it is now
    size: int  # bytes of content in the tree as it is now
    added: int  # bytes of content written; everything else still shares its blocks with the parent
    unchanged: int  # files and links left as they were
    written: int  # files and links made or replaced
    adjusted: int  # entries whose owner, mode or time was changed and nothing else
    removed: int  # entries (a folder counts as one) that are no longer there
    notes: tuple[str, ...] = ()


class Archives(Protocol):
    """Checks and unpacks archives."""

    async def verify(self, archive: Path, policy: Policy) -> Listing:
        """List the archive and apply the policy's rules, without writing anything.

        Raises `InvalidArgumentError` with the reasons of `jaild.model.layers.archive.Checker.see`, or
        ARCHIVE_UNREADABLE (not a tar), `DataLossError` (ARCHIVE_TRUNCATED), `NotFoundError` (ARCHIVE_MISSING).
        """

    async def verify_tree(self, source: Path, policy: Policy) -> Listing:
        """Apply the same rules to a folder. A file system mounted inside it is left out, with a note."""

    async def extract(
        self, archive: Path, destination: Path, listing: Listing, *, progress: Progress | None = None
    ) -> Extracted:
        """Unpack what `verify` passed into an empty folder, with owners and modes.

        Raises `FailedPreconditionError` (DESTINATION_NOT_EMPTY), `ResourceExhaustedError` (NO_SPACE), `DataLossError`
        (ARCHIVE_TRUNCATED). After an error or a cancellation the destination holds a part: throw it away.
        """

    async def copy_tree(
        self, source: Path, destination: Path, listing: Listing, *, progress: Progress | None = None
    ) -> Extracted:
        """Copy what `verify_tree` passed into an empty folder, like `extract`."""

    def pack(self, folder: Path) -> AsyncIterator[bytes]:
        """Yield a folder as a tar (pax), numeric owners and all; sockets, and what is mounted in it, are left out.

        `InternalError` (COMMAND_FAILED), before the end is yielded, if something could not be read.
        """

    async def add_tree(self, source: Path, destination: Path) -> None:
        """Copy a folder's content into a folder that may hold something; files that are there are replaced.

        No symlink of the destination is followed: `InvalidArgumentError` (ARCHIVE_PATH_ESCAPES) at one that is in the
        way. Folders that are there keep owner and mode. Nothing else may write there meanwhile.
        """

    async def match_tree(self, source: Path, destination: Path, listing: Listing) -> Difference:
        """Make `destination`, which holds another release's files, equal to the folder that `verify_tree` passed."""

    async def extract_difference(
        self,
        archive: Path,
        destination: Path,
        listing: Listing,
        *,
        staging: Path,
        progress: Progress | None = None,
    ) -> Difference:
        """Make `destination`, which holds another release's files, equal to the archive; equal files are not rewritten.

        `staging` is a path of the caller's for the unpacked archive, on any file system with room for all of it;
        whatever lies there is removed before and after. Raises what `extract` raises.
        """
