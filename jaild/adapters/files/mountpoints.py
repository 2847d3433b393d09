"""Makes the folders in a base over which a jail's layers are mounted, before the base is sealed."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from jaild.model.errors import InvalidArgumentError
from jaild.model.layers.records import Family

# Path and the mode for a new one; the sticky bit of tmp is set in any case, other modes are the base's own.
_MODES = {
    "dev": 0o555,
    "etc": 0o755,
    "home": 0o755,
    "mnt": 0o755,
    "proc": 0o555,
    "root": 0o750,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/local": 0o755,
    "usr/local/etc": 0o755,  # for a jail of the base alone; a release brings its own
    "var": 0o755,
}
_LINUX = {"sys": 0o555}
_ALWAYS = {"tmp"}


def make_mount_points(root: Path, family: Family) -> list[str]:
    """Make every mount point that a jail needs and return those that were made or changed, relative to `root`.

    FreeBSD's /home is a symlink to usr/home in older bases: it is replaced by a folder. Any other symlink or file in
    the way raises `InvalidArgumentError` (BASE_LAYOUT), before anything was changed.
    """
    wanted = {**_MODES, **(_LINUX if family is Family.LINUX else {})}
    if family is Family.LINUX and not os.path.lexists(root / "run"):  # a link leads to where a jail can write anyway
        wanted["run"] = 0o755
    linked_home = family is Family.FREEBSD and (root / "home").is_symlink()
    for path in wanted:
        if not (path == "home" and linked_home):
            _require_folder_or_nothing(root, path)
    if linked_home:
        (root / "home").unlink()
    return [path for path in sorted(wanted) if _make(root / path, wanted[path], fixed=path in _ALWAYS)]


def _require_folder_or_nothing(root: Path, path: str) -> None:
    place = root / PurePosixPath(path)
    if place.is_symlink():
        kind = f"a symlink to {place.readlink()}"
    elif place.exists() and not place.is_dir():
        kind = "a file"
    else:
        return
    raise InvalidArgumentError(
        "BASE_LAYOUT",
        f"/{path} of the base is {kind}; a jail needs a folder there to mount over",
        hint=f"replace /{path} by a folder in the tree and import it again",
        detail={"path": f"/{path}"},
    )


def _make(place: Path, mode: int, *, fixed: bool) -> bool:
    if place.is_dir():
        if not fixed or stat.S_IMODE(place.stat().st_mode) == mode:
            return False
    else:
        place.mkdir()
    place.chmod(mode)  # mkdir's own mode is cut by the umask
    return True
