"""Port: trees below folders that a jail's root can write to, read and written as records. No link is followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from jaild.model.filerecords import Record


class Found(StrEnum):
    """What is at a place."""

    FOLDER = "folder"
    OTHER = "other"  # a file, or what else is no folder
    NOTHING = "nothing"  # but the folder that it would be in is there
    NO_WAY = "no way"  # nor is that one
    LINK = "link"  # on the way, or at its end


@dataclass(frozen=True, kw_only=True)
class Place:
    """`steps` below `root`, a folder of the host's own that is no link itself."""

    root: Path
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is at a place. `depth`: of the step that is a link, counted from 1; `target`: where that leads."""

    found: Found
    uid: int = 0  # of a folder
    gid: int = 0
    depth: int = 0
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A part of what is read: what is at `place`, as the path `at`, without the paths in `skip`."""

    place: Place
    at: bytes = b""
    skip: frozenset[bytes] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a tree is written: as `name`, or with an empty one its contents into the folder; see `jaild.trees.writer`."""

    name: bytes
    owner: tuple[int, int] | None
    preserve: bool
    closed: frozenset[bytes] = frozenset()


class Writing(Protocol):
    """A tree that is being written. Between two calls nothing is open.

    Errors: `InvalidArgumentError` (FILES_INVALID), `FailedPreconditionError` (PATH_TAKEN, PATH_OF_VOLUME),
    `ResourceExhaustedError` (NO_SPACE, TREE_TOO_LARGE), `InternalError` (FILE_FAILED).
    """

    @property
    def entries(self) -> int:
        """How many have come."""

    @property
    def bytes(self) -> int:
        """Of files, without holes."""

    async def take(self, records: Sequence[Record]) -> None:
        """Write some records."""

    async def close(self) -> None:
        """Finish it."""

    async def abandon(self) -> None:
        """Take away the file that is not whole; harmless after `close`."""


class JailTrees(Protocol):
    """The trees. Blocking work runs in threads of the adapter's own."""

    async def look(self, place: Place) -> Look:
        """Return what is at a place."""

    def read(self, trees: Sequence[Tree]) -> AsyncIterator[list[Record]]:
        """Yield trees, one after the other, in lists of about half a MiB. FILE_FAILED, TREE_TOO_LARGE."""

    def write(self, folder: Place, manner: Manner) -> Writing:
        """Begin to write into a folder. Nothing is done yet.

        Files that are not whole are in a folder of their own below the place's root, one for all that write there.
        """

    async def sweep(self, root: Path) -> int:
        """Remove the files below `root` that never became whole; return how many. Nobody may be writing there."""
