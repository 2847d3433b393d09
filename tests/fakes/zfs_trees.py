"""Plain directories as the contents of datasets: copying, comparing and emptying them around mount points within."""

# ruff: noqa: PTH101, PTH102, PTH115, PTH211 -- texts cost half of what paths do, and a matrix copies much

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

Entry = tuple[int, int, int, str]  # mode, size, mtime in ns, target of a link


def walk(root: Path, holes: Container[str] = ()) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield (path below root, entry), parents first; directories whose full path is in `holes` stay closed."""
    pending, above = [str(root)], len(str(root)) + 1
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                yield entry.path[above:], entry
                if entry.is_dir(follow_symlinks=False) and entry.path not in holes:
                    pending.append(entry.path)


def entry_of(entry: os.DirEntry[str]) -> Entry:
    """Return what tells two versions of a file apart: of directories the mode only, mount points touch their times."""
    info = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(info.st_mode):
        return info.st_mode, 0, 0, ""
    if stat.S_ISLNK(info.st_mode):
        return info.st_mode, 0, 0, str(Path(entry.path).readlink())
    return info.st_mode, info.st_size, info.st_mtime_ns, ""


def contents(root: Path, holes: Container[str] = ()) -> dict[str, Entry]:
    """Return what is below `root`."""
    return {path: entry_of(entry) for path, entry in walk(root, holes)}


def size(root: Path, holes: Container[str] = ()) -> int:
    """Return the bytes in the files below `root`."""
    files = (entry for _, entry in walk(root, holes) if entry.is_file(follow_symlinks=False))
    return sum(entry.stat(follow_symlinks=False).st_size for entry in files)


def copy(source: Path, target: Path, holes: Container[str] = ()) -> None:
    """Copy what is below `source` into `target` (which may exist), with modes, owners and times."""
    target.mkdir(parents=True, exist_ok=True)
    directories = []
    for path, entry in walk(source, holes):
        info, new = entry.stat(follow_symlinks=False), f"{target}/{path}"
        if stat.S_ISDIR(info.st_mode):
            with suppress(FileExistsError):
                os.mkdir(new)
            directories.append((new, info))
            continue
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(entry.path), new)
        elif stat.S_ISREG(info.st_mode):
            shutil.copyfile(entry.path, new)
        else:
            os.mkfifo(new)
        _dress(new, info)
    for new, info in reversed(directories):
        _dress(new, info)


def _dress(path: str, info: os.stat_result) -> None:
    os.chown(path, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(path, stat.S_IMODE(info.st_mode))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)


def clear(root: Path, holes: Container[str] = ()) -> None:
    """Remove what is below `root`, except for directories in `holes` and the way to them."""
    for path, entry in sorted(walk(root, holes), reverse=True):
        if not entry.is_dir(follow_symlinks=False):
            (root / path).unlink()
        elif entry.path not in holes and not any((root / path).iterdir()):
            (root / path).rmdir()
