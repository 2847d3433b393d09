"""Trees of jails on the host's file systems (implements `jaild.ports.jailtrees`). Blocking work runs in threads."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jaild.adapters.files.errors import explained
from jaild.model.filerecords import Record, batches
from jaild.ports.jailtrees import Found, Look, Manner, Place, Tree, Writing
from jaild.trees.openat import StepError, look, names_in, opened, reached
from jaild.trees.reader import TreeReader
from jaild.trees.writer import TreeWriter

_DRAFTS = ".jaild-cp"
_IN_USE = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT})  # others write; EEXIST: POSIX's other word for it


class HostJailTrees:
    """On the host's file systems."""

    async def look(self, place: Place) -> Look:
        """Return what is at a place; see the port."""
        with explained(place.root):
            return await asyncio.to_thread(_look, place)

    async def read(self, trees: Sequence[Tree]) -> AsyncIterator[list[Record]]:
        """Yield trees; see the port."""
        found = batches(_records(trees))
        with explained(trees[0].place.root.joinpath(*trees[0].place.steps)):
            while batch := await asyncio.to_thread(next, found, None):
                yield batch

    def write(self, folder: Place, manner: Manner) -> Writing:
        """Begin to write; see the port."""
        return _Writing(folder, manner)

    async def sweep(self, root: Path) -> int:
        """Remove what never became whole; see the port."""
        with explained(root / _DRAFTS):
            return await asyncio.to_thread(_swept, root)


class _Writing:
    def __init__(self, folder: Place, manner: Manner) -> None:
        self._folder = folder
        self._writer = TreeWriter(manner.name, owner=manner.owner, preserve=manner.preserve, closed=manner.closed)

    @property
    def entries(self) -> int:
        return self._writer.entries

    @property
    def bytes(self) -> int:
        return self._writer.bytes

    async def take(self, records: Sequence[Record]) -> None:
        await self._within(lambda folder, drafts: self._writer.take(folder, records, drafts))

    async def close(self) -> None:
        await self._within(self._writer.close)

    async def abandon(self) -> None:
        await self._within(self._writer.abandon)

    async def _within(self, act: Callable[[int, int], None]) -> None:
        def done() -> None:
            try:
                with opened(self._folder.root) as root, reached(root, self._folder.steps) as folder:
                    with _drafts(root) as drafts:
                        act(folder, drafts)
                    _remove_empty(root)
            finally:
                self._writer.rest()

        with explained(self._folder.root.joinpath(*self._folder.steps)):
            await asyncio.to_thread(done)


@contextmanager
def _drafts(root: int) -> Iterator[int]:
    """Open the folder of files that are not whole, made if it is not there."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(_DRAFTS, 0o700, dir_fd=root)
    with opened(_DRAFTS, within=root) as drafts:
        yield drafts


def _remove_empty(root: int) -> None:
    try:
        os.rmdir(_DRAFTS, dir_fd=root)
    except OSError as error:
        if error.errno not in _IN_USE:
            raise


def _swept(root: Path) -> int:
    count = 0
    try:
        with opened(root) as top:
            with opened(_DRAFTS, within=top) as drafts:
                for name in names_in(drafts):
                    os.unlink(name, dir_fd=drafts)
                    count += 1
            _remove_empty(top)
    except FileNotFoundError:  # neither drafts nor, where nothing is mounted, a place for them
        pass
    return count


def _records(trees: Sequence[Tree]) -> Iterator[Record]:
    for tree in trees:
        reader, (*way, name) = TreeReader(tree.skip), tree.place.steps or (None,)
        if name is None:
            with reached(tree.place.root, ()) as folder:
                yield from reader.folder(folder, tree.at)
        else:
            with reached(tree.place.root, [str(step) for step in way]) as folder:
                yield from reader.entry(folder, name, tree.at)


def _look(place: Place) -> Look:
    try:
        with reached(place.root, place.steps) as folder:
            status = os.fstat(folder)
            return Look(found=Found.FOLDER, uid=status.st_uid, gid=status.st_gid)
    except StepError as error:
        last = error.depth == len(place.steps)
        if error.is_link:
            with reached(place.root, place.steps[: error.depth - 1]) as folder:
                target = os.readlink(place.steps[error.depth - 1], dir_fd=folder)
            return Look(found=Found.LINK, depth=error.depth, target=_text(target, place.root))
        if error.errno == errno.ENOENT:
            return Look(found=Found.NOTHING if last else Found.NO_WAY)
        if not last:
            return Look(found=Found.NO_WAY)
        with reached(place.root, place.steps[:-1]) as folder:
            is_folder = stat.S_ISDIR(look(place.steps[-1], folder).st_mode)
        return Look(found=Found.FOLDER if is_folder else Found.OTHER)


def _text(target: str, root: Path) -> str:
    """Return where a link leads. `OSError` for one that is no text: a path in a request is."""
    try:
        target.encode()
    except UnicodeEncodeError as error:
        raise OSError(errno.EILSEQ, "a link to a name that is no UTF-8 is on the way", str(root)) from error
    return target
