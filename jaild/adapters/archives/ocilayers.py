"""What a layer of an OCI image does to the tree of those below it, before its own files are unpacked.

Every step is relative to an open folder and none follows a link: both the tree and the layer are somebody else's.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jaild.adapters.files.openat import look, names_in, opened
from jaild.model.errors import InvalidArgumentError
from jaild.model.layers.archive import Entry, EntryKind, shown


def make_way(tree: Path, removed: Sequence[bytes], entries: Sequence[Entry]) -> None:
    """Remove what the layer's whiteouts name, then what its entries take the place of. Blocks.

    Folders are kept where the layer has a folder too. Raises `InvalidArgumentError` (ARCHIVE_PATH_ESCAPES) for a way
    through a symlink that a layer below brought, `OSError` as it comes.
    """
    for name in removed:
        parts = _parts(name)
        if name.endswith(b"/") or not name:
            with _folder(tree, parts) as folder:
                for inside in names_in(folder) if folder is not None else ():
                    _remove(os.fsencode(inside), folder)
            continue
        with _folder(tree, parts[:-1]) as folder:
            _remove(parts[-1], folder)
    for entry in entries:
        parts = _parts(entry.name)
        if not parts:
            continue
        with _folder(tree, parts[:-1]) as folder:
            have = _look(parts[-1], folder)
            both_folders = have is not None and stat.S_ISDIR(have.st_mode) and entry.kind is EntryKind.DIRECTORY
            if have is not None and not both_folders:
                _remove(parts[-1], folder)


def _parts(name: bytes) -> list[bytes]:
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise InvalidArgumentError(
            "ARCHIVE_PATH_ESCAPES", f"the entry {shown(name)} has '..' in its path", remedy="build the image again"
        )
    return parts


@contextmanager
def _folder(tree: Path, parts: Sequence[bytes]) -> Iterator[int | None]:
    """Give the folder below the tree, open; None if it is not there."""
    with opened(tree) as root:
        descriptor = os.dup(root)
    try:
        for depth, part in enumerate(parts, 1):
            have = _look(part, descriptor)
            if have is None or not stat.S_ISDIR(have.st_mode):
                if have is not None and stat.S_ISLNK(have.st_mode):
                    raise _through_a_link(b"/".join(parts[:depth]))
                yield None
                return
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _look(name: bytes, folder: int | None) -> os.stat_result | None:
    if folder is None:
        return None
    try:
        return look(name, folder)
    except FileNotFoundError:
        return None


def _remove(name: bytes, folder: int | None) -> None:
    have = _look(name, folder)
    if have is None or folder is None:
        return
    if stat.S_ISDIR(have.st_mode):
        shutil.rmtree(os.fsdecode(name), dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _through_a_link(path: bytes) -> InvalidArgumentError:
    return InvalidArgumentError(
        "ARCHIVE_PATH_ESCAPES",
        f"a layer goes through {shown(path)}, which is a symlink in a layer below",
        remedy="build the image so that its layers name the folder itself, not the link to it",
        detail={"entry": shown(path)},
    )
