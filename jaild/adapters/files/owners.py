"""Counts whose the files of trees are. Root in a jail writes there meanwhile: see `openat`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaild.model.etc.renumber import Owned, Owners
from jaild.trees.openat import CHANGED, DEEPEST, look, names_in, opened

_SOME = 3  # paths that are told of each owner
_MEANWHILE = CHANGED | {errno.ESTALE}


def owners(folders: Sequence[Path], without: Collection[str], limit: int) -> Owners:
    """Count files and folders, no links, below `folders` by owner and group: one stat for each, `limit` at most.

    `without`: names at the top that are left out. Not entered: missing folders, other file systems, what is deeper than
    `DEEPEST`.
    """
    walk = _Walk(left=limit, without=frozenset(without))
    for folder in folders:
        try:
            with opened(folder) as top:
                walk.folder(top, os.fstat(top).st_dev, "", 1)
        except FileNotFoundError:
            continue
    return Owners(users=_owned(walk.users), groups=_owned(walk.groups), whole=walk.whole)


def _owned(tallies: dict[int, _Tally]) -> dict[int, Owned]:
    return {
        number: Owned(count=tally.count, needing=tally.needing, some=tuple(tally.some))
        for number, tally in tallies.items()
    }


def _needs(mode: int, set_id: int, shift: int) -> bool:
    """Tell whether a file is of use to an owner or a group, which has the bits above `shift`, and not to others."""
    if stat.S_ISREG(mode) and mode & set_id and mode & stat.S_IXUSR:
        return True
    return bool((mode >> shift) & ~mode & (stat.S_IROTH | stat.S_IXOTH))


@dataclass
class _Tally:
    count: int = 0
    needing: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, path: str, *, needs: bool) -> None:
        self.count += 1
        self.needing += needs
        if needs and len(self.some) < _SOME:
            self.some.append(path)


@dataclass(kw_only=True)
class _Walk:
    left: int
    without: frozenset[str]
    users: dict[int, _Tally] = field(default_factory=dict)
    groups: dict[int, _Tally] = field(default_factory=dict)
    whole: bool = True

    def folder(self, folder: int, device: int, prefix: str, depth: int) -> None:
        for name in sorted(names_in(folder)):
            if self.left <= 0:
                self.whole = False
                return
            if prefix or name not in self.without:
                self.left -= 1
                self._entry(name, folder, device, prefix, depth)

    def _entry(self, name: str, folder: int, device: int, prefix: str, depth: int) -> None:
        try:
            status = look(name, folder)
            if stat.S_ISLNK(status.st_mode) or status.st_dev != device:
                return
            path, mode = f"{prefix}{name}", status.st_mode
            self.users.setdefault(status.st_uid, _Tally()).add(path, needs=_needs(mode, stat.S_ISUID, 6))
            self.groups.setdefault(status.st_gid, _Tally()).add(path, needs=_needs(mode, stat.S_ISGID, 3))
            if not stat.S_ISDIR(status.st_mode):
                return
            if depth == DEEPEST:
                self.whole = False
                return
            with opened(name, within=folder) as inner:
                if os.fstat(inner).st_dev == device:
                    self.folder(inner, device, f"{prefix}{name}/", depth + 1)
        except OSError as error:
            if error.errno not in _MEANWHILE:
                raise
