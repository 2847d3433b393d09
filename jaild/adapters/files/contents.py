"""The index of a layer's tree: its packages, its libraries with their versions, its files with their sha256.

Synchronous and busy: call it in a thread.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from jaild.adapters.files import packagedbs
from jaild.model import bounds, quantity
from jaild.model.contents.index import Contents, FileSums, Indexed, libraries_of
from jaild.model.errors import CancelledError
from jaild.model.layers.libraries import Libraries
from jaild.trees.openat import CHANGED, NotAFileError, reading


def index(root: Path, *, prefix: str, libraries: Libraries, stopped: threading.Event) -> Indexed:
    """Index the tree at `root`, which the jail sees at `prefix`. `CancelledError` (CANCELLED) once `stopped` is set."""
    owned = packagedbs.read(root)
    problems = list(owned.problems)
    sums, links = _Sums(problems, stopped), dict[str, str]()
    for folder, entry in _entries(root):
        if len(sums.files) + len(links) >= bounds.CONTENT_FILES:
            problems.append(f"more than {bounds.CONTENT_FILES} files: the others are not in the index")
            break
        inside = _shown(posixpath.join(prefix, os.path.relpath(folder, root), entry.name))
        if entry.is_symlink():
            target = _shown(os.readlink(entry.path))  # noqa: PTH115 -- the text itself, no Path made of it
            links[inside] = posixpath.normpath(posixpath.join(posixpath.dirname(inside), target))
        elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            sums.add(inside, entry.path)
    contents = Contents(
        packages=owned.packages,
        libraries=libraries_of(libraries, owned)[: bounds.CONTENT_FILES],
        problems=tuple(problems[: bounds.CONTENT_PROBLEMS]),
    )
    return Indexed(contents=contents, files=FileSums(files=sums.files, links=links))


def _entries(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield all but folders, those of a folder in order, with the folder; nothing is followed."""
    pending = [os.fspath(root)]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            else:
                yield folder, entry


def _shown(path: str) -> str:
    """Return a path as text that can be stored; what is no UTF-8 is escaped."""
    return posixpath.normpath(os.fsencode(path).decode("utf-8", "backslashreplace"))


class _Sums:
    """Files with their sha256, as many bytes as are read of a layer."""

    def __init__(self, problems: list[str], stopped: threading.Event) -> None:
        self.files: dict[str, str] = {}
        self._left = bounds.CONTENT_BYTES
        self._problems = problems
        self._stopped = stopped

    def add(self, inside: str, path: str) -> None:
        """Read a file; '' for its sum where it cannot be read, or was too much."""
        if self._stopped.is_set():
            raise CancelledError("CANCELLED", f"the index was cancelled at {inside}")
        self.files[inside] = ""
        if self._left < 0:
            return
        try:
            with reading(path) as file:
                digest = hashlib.file_digest(file, "sha256")
                self._left -= file.tell()
        except NotAFileError:
            return
        except OSError as error:
            if error.errno not in CHANGED:
                raise
            return
        self.files[inside] = digest.hexdigest()
        if self._left < 0:
            size = quantity.size(bounds.CONTENT_BYTES)
            self._problems.append(f"more than {size} of files: those after {inside} are in the index without sha256")
