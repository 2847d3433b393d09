"""Port: files and folders of the host. Nothing here follows a symlink out of its folder, or crosses a mount."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaild.model.contents.index import Indexed
from jaild.model.differences import Differences
from jaild.model.etc.renumber import Owners
from jaild.model.etc.tree import Tree
from jaild.model.layers.libraries import Libraries
from jaild.model.layers.osversion import OsVersion
from jaild.model.layers.records import Family


@dataclass(frozen=True, kw_only=True)
class NewFolder:
    """A folder to make below another one, where it is missing."""

    path: str  # relative
    uid: int
    gid: int
    mode: int = 0o755


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """A stream that arrived whole."""

    path: Path
    sha256: str
    size: int  # bytes


class Files(Protocol):
    """The host's files. Blocking work runs in threads of the adapter's own."""

    async def read(self, path: Path) -> bytes:
        """Return a file's content. `NotFoundError` (FILE_NOT_FOUND) if there is none."""

    async def read_below(self, root: Path, path: Path, limit: int) -> bytes:
        """Return the content of the regular file `path` below `root`, where others have written.

        No symlink is followed (an error: FILE_FAILED). `NotFoundError` (FILE_NOT_FOUND), `FailedPreconditionError`
        (NOT_A_PLAIN_FILE) if it is no regular file, or longer than `limit` bytes.
        """

    async def read_at(self, path: Path, position: int, size: int) -> bytes:
        """Return at most `size` bytes from a position; b'' at the end, or if there is no file."""

    async def line_start(self, path: Path, lines: int, begin: int = 0) -> tuple[int, int]:
        """Return the position at which the last `lines` lines begin, the end for none, and how many were found.

        `begin` if there are fewer: nothing before it is looked at.
        """

    async def times(self, folder: Path, names: Collection[str]) -> dict[str, float]:
        """Return when files of a folder were written last, in seconds since the epoch; those that are there."""

    async def rename(self, path: Path, name: str) -> None:
        """Give a file another name in its folder, in the place of what has it; nothing if there is no such file."""

    async def compress(self, path: Path, begin: int, end: int, to: Path) -> None:
        """Write a part of a file, compressed by gzip(1), into another one: on disk when this returns, or not there."""

    async def read_compressed(self, path: Path, skip: int, size: int) -> bytes:
        """Return at most `size` bytes of what `compress` put away, after `skip` of them; b'' if it is not there."""

    async def compressed_line_start(self, path: Path, lines: int) -> tuple[int, int]:
        """Return where its last `lines` lines begin, and how many there are; 0 and fewer if it has not so many."""

    async def can_free(self, folder: Path) -> bool:
        """Return whether `free` sets space free on a folder's file system."""

    async def free(self, path: Path, end: int) -> None:
        """Let a file's first `end` bytes take no space and read as zeros; its size stays, and its writers go on."""

    async def size(self, path: Path) -> int:
        """Return a file's size in bytes; 0 if there is none."""

    async def sizes(self, folder: Path) -> dict[str, int]:
        """Return the files in a folder with their sizes in bytes; none if it does not exist."""

    async def write(self, path: Path, content: bytes, *, mode: int = 0o644) -> None:
        """Replace a file atomically and durably: a crash leaves the old content or the new, never a wider mode."""

    async def append(self, path: Path, content: bytes) -> None:
        """Add to a file, which is made (0644) if it is missing. What a crash leaves of it is not promised."""

    async def flush(self, folders: Sequence[Path]) -> None:
        """Have the folders' file systems take over what processes wrote to mapped files (mmap(2)): none is left out.

        Without it a snapshot lacks what is in memory only, even of processes that have ended.
        """

    async def remove(self, path: Path) -> None:
        """Remove a file or folder; no error if it is gone. `FailedPreconditionError` (TREE_BUSY) at a mount."""

    async def make_folder(self, path: Path) -> None:
        """Make a folder (0755) and what is missing above it."""

    async def make_folders(self, root: Path, folders: Sequence[NewFolder]) -> None:
        """Make what is missing below `root`. `FailedPreconditionError` (NOT_A_FOLDER) if another thing is there."""

    async def own(self, folder: Path, uid: int, gid: int, mode: int) -> None:
        """Give a folder itself an owner and a mode; it must not be a symlink."""

    async def restrict(self, paths: Sequence[Path]) -> None:
        """Leave files and folders to their owner alone: of 0644 remains 0600.

        Missing ones, and those on a read-only file system, are left as they are.
        """

    async def folders(self, folder: Path, names: Collection[str]) -> dict[str, frozenset[str]]:
        """Return the folders in a folder and which of `names` are in each; none if it does not exist."""

    async def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted; none if it does not exist."""

    async def read_tree(self, folder: Path) -> Tree:
        """Read a configuration tree; an empty one if the folder does not exist."""

    async def write_tree(self, folder: Path, tree: Tree) -> None:
        """Make the folder's content equal to the tree; the folder itself stays the same one.

        It is on disk when a later transaction of its pool has ended: a snapshot, a `zfs set`. A crash before that
        leaves some of it.
        """

    async def state_of(self, folder: Path, *, like: str = "") -> str:
        """Return a word that changes with anything below: names, owners, modes, sizes, change times.

        `like` is the earlier word that it will be compared with: two words are only equal if the second had it.
        """

    async def copy(self, source: Path, destination: Path, *, without: Collection[str] = (), below: str = "") -> None:
        """Copy a whole tree with owners, modes, links and times into a folder that does not exist or is empty.

        `below`: of `source` only this folder, by its path; a link on the way is an error (FILE_FAILED).

        `without`: files, by their paths below `source`, that are left out.
        """

    async def bring_back(
        self, source: Path, destination: Path, path: str, taken: float, *, or_remove: bool = False
    ) -> int:
        """Make `path` (relative; '' for all) in a jail's data, `destination`, as it is in `source`.

        `source` is a clone of its snapshot of `taken` (seconds since the epoch). What was not there then goes; sockets,
        pipes and devices are left out. Returns how many bytes of files were written: what was not changed is left.
        `NotFoundError` (PATH_NOT_IN_SNAPSHOT), but with `or_remove` the path goes that `source` does not have;
        `FailedPreconditionError` (NOT_A_FOLDER). It is on disk as with
        `write_tree`; ended in the middle it leaves a mixture, and done again it completes it.
        """

    async def reduce(self, folder: Path, kept: Mapping[str, str]) -> None:
        """Leave in `folder` only these: by the name that each gets, the path below it where it is now.

        Whatever else is there is removed. No link is followed; one that stands where a folder should is an error
        (FILE_FAILED). Interrupted, it leaves a mixture.
        """

    async def differences(
        self, before: Path, after: Path, *, without: Collection[str] = (), links: str = ""
    ) -> Differences:
        """Compare `after`, to which others may be writing, with the tree `before` that it was made of.

        `without`: paths that are not looked at, nor what is below them. `links`: links in `after` whose text begins so
        lead to what `before` has, and are no difference. At most `jaild.model.bounds.DIFFERENCES` of each kind are
        listed.
        """

    async def matching(self, root: Path, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the regular files below `root` that match a pattern: a path with * (fnmatch) in its last part only."""

    async def added(self, before: Path, after: Path, limit: int) -> tuple[str, ...]:
        """Return at most `limit` paths below `after` that `before` has not; of a new folder only the folder itself."""

    async def owners(self, folders: Sequence[Path], *, without: Collection[str] = ()) -> Owners:
        """Count files and folders below `folders` by owner and group, at most `jaild.model.bounds.OWNERS`.

        `without`: names at their top that are left out. A folder that does not exist has none.
        """

    async def libraries(self, root: Path, prefix: str) -> Libraries:
        """Index the ELF files below `root`, which the jail sees at `prefix`."""

    async def contents(self, root: Path, prefix: str, libraries: Libraries) -> Indexed:
        """Index packages, libraries and files below `root`, which the jail sees at `prefix`.

        What is damaged, or more than `jaild.model.bounds` allow, is told in it and raises nothing.
        """

    async def system(self, root: Path) -> OsVersion:
        """Tell which operating system an unpacked tree is. `InvalidArgumentError` (NOT_A_BASE) if none."""

    async def make_mount_points(self, root: Path, family: Family) -> tuple[str, ...]:
        """Make all mount points of jails; return those made. `InvalidArgumentError` (BASE_LAYOUT) if one cannot be."""

    async def spool(self, chunks: AsyncIterator[bytes], *, sha256: str, size: int) -> Spooled:
        """Take a stream into a file of the daemon's own; `remove` it when done. A failure leaves nothing.

        `DataLossError` (DIGEST_MISMATCH if `sha256` is given and differs, STREAM_TRUNCATED if `size` is and differs),
        `ResourceExhaustedError` (NO_SPACE).
        """

    async def digest(self, path: Path) -> str:
        """Return a file's sha256 in hex."""

    async def obstacles(self, roots: Sequence[tuple[str, Path]], targets: Sequence[str]) -> dict[str, str]:
        """Return which mount points are not folders in the layers that would hold them, and what they are instead.

        `roots` are (mount point, folder) of the read-only layers, parents first. A symlink on the way counts as one.
        """
