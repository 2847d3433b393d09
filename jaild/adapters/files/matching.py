"""Finds files by their paths, without following a link."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from jaild.trees.openat import StepError, look, names_in, reached


def matching(root: Path, patterns: Sequence[str]) -> Iterator[str]:
    """Yield the regular files below `root` that match a pattern: a path with * (fnmatch) in its last part only."""
    for pattern in patterns:
        *steps, last = pattern.split("/")
        try:
            with reached(root, steps) as folder:
                names = [name for name in sorted(names_in(folder)) if fnmatchcase(name, last)]
                yield from ("/".join([*steps, n]) for n in names if stat.S_ISREG(look(n, folder).st_mode))
        except StepError:
            continue  # missing, or a link
