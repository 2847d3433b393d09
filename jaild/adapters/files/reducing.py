"""Leaves some folders of a tree, under names of their own, and removes all else: by descriptor, no link followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from jaild.adapters.files.remove import remove_within
from jaild.trees.openat import look, names_in, opened, reached

_ASIDE = ".jaild-kept."  # before a name while all else is removed


def reduce(folder: Path, kept: Mapping[str, str]) -> None:
    """See `jaild.ports.files.Files.reduce`. Interrupted, it leaves a mixture. Raises `OSError` as it comes."""
    with opened(folder) as top:
        for name, path in kept.items():
            *above, last = PurePosixPath(path).parts
            with reached(folder, above) as holder:
                if not stat.S_ISDIR(look(last, holder).st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
                os.rename(last, f"{_ASIDE}{name}", src_dir_fd=holder, dst_dir_fd=top)
        for name in names_in(top):
            if not name.startswith(_ASIDE):
                remove_within(name, top, folder / name)
        for name in kept:
            os.rename(f"{_ASIDE}{name}", name, src_dir_fd=top, dst_dir_fd=top)
