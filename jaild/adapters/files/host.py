"""The host's files, as the use cases see them: blocking work in threads, the system's errors as ours."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import TypeVar

from jaild.adapters.files import (
    config_tree,
    contents,
    elf,
    filetail,
    fingerprint,
    flushing,
    logparts,
    matching,
    mountpoints,
    mounttargets,
    osdetect,
    owners,
    reducing,
    spool,
    sync,
    treeadded,
    treediff,
)
from jaild.adapters.files import (
    config_tree_update as treeupdate,
)
from jaild.adapters.files import (
    copy as treecopy,
)
from jaild.adapters.files import (
    folders as newfolders,
)
from jaild.adapters.files import (
    plain as plainfiles,
)
from jaild.adapters.files import (
    remove as treeremoval,
)
from jaild.adapters.files.errors import explained
from jaild.adapters.files.room import Place, Room
from jaild.model import bounds
from jaild.model.contents.index import Indexed
from jaild.model.differences import Differences
from jaild.model.etc.renumber import Owners
from jaild.model.etc.tree import Tree
from jaild.model.layers.libraries import Libraries
from jaild.model.layers.osversion import OsVersion
from jaild.model.layers.records import Family
from jaild.ports.files import NewFolder, Spooled

_T = TypeVar("_T")


class HostFiles:
    """`jaild.ports.files.Files` on the host's file systems. Incoming streams go to the spool folder."""

    def __init__(self, spool_folder: Path, room: Room | None = None) -> None:
        self._spool_folder = spool_folder
        self._room = room or Room(spool_folder)
        self._places: dict[Path, Place] = {}  # of streams that came in whole, until their files are removed

    async def sweep(self) -> list[Path]:
        """Remove what a crash left in the spool folder and return it. To be called before the first `spool`."""
        return await _in_thread(self._spool_folder, lambda: spool.sweep(self._spool_folder))

    async def read(self, path: Path) -> bytes:
        """Return a file's content. `NotFoundError` (FILE_NOT_FOUND) if there is none."""
        return await _in_thread(path, lambda: plainfiles.read(path))

    async def read_below(self, root: Path, path: Path, limit: int) -> bytes:
        """Return a regular file's content, of `limit` bytes at most; no symlink below `root` is followed."""
        return await _in_thread(root / path, lambda: plainfiles.read_below(root, path, limit))

    async def read_at(self, path: Path, position: int, size: int) -> bytes:
        """Return at most `size` bytes from a position; b'' at the end, or if there is no file."""
        return await _in_thread(path, lambda: filetail.read_at(path, position, size))

    async def line_start(self, path: Path, lines: int, begin: int = 0) -> tuple[int, int]:
        """Return the position at which the last `lines` lines begin, and how many there are."""
        return await _in_thread(path, lambda: filetail.line_start(path, lines, begin))

    async def times(self, folder: Path, names: Collection[str]) -> dict[str, float]:
        """Return when files were written last."""
        return await _in_thread(folder, lambda: filetail.times(folder, names))

    async def rename(self, path: Path, name: str) -> None:
        """Give a file another name in its folder; nothing if there is none."""
        await _in_thread(path, lambda: filetail.rename(path, name))

    async def compress(self, path: Path, begin: int, end: int, to: Path) -> None:
        """Put a part of a file away into one of its own."""
        await _in_thread(path, lambda: logparts.compress(path, begin, end, to))

    async def read_compressed(self, path: Path, skip: int, size: int) -> bytes:
        """Return what was put away, from a position on."""
        return await _in_thread(path, lambda: logparts.read(path, skip, size))

    async def compressed_line_start(self, path: Path, lines: int) -> tuple[int, int]:
        """Return where the last lines of what was put away begin, and how many there are."""
        return await _in_thread(path, lambda: logparts.line_start(path, lines))

    async def can_free(self, folder: Path) -> bool:
        """Return whether a part of a file can be made to take no space."""
        return await _in_thread(folder, lambda: logparts.frees(folder))

    async def free(self, path: Path, end: int) -> None:
        """Let the beginning of a file take no space."""
        await _in_thread(path, lambda: logparts.free(path, end))

    async def size(self, path: Path) -> int:
        """Return a file's size in bytes; 0 if there is none."""
        return await _in_thread(path, lambda: filetail.size(path))

    async def sizes(self, folder: Path) -> dict[str, int]:
        """Return the files in a folder with their sizes in bytes; none if it does not exist."""
        return await _in_thread(folder, lambda: filetail.sizes(folder))

    async def write(self, path: Path, content: bytes, *, mode: int = 0o644) -> None:
        """Replace a file atomically and durably."""
        await _in_thread(path, lambda: plainfiles.write(path, content, mode))

    async def append(self, path: Path, content: bytes) -> None:
        """Add to a file, which is made (0644) if it is missing."""
        await _in_thread(path, lambda: plainfiles.append(path, content))

    async def flush(self, folders: Sequence[Path]) -> None:
        """Have the folders' file systems take over what processes wrote to mapped files."""
        # Cancelled, it is not waited for: it changes nothing, and a pool that hangs must not hold up who gives up.
        await asyncio.gather(*(asyncio.to_thread(_flushed, folder) for folder in folders))

    async def remove(self, path: Path) -> None:
        """Remove a file or folder; no error if it is gone. `FailedPreconditionError` (TREE_BUSY) at a mount."""

        def work() -> None:
            treeremoval.remove(path)
            if place := self._places.pop(path, None):  # here: a caller who is cancelled does not come back
                place.give_back()

        await _in_thread(path, work)

    async def make_folder(self, path: Path) -> None:
        """Make a folder (0755) and what is missing above it. `FailedPreconditionError` (NOT_A_FOLDER)."""
        await _in_thread(path, lambda: plainfiles.make_folder(path))

    async def make_folders(self, root: Path, folders: Sequence[NewFolder]) -> None:
        """Make what is missing below `root`. `FailedPreconditionError` (NOT_A_FOLDER) if another thing is there."""

        def work() -> None:
            for folder in folders:
                newfolders.make(root, folder)

        await _in_thread(root, work)

    async def own(self, folder: Path, uid: int, gid: int, mode: int) -> None:
        """Give a folder itself an owner and a mode; it must not be a symlink."""
        await _in_thread(folder, lambda: newfolders.own(folder, uid, gid, mode))

    async def restrict(self, paths: Sequence[Path]) -> None:
        """Leave files and folders to their owner alone. Missing ones and read-only file systems are no errors."""

        def work() -> None:
            for path in paths:
                plainfiles.restrict(path)

        await _in_thread(paths[0] if paths else Path("/"), work)

    async def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted; none if it does not exist."""
        return await _in_thread(folder, lambda: plainfiles.names(folder))

    async def folders(self, folder: Path, names: Collection[str]) -> dict[str, frozenset[str]]:
        """Return the folders in a folder and which of `names` are in each; none if it does not exist."""
        return await _in_thread(folder, lambda: plainfiles.folders(folder, names))

    async def read_tree(self, folder: Path) -> Tree:
        """Read a configuration tree; an empty one if the folder does not exist. Raises what `trees.read` raises."""
        return await _in_thread(folder, lambda: _read_tree(folder))

    async def write_tree(self, folder: Path, tree: Tree) -> None:
        """Make the folder's content equal to the tree; the folder itself stays the same one. Nothing is synced."""
        await _in_thread(folder, lambda: treeupdate.update(folder, tree))

    async def state_of(self, folder: Path, *, like: str = "") -> str:
        """Return a word that changes with anything below, '' if the folder does not exist."""
        return await _in_thread(folder, lambda: fingerprint.state(folder, like))

    async def copy(self, source: Path, destination: Path, *, without: Collection[str] = (), below: str = "") -> None:
        """Copy a tree. `FailedPreconditionError` (DESTINATION_NOT_EMPTY). Cancelled, it stops at the next entry."""
        stopped = threading.Event()

        def work() -> None:
            treecopy.copy(source, destination, stopped, without=without, below=below)

        await _in_thread(destination, work, stopped)

    async def reduce(self, folder: Path, kept: Mapping[str, str]) -> None:
        """Leave some folders of a tree, under names of their own, and remove all else."""
        await _in_thread(folder, lambda: reducing.reduce(folder, kept))

    async def differences(
        self, before: Path, after: Path, *, without: Collection[str] = (), links: str = ""
    ) -> Differences:
        """Compare a tree with one that it was made of. Cancelled, it stops at the next folder."""
        stopped = threading.Event()
        return await _in_thread(after, lambda: treediff.compare(before, after, without, links, stopped), stopped)

    async def bring_back(
        self, source: Path, destination: Path, path: str, taken: float, *, or_remove: bool = False
    ) -> int:
        """Make a jail's data as it was."""
        stopped = threading.Event()
        work = functools.partial(sync.bring_back, source, destination, path, taken, stopped, or_remove=or_remove)
        return (await _in_thread(destination / path, work, stopped)).added

    async def matching(self, root: Path, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the regular files below `root` that match a pattern."""
        return await _in_thread(root, lambda: tuple(matching.matching(root, patterns)))

    async def added(self, before: Path, after: Path, limit: int) -> tuple[str, ...]:
        """Return at most `limit` paths below `after` that `before` has not; of a new folder only the folder itself."""
        return await _in_thread(after, lambda: tuple(islice(treeadded.added(before, after), limit)))

    async def owners(self, folders: Sequence[Path], *, without: Collection[str] = ()) -> Owners:
        """Count files and folders below `folders` by owner and group."""
        return await _in_thread(
            folders[0] if folders else Path("/"), lambda: owners.owners(folders, without, bounds.OWNERS)
        )

    async def libraries(self, root: Path, prefix: str) -> Libraries:
        """Index the ELF files below `root`, which the jail sees at `prefix`."""
        return await _in_thread(root, lambda: elf.index(root, prefix=prefix))

    async def contents(self, root: Path, prefix: str, libraries: Libraries) -> Indexed:
        """Index packages, libraries and files below `root`. Cancelled, it stops at the next file."""
        stopped = threading.Event()
        work = functools.partial(contents.index, root, prefix=prefix, libraries=libraries, stopped=stopped)
        return await _in_thread(root, work, stopped)

    async def system(self, root: Path) -> OsVersion:
        """Tell which operating system an unpacked tree is. `InvalidArgumentError` (NOT_A_BASE) if none."""
        return await _in_thread(root, lambda: osdetect.detect(root))

    async def make_mount_points(self, root: Path, family: Family) -> tuple[str, ...]:
        """Make all mount points of jails; return those made. `InvalidArgumentError` (BASE_LAYOUT) if one cannot be."""
        return await _in_thread(root, lambda: tuple(mountpoints.make_mount_points(root, family)))

    async def spool(self, chunks: AsyncIterator[bytes], *, sha256: str, size: int) -> Spooled:
        """Take a stream into a file of the daemon's own. `sha256` '' and `size` 0: not announced, so not compared."""
        async with AsyncExitStack() as stack:
            with explained(self._spool_folder):
                incoming = await stack.enter_async_context(
                    spool.Spool(self._spool_folder, self._room, size=size or None)
                )
            async for chunk in chunks:
                await incoming.write(chunk)
            path = await incoming.finish(sha256)
            if incoming.place is not None:
                self._places[path] = incoming.place
        return Spooled(path=path, sha256=incoming.sha256, size=incoming.written)

    async def digest(self, path: Path) -> str:
        """Return a file's sha256 in hex. `NotFoundError` (FILE_NOT_FOUND)."""
        return await _in_thread(path, lambda: plainfiles.digest(path))

    async def obstacles(self, roots: Sequence[tuple[str, Path]], targets: Sequence[str]) -> dict[str, str]:
        """Return target -> what stands in its way, for those that cannot be mounted on."""

        def work() -> dict[str, str]:
            found = {target: mounttargets.obstacle(roots, target) for target in targets}
            return {target: problem for target, problem in found.items() if problem}

        return await _in_thread(roots[0][1] if roots else Path("/"), work)


async def _in_thread(path: Path, work: Callable[[], _T], stopped: threading.Event | None = None) -> _T:
    """Run blocking work about `path`. When cancelled, say so and wait until it no longer touches anything."""

    def explaining() -> _T:
        with explained(path):
            return work()

    # As asyncio.to_thread does, without a task: a change of a jail comes here twenty times.
    task = asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, explaining)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if stopped is not None:
            stopped.set()
        await asyncio.gather(task, return_exceptions=True)
        raise


def _flushed(folder: Path) -> None:
    with explained(folder):
        flushing.flush(folder)


def _read_tree(folder: Path) -> Tree:
    try:
        return config_tree.read(folder)
    except FileNotFoundError:
        return {}
