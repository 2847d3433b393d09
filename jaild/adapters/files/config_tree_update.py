"""Makes a configuration tree on disk equal to one in memory, in place: a run that is ready may have the folder mounted.

Every step goes by the descriptor of the folder above, and no link is followed: the jail may have written there.
Only what differs is written, what replaces a file under another name first. Nothing is synced: the tree is on a
dataset, and a transaction of its pool that ends later, such as the `zfs set` of a commit, has it on disk.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.files import filecopy
from jaild.adapters.files.remove import remove_within
from jaild.model.errors import InvalidArgumentError
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.trees.openat import look, names_in, opened, reading

_FORMATS = {Kind.FILE: stat.S_IFREG, Kind.LINK: stat.S_IFLNK, Kind.DIRECTORY: stat.S_IFDIR}


@dataclass(frozen=True)
class _Place:
    """An open folder of the tree."""

    folder: int
    path: str  # in the tree; '' for its root
    shown: Path

    def inner(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


def update(folder: Path, tree: Tree) -> None:
    """Make `folder`'s content equal to `tree`; entries that are the same but for their time are left alone.

    Raises `InvalidArgumentError` (INVALID_TREE) for a path that leads out or has no folder above it, before anything is
    written; `FailedPreconditionError` (TREE_BUSY) at a mount that is not in the tree; `OSError` as it comes.
    """
    below = _arranged(tree)
    with opened(folder) as descriptor:
        _folder(_Place(descriptor, "", folder), tree, below)


def _arranged(tree: Tree) -> Mapping[str, Sequence[str]]:
    """Return folder -> names in it."""
    below: dict[str, list[str]] = defaultdict(list)
    for path in sorted(tree):
        parent, slash, name = path.rpartition("/")
        above = tree.get(parent)
        if name in {"", ".", ".."} or "\0" in name or (slash and (above is None or above.kind is not Kind.DIRECTORY)):
            raise InvalidArgumentError("INVALID_TREE", f"{path!r} has no place in a tree", detail={"path": path})
        below[parent].append(name)
    return below


def _folder(place: _Place, tree: Tree, below: Mapping[str, Sequence[str]]) -> None:
    wanted = below.get(place.path, ())
    there = set(names_in(place.folder))
    for name in sorted(there.difference(wanted)):
        remove_within(name, place.folder, place.shown / name)
    scratch = _free_name(wanted)
    for name in wanted:
        entry = tree[place.inner(name)]
        status = look(name, place.folder) if name in there else None
        if status is not None and stat.S_IFMT(status.st_mode) != _FORMATS[entry.kind]:
            remove_within(name, place.folder, place.shown / name)
            status = None
        if entry.kind is Kind.DIRECTORY:
            _inner_folder(place, name, entry, tree, below)
        elif status is None or not _same(place.folder, name, entry, status):
            _make(place.folder, scratch if status else name, entry)
            if status:
                os.rename(scratch, name, src_dir_fd=place.folder, dst_dir_fd=place.folder)


def _inner_folder(place: _Place, name: str, entry: Entry, tree: Tree, below: Mapping[str, Sequence[str]]) -> None:
    try:
        os.mkdir(name, filecopy.first_mode(entry.uid, entry.mode, 0o700), dir_fd=place.folder)
        made = True
    except FileExistsError:
        made = False
    with opened(name, within=place.folder) as folder:
        _folder(_Place(folder, place.inner(name), place.shown / name), tree, below)
        if made or not _same_attributes(entry, os.fstat(folder)):
            _dress(folder, entry)


def _same(folder: int, name: str, entry: Entry, status: os.stat_result) -> bool:
    if entry.kind is Kind.LINK:
        owner = (status.st_uid, status.st_gid)
        return owner == (entry.uid, entry.gid) and os.readlink(name, dir_fd=folder) == entry.target
    # A file with two names would change under both when one is written to later.
    if status.st_nlink > 1 or status.st_size != len(entry.content) or not _same_attributes(entry, status):
        return False
    with reading(name, within=folder) as file:
        return file.read(len(entry.content) + 1) == entry.content


def _same_attributes(entry: Entry, status: os.stat_result) -> bool:
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (entry.mode, entry.uid, entry.gid)


def _make(folder: int, name: str, entry: Entry) -> None:
    if entry.kind is Kind.LINK:
        os.symlink(entry.target, name, dir_fd=folder)
        filecopy.own_link(name, folder, entry.uid, entry.gid)
        if entry.mtime:
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=folder, follow_symlinks=False)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    mode = filecopy.first_mode(entry.uid, entry.mode)
    with os.fdopen(os.open(name, flags, mode, dir_fd=folder), "wb", buffering=0) as file:
        view = memoryview(entry.content)
        while view:
            view = view[file.write(view) :]
        _dress(file.fileno(), entry)


def _dress(descriptor: int, entry: Entry) -> None:
    filecopy.own(descriptor, entry.uid, entry.gid)
    filecopy.set_mode(descriptor, entry.mode)
    if entry.mtime:
        os.utime(descriptor, ns=(entry.mtime, entry.mtime))


def _free_name(taken: Sequence[str]) -> str:
    """Return a name for what is being written that the tree does not have; what a crash left of it goes next time."""
    number = 0
    while (name := f".jaild-new.{number}") in taken:
        number += 1
    return name
