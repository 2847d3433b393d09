"""Contents of datasets: as a plain directory while they may change, as a value in memory once they are a snapshot's."""

# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH115, PTH211 -- texts cost half of what paths do

from __future__ import annotations

import os
import stat
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_ME = (os.geteuid(), os.getegid())


class Node(NamedTuple):
    """What is at a path. Of directories no time: mount points touch them."""

    mode: int
    uid: int
    gid: int
    mtime: int  # in ns
    content: bytes  # of a file; the target of a link


Tree = Mapping[str, Node]  # by the path below the root, parents first


def read(root: Path, holes: Container[str] = ()) -> Tree:
    """Return what is below `root`; directories whose full path is in `holes` stay closed."""
    found: dict[str, Node] = {}
    _read(str(root), len(str(root)) + 1, holes, found)
    return found


def _read(folder: str, above: int, holes: Container[str], found: dict[str, Node]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path, info, content = entry.path, entry.stat(follow_symlinks=False), b""
            if stat.S_ISDIR(info.st_mode):
                found[path[above:]] = Node(info.st_mode, info.st_uid, info.st_gid, 0, b"")
                if path not in holes:
                    _read(path, above, holes, found)
                continue
            if stat.S_ISLNK(info.st_mode):
                content = os.fsencode(os.readlink(path))
            elif stat.S_ISREG(info.st_mode):
                content = _content(path, info.st_size)
            found[path[above:]] = Node(info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, content)


def _content(path: str, size: int) -> bytes:
    if not size:
        return b""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def size(root: str, holes: Container[str] = ()) -> int:
    """Return the bytes in the files below `root`, without reading them."""
    total = 0
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += 0 if entry.path in holes else size(entry.path, holes)
            elif entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def write(tree: Tree, root: Path) -> None:
    """Bring what is in `tree` below `root`, which is there, with modes, owners and times; files there are replaced."""
    for path, node in tree.items():
        place = f"{root}/{path}"
        new = True
        if stat.S_ISDIR(node.mode):
            try:
                os.mkdir(place)
            except FileExistsError:
                new = False
        else:
            with suppress(FileNotFoundError):
                os.unlink(place)
            _make(place, node)
        if not new or (node.uid, node.gid) != _ME:
            os.chown(place, node.uid, node.gid, follow_symlinks=False)
        if not stat.S_ISLNK(node.mode):
            os.chmod(place, stat.S_IMODE(node.mode))
        if not stat.S_ISDIR(node.mode):
            os.utime(place, ns=(node.mtime, node.mtime), follow_symlinks=False)


def _make(place: str, node: Node) -> None:
    if stat.S_ISLNK(node.mode):
        os.symlink(node.content, place)
    elif stat.S_ISREG(node.mode):
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, node.content)
        finally:
            os.close(descriptor)
    else:
        os.mkfifo(place)


def remove(root: str, holes: Container[str] = ()) -> bool:
    """Remove what is below `root`, but for directories in `holes` and the way to them; return whether all is gone."""
    gone = True
    with os.scandir(root) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
            elif entry.path not in holes and remove(entry.path, holes):
                os.rmdir(entry.path)
            else:
                gone = False
    return gone
