"""Whether what is to be mounted on is a folder in the layer below, with no symlink on the way to it."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath


def obstacle(roots: Sequence[tuple[str, Path]], target: str) -> str:
    """Return what stands in the way of mounting on `target` (absolute, in the jail); '' if nothing does.

    `roots` are (mount point, folder) of the layers. A layer's own mount point is looked for in the layer below it.
    """
    wanted = PurePosixPath(target)
    holders = [(PurePosixPath(at), folder) for at, folder in roots if _is_below(wanted, PurePosixPath(at))]
    if not holders:
        return ""  # the root of the jail
    at, folder = max(holders, key=lambda holder: len(holder[0].parts))
    for part in wanted.relative_to(at).parts:
        at, folder = at / part, folder / part
        try:
            mode = folder.lstat().st_mode
        except FileNotFoundError:
            return f"{at} is not there"
        if stat.S_ISLNK(mode):
            return f"{at} is a symlink"
        if not stat.S_ISDIR(mode):
            return f"{at} is a file"
    return ""


def _is_below(path: PurePosixPath, folder: PurePosixPath) -> bool:
    return path != folder and path.is_relative_to(folder)
