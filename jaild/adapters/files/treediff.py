"""How one tree differs from another that it was made of: by descriptor, no link followed, within bounds."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from jaild.model import bounds
from jaild.model.differences import Differences
from jaild.model.errors import CancelledError
from jaild.trees.openat import CHANGED, DEEPEST, NotAFileError, look, names_in, opened, reading

_PIECE = 1 << 20
_KINDS = ("changed", "added", "removed", "filled")  # fields of Differences


@dataclass(kw_only=True)
class _Run:
    without: frozenset[str]
    links: bytes
    stopped: threading.Event
    found: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _KINDS})
    more: int = 0

    def note(self, what: str, path: str) -> None:
        if len(self.found[what]) < bounds.DIFFERENCES:
            self.found[what].append(path)
        else:
            self.more += 1


def compare(before: Path, after: Path, without: Collection[str], links: str, stopped: threading.Event) -> Differences:
    """See `jaild.ports.files.Files.differences`; blocks, so call it in a thread. `stopped` set: `CancelledError`."""
    run = _Run(without=frozenset(without), links=os.fsencode(links), stopped=stopped)
    with opened(before) as old, opened(after) as new:
        _folder(run, old, new, "", 1)
    return Differences(**{name: tuple(paths) for name, paths in run.found.items()}, more=run.more)


def _folder(run: _Run, before: int, after: int, prefix: str, depth: int) -> None:
    if run.stopped.is_set():
        raise CancelledError("CANCELLED", "the comparison of two trees was cancelled")
    old, new = set(names_in(before)), set(names_in(after))
    if not old and new and prefix:
        run.note("filled", prefix.rstrip("/"))
        return
    for name in sorted(old | new):
        path = f"{prefix}{name}"
        if path in run.without:
            continue
        try:
            _entry(run, before, after, path, name, depth, kinds=(name in old, name in new))
        except OSError as error:
            if not isinstance(error, NotAFileError) and error.errno not in CHANGED:
                raise
            run.note("changed", path)  # somebody moved it while it was looked at


def _entry(run: _Run, before: int, after: int, path: str, name: str, depth: int, *, kinds: tuple[bool, bool]) -> None:
    was, there = kinds
    if there and _leads_into_userland(run, name, after):
        return
    if was and there:
        _both(run, before, after, path, name, depth)
    elif there:
        run.note("added", path)
    elif not _is_empty(name, before):  # mount points are made in bases
        run.note("removed", path)


def _both(run: _Run, before: int, after: int, path: str, name: str, depth: int) -> None:
    old, new = look(name, before), look(name, after)
    if stat.S_IFMT(old.st_mode) != stat.S_IFMT(new.st_mode) or _owner(old) != _owner(new):
        run.note("changed", path)
    elif stat.S_ISDIR(new.st_mode):
        if depth < DEEPEST:
            with opened(name, within=before) as inner_before, opened(name, within=after) as inner_after:
                _folder(run, inner_before, inner_after, f"{path}/", depth + 1)
    elif stat.S_ISLNK(new.st_mode):
        if os.readlink(name, dir_fd=before) != os.readlink(name, dir_fd=after):
            run.note("changed", path)
    elif stat.S_ISREG(new.st_mode) and (old.st_size != new.st_size or not _same(before, after, name)):
        run.note("changed", path)


def _is_empty(name: str, folder: int) -> bool:
    if not stat.S_ISDIR(look(name, folder).st_mode):
        return False
    with opened(name, within=folder) as inner:
        return not names_in(inner)


def _leads_into_userland(run: _Run, name: str, after: int) -> bool:
    if not run.links or not stat.S_ISLNK(look(name, after).st_mode):
        return False
    return os.fsencode(os.readlink(name, dir_fd=after)).startswith(run.links)


def _same(before: int, after: int, name: str) -> bool:
    with reading(name, within=before) as old, reading(name, within=after) as new:
        while piece := old.read(_PIECE):
            if new.read(len(piece)) != piece:
                return False
        return True


def _owner(status: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
