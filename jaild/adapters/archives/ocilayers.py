"""Where the entries of an OCI image's layer come to lie in the tree of the layers below, and what makes way for them.

A layer may name a file by a way through a symlink that is there already (`lib/x` over `lib -> usr/lib`, as builders
make them that read their own tree and not a mount): it is resolved as a process in the tree would see it, the tree's
root being its root, and `..` does not lead above that (path_resolution(7)). Only resolved names go on, to the rules for
archives and to bsdtar, which let no name through a symlink. Every step here is relative to an open folder and none
follows a link: both the tree and the layer are somebody else's.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jaild.model.errors import DataLossError, InvalidArgumentError
from jaild.model.layers import ociimage
from jaild.model.layers.archive import Checker, Entry, EntryKind, Listing, Policy, shown
from jaild.trees.openat import look, names_in, opened

_MAX_LINKS = 40  # as the kernels' MAXSYMLINKS
_HINT = "build the image again"


class Layer:
    """A layer on its way to a tree: first `place` takes all of its entries, then `placed` gives them back."""

    def __init__(self, tree: Path, policy: Policy) -> None:
        self._tree = tree
        self._checker = Checker(policy, below=self._below)
        self._links: dict[bytes, bytes] = {}  # symlinks of this layer, which are not in the tree yet
        self._ways: dict[bytes, tuple[bytes, ...]] = {}  # what folders' names were resolved to
        self._borrowed: list[bytes] = []  # files of layers below that get another name
        self._placed: list[tuple[Entry, Entry | None]] = []
        self._given = 0

    def place(self, entries: Sequence[Entry]) -> None:
        """Take the next entries: check them, and remove from the tree what they replace or take away. Blocks.

        Raises what `Checker.see` raises, `OSError` as it comes.
        """
        for entry in entries:
            removed = ociimage.removed(entry.name)
            if removed is None:
                self._placed.append((entry, self._place(entry)))
                continue
            self._placed.append((entry, None))
            if removed:
                self._take_away(removed)

    def finish(self) -> Listing | None:
        """Return what will be unpacked; None if there are whiteouts only. Blocks."""
        for name in self._borrowed:
            if self._below(name) is None:
                raise InvalidArgumentError(
                    "ARCHIVE_LINK_ESCAPES",
                    f"a layer has a hard link to {shown(name)} of a layer below, and takes that file away",
                    hint=_HINT,
                )
        return self._checker.finish() if any(placed is not None for _, placed in self._placed) else None

    def placed(self, entry: Entry) -> Entry | None:
        """Return the next entry of those that were taken, under its name in the tree; None for a whiteout."""
        known, placed = self._placed[self._given] if self._given < len(self._placed) else (None, None)
        self._given += 1
        if known != entry:
            raise DataLossError(
                "ARCHIVE_TRUNCATED", f"a layer changed while it was read, at {shown(entry.name)}", hint="try again"
            )
        return entry if placed == entry else placed

    def _place(self, entry: Entry) -> Entry:
        if entry.name.startswith(b"/"):
            raise _refusal(entry.name, "has an absolute path")
        parts = _parts(entry.name)
        found = self._linked(entry)
        if not parts:
            self._checker.see(found)
            return found
        folder = self._way(parts[:-1])
        name = b"/".join((*folder, parts[-1]))
        if folder != tuple(parts[:-1]):
            found = replace(found, name=name)
        self._checker.see(found)
        with self._walked(folder, clear=True) as within:
            have = _look(parts[-1], within)
            both_folders = have is not None and stat.S_ISDIR(have.st_mode) and entry.kind is EntryKind.DIRECTORY
            if have is not None and not both_folders:
                self._remove(parts[-1], within)
        if found.kind is EntryKind.HARDLINK:
            link = self._link_at(_parts(found.link))
        else:
            link = found.link if found.kind is EntryKind.SYMLINK else None
        if link is not None:
            self._links[name] = link
            self._ways.clear()
        return found

    def _linked(self, entry: Entry) -> Entry:
        """Return a hard link with its file's name as resolved; others as they are."""
        parts = _parts(entry.link) if entry.kind is EntryKind.HARDLINK else []
        if not parts:
            return entry
        # kaniko writes them absolute; all who unpack images take them from the image's root.
        link = b"/".join((*self._way(parts[:-1]), parts[-1]))
        if self._below(link) is not None:
            self._borrowed.append(link)
        return entry if link == entry.link else replace(entry, link=link)

    def _take_away(self, name: bytes) -> None:
        parts = _parts(name)
        if name.endswith(b"/") or not parts:
            with self._walked(self._way(parts)) as folder:
                for inside in names_in(folder) if folder is not None else ():
                    self._remove(os.fsencode(inside), folder)
            return
        with self._walked(self._way(parts[:-1])) as folder:
            self._remove(parts[-1], folder)

    def _way(self, parts: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return where a folder is, without a symlink in it; what is missing at its end is to be made."""
        name = b"/".join(parts)
        if name not in self._ways:
            self._ways[name] = self._resolved(parts)
        return self._ways[name]

    def _resolved(self, parts: Sequence[bytes]) -> tuple[bytes, ...]:
        place: list[bytes] = []
        pending = list(reversed(parts))
        links = 0
        while pending:
            part = pending.pop()
            if part == b"..":  # of a link: names with it are refused
                place = place[:-1]
                continue
            target = self._link_at([*place, part])
            if target is None:
                place.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise _refusal(b"/".join(parts), f"leads through more than {_MAX_LINKS} symlinks")
            if target.startswith(b"/"):
                place = []
            pending += [step for step in reversed(target.split(b"/")) if step not in {b"", b"."}]
        if links:
            self._require_folders(place, b"/".join(parts))
        return tuple(place)

    def _require_folders(self, place: Sequence[bytes], name: bytes) -> None:
        """Raise if a link leads to a file: no folder takes the place of a file that another name leads to."""
        for depth in range(1, len(place) + 1):
            if self._below(b"/".join(place[:depth])) is not None:
                raise _refusal(name, f"leads to {shown(b'/'.join(place[:depth]))}, which is no folder")

    def _link_at(self, place: Sequence[bytes]) -> bytes | None:
        """Return the text of a symlink whose folder is resolved; None for all else."""
        name = b"/".join(place)
        if name in self._links:
            return self._links[name]
        with self._walked(place[:-1]) as folder:
            have = _look(place[-1], folder)
            if have is None or not stat.S_ISLNK(have.st_mode):
                return None
            return os.fsencode(os.readlink(place[-1], dir_fd=folder))

    def _below(self, name: bytes) -> EntryKind | None:
        """Return what file or link is in the tree under a resolved name."""
        *folder, last = name.split(b"/")
        with self._walked(folder) as within:
            have = _look(last, within)
        if have is None or stat.S_ISDIR(have.st_mode):
            return None
        return EntryKind.SYMLINK if stat.S_ISLNK(have.st_mode) else EntryKind.FILE

    @contextmanager
    def _walked(self, parts: Sequence[bytes], *, clear: bool = False) -> Iterator[int | None]:
        """Give a folder of the tree; None if it is not there. With `clear`, a file on the way makes room for a folder.

        So it is where a layer is mounted over the others (overlayfs), and so containerd does it; umoci refuses.
        """
        with opened(self._tree) as root:
            descriptor = os.dup(root)
        try:
            for depth, part in enumerate(parts, 1):
                have = _look(part, descriptor)
                if have is None or not stat.S_ISDIR(have.st_mode):
                    if have is not None and stat.S_ISLNK(have.st_mode):
                        raise _refusal(b"/".join(parts[:depth]), "is a symlink")
                    if clear:
                        self._remove(part, descriptor)
                    yield None
                    return
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _remove(self, name: bytes, folder: int | None) -> None:
        have = _look(name, folder)
        if have is None or folder is None:
            return
        self._ways.clear()
        if stat.S_ISDIR(have.st_mode):
            shutil.rmtree(os.fsdecode(name), dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


def _parts(name: bytes) -> list[bytes]:
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise _refusal(name, "has '..' in its path")
    return parts


def _look(name: bytes, folder: int | None) -> os.stat_result | None:
    if folder is None:
        return None
    try:
        return look(name, folder)
    except FileNotFoundError:
        return None


def _refusal(name: bytes, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "ARCHIVE_PATH_ESCAPES",
        f"a layer's entry {shown(name)} {problem}",
        hint=_HINT,
        detail={"entry": shown(name)},
    )
