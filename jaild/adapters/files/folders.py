"""Makes folders in a tree that a jail writes to: a symlink that it left on the way is refused, not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from jaild.model.errors import FailedPreconditionError
from jaild.ports.files import NewFolder
from jaild.trees.openat import look, opened


def make(root: Path, wanted: NewFolder) -> None:
    """Make the folder if it is missing, and what is missing above it as root's with 0755. One that is there is left.

    Raises `FailedPreconditionError` (NOT_A_FOLDER), `OSError` as it comes.
    """
    path = PurePosixPath(wanted.path)
    if path.is_absolute() or ".." in path.parts:
        raise _not_a_folder(root, wanted.path, "leads out of the tree")
    with opened(root) as folder:
        _below(folder, path.parts, wanted, root)


def own(folder: Path, uid: int, gid: int, mode: int) -> None:
    """Give a folder an owner and a mode. Raises `OSError` as it comes, also for a symlink."""
    with opened(folder) as there:
        os.fchown(there, uid, gid)
        os.fchmod(there, mode)
        os.fsync(there)


def _below(folder: int, parts: tuple[str, ...], wanted: NewFolder, shown: Path) -> None:
    if not parts:
        return
    name, rest = parts[0], parts[1:]
    uid, gid, mode = (0, 0, 0o755) if rest else (wanted.uid, wanted.gid, wanted.mode)
    with _entered(folder, name, shown) as (inner, made):
        if made:
            os.fchown(inner, uid, gid)
            os.fchmod(inner, mode)
            os.fsync(folder)
        _below(inner, rest, wanted, shown / name)


@contextmanager
def _entered(folder: int, name: str, shown: Path) -> Iterator[tuple[int, bool]]:
    made = False
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
        made = True
    except FileExistsError:
        mode = look(name, folder).st_mode
        if not stat.S_ISDIR(mode):
            what = "is a symlink" if stat.S_ISLNK(mode) else "is a file"
            raise _not_a_folder(shown, name, what) from None
    with opened(name, within=folder) as inner:
        yield inner, made


def _not_a_folder(shown: Path, name: str, what: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "NOT_A_FOLDER",
        f"{shown / name} {what}; a folder is needed there",
        hint="move it out of the way in the jail, or name another folder",
        resource=str(shown / name),
    )
