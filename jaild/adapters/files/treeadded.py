"""What one tree has and another has not: names only, links not followed."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from jaild.trees.openat import DEEPEST, look, names_in, opened


def added(before: Path, after: Path) -> Iterator[str]:
    """Yield the paths below `after` that are not below `before`, sorted in each folder; not what is in a new folder.

    Folders in folders are compared down to `openat.DEEPEST`.
    """
    with opened(before) as old, opened(after) as new:
        yield from _added(old, new, "", 1)


def _added(before: int, after: int, prefix: str, depth: int) -> Iterator[str]:
    for name in sorted(names_in(after)):
        try:
            old = look(name, before)
        except FileNotFoundError:
            yield f"{prefix}{name}"
            continue
        if depth < DEEPEST and stat.S_ISDIR(old.st_mode) and stat.S_ISDIR(look(name, after).st_mode):
            with opened(name, within=before) as inner_before, opened(name, within=after) as inner_after:
                yield from _added(inner_before, inner_after, f"{prefix}{name}/", depth + 1)
