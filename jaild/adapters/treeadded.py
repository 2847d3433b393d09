"""What one tree has and another has not: names only, links not followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def added(before: Path, after: Path) -> Iterator[str]:
    """Yield the paths below `after` that are not below `before`, sorted in each folder; not what is in a new folder."""
    with os.scandir(after) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        other = before / entry.name
        if not os.path.lexists(other):
            yield entry.name
        elif entry.is_dir(follow_symlinks=False) and other.is_dir() and not other.is_symlink():
            yield from (f"{entry.name}/{path}" for path in added(other, Path(entry.path)))
