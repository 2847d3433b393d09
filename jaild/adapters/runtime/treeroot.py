"""The folder that a jail's tree is mounted on: it goes when nothing is mounted there, and never with files in it."""

from __future__ import annotations

from pathlib import Path

from jaild.model.errors import FailedPreconditionError


def remove(tree: Path) -> None:
    """Remove the empty folder that a tree was mounted on, and the jail's if that was its last.

    Raises `FailedPreconditionError` (TREE_BUSY) if it is not empty.
    """
    if not tree.exists():
        return
    if any(tree.iterdir()):
        raise FailedPreconditionError(
            "TREE_BUSY",
            f"{tree} has files in it, though nothing is mounted there",
            hint="look at what they are and move them away: jaild deletes no files of a tree",
            resource=str(tree),
        )
    tree.rmdir()
    if not any(tree.parent.iterdir()):
        tree.parent.rmdir()
