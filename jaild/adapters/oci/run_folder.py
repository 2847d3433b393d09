"""A jail's /run: a tmpfs of its container, at each start with nothing in it but the folders that the base has there.

The container's tool mounts it, and over it again the volumes that the tree has below /run. The folders are made here,
by way of the container's own root, before its command begins. runc can do it too (tmpcopyup), but takes the set-gid bit
and, by its umask, write bits from them (1.1.5), and copies what is mounted below.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jaild.adapters.files.errors import explained
from jaild.model.jails.mounts import Mount
from jaild.trees.openat import DEEPEST, look, opened, reached, too_deep

PLACE = "/run"
_MODE, _LOCK_MODE = 0o755, 0o1777  # as Debian has /run and /run/lock


def is_there(tree: Path) -> bool:
    """Whether the base has a folder to mount it on; a link, as old systems have it, leads to the jail's own data."""
    try:
        return stat.S_ISDIR(os.lstat(tree / PLACE.lstrip("/")).st_mode)
    except FileNotFoundError:
        return False


def mounts(tree: Iterable[Mount]) -> list[dict[str, Any]]:
    """Return it, and what a tree has below it, as `mounts` of a config.json."""
    found: list[dict[str, Any]] = [
        {"destination": PLACE, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", f"mode={_MODE:o}"]}
    ]
    for mount in _below(tree):
        options = ["bind", "nodev", "ro" if mount.readonly else "rw"]
        found.append({"destination": mount.target, "type": "bind", "source": mount.folder, "options": options})
    return found


def fill(container: Path, tree: Path, mounted: Iterable[Mount]) -> None:
    """Make the folders: `container` is the root of the container as the host sees it (/proc/PID/root).

    One that an older jaild has configured has no /run of its own, and is left as it is.
    """
    with explained(container), reached(tree, (PLACE.lstrip("/"),)) as source:
        root = os.open(container, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with opened(PLACE.lstrip("/"), within=root) as target:
                if os.fstat(target).st_dev == os.fstat(source).st_dev:
                    return
                os.fchmod(target, _MODE)  # runc takes that of the folder beneath
                _make("lock", target, _LOCK_MODE)
                _copy(source, target, PLACE, frozenset(mount.target for mount in _below(mounted)))
        finally:
            os.close(root)


def _below(tree: Iterable[Mount]) -> list[Mount]:
    return [mount for mount in tree if mount.target.startswith(f"{PLACE}/")]


def _copy(source: int, target: int, path: str, skipped: Collection[str]) -> None:
    if path.count("/") > DEEPEST:
        raise too_deep()
    for name in sorted(os.listdir(source)):
        found, place = look(name, source), f"{path}/{name}"
        if not stat.S_ISDIR(found.st_mode) or place in skipped:
            continue
        _make(name, target, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
        with opened(name, within=source) as inner, opened(name, within=target) as made:
            _copy(inner, made, place, skipped)


def _make(name: str, folder: int, mode: int, uid: int = 0, gid: int = 0) -> None:
    with suppress(FileExistsError):  # made for a volume below it
        os.mkdir(name, dir_fd=folder)
    with opened(name, within=folder) as made:
        os.fchown(made, uid, gid)
        os.fchmod(made, mode)
