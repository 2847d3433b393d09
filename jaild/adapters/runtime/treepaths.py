"""Paths inside a jail's tree, looked up by the host: no symlink is followed, since its target may be the host's."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path, PurePosixPath

from jaild.domain.errors import FailedPreconditionError, InvalidArgumentError

_LARGEST = 8 << 20  # bytes of an /etc file: more is not an /etc file


class _Fd:
    """A descriptor that `closing` can close."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        os.close(self.number)


def _open(root: Path, inside: str, flags: int) -> int:
    """Open `inside` below `root`; raise `OSError` if missing, `FailedPreconditionError` at a symlink."""
    parts = PurePosixPath(inside).parts[1:]
    if not inside.startswith("/") or ".." in parts:
        raise InvalidArgumentError(
            "MOUNT_TARGET_INVALID", f"{inside!r} is no path inside a jail", remedy="use an absolute path without '..'"
        )
    folder = os.open(root, os.O_PATH | os.O_CLOEXEC)
    for depth, part in enumerate(parts, 1):
        with closing(_Fd(folder)) as parent:
            # Asked beforehand, since O_PATH with O_NOFOLLOW opens the link itself; a later switch leads nowhere.
            if stat.S_ISLNK(os.stat(part, dir_fd=parent.number, follow_symlinks=False).st_mode):
                path = "/" + "/".join(parts[:depth])
                raise FailedPreconditionError(
                    "MOUNT_TARGET_SYMLINK",
                    f"{path} is a symlink in the jail's tree",
                    remedy="make it a real folder in the base or release: a link could lead out of the jail",
                    resource=inside,
                )
            wanted = flags if depth == len(parts) else os.O_PATH
            folder = os.open(part, wanted | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent.number)
    return folder


def target(root: Path, inside: str) -> Path:
    """Return the host's path of mount target `inside`.

    Raises `FailedPreconditionError` (MOUNT_TARGET_SYMLINK, MOUNT_TARGET_MISSING).
    """
    try:
        with closing(_Fd(_open(root, inside, os.O_PATH))):
            return root.joinpath(*PurePosixPath(inside).parts[1:])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FailedPreconditionError(
            "MOUNT_TARGET_MISSING",
            f"{inside} is not in the jail's tree",
            remedy="the base or the release must bring the folder: nothing is made in a sealed layer",
            resource=inside,
        ) from error


def text(root: Path, inside: str) -> str:
    """Return the text of a small file of the tree; empty if there is none. A symlink on the way is refused."""
    try:
        fd = _open(root, inside, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    with os.fdopen(fd, "rb") as file:
        return file.read(_LARGEST).decode("utf-8", "replace")
