"""Tars made by hand for tests, evil ones among them."""

from __future__ import annotations

import io
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Item:
    name: str | bytes
    kind: bytes = tarfile.REGTYPE
    data: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 1_000_000


def file(name: str | bytes, data: bytes = b"", mode: int = 0o644, uid: int = 0, gid: int = 0) -> Item:
    return Item(name, data=data, mode=mode, uid=uid, gid=gid)


def folder(name: str, mode: int = 0o755) -> Item:
    return Item(name, tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Item:
    return Item(name, tarfile.SYMTYPE, link=target, mode=0o777)


def hardlink(name: str, target: str) -> Item:
    return Item(name, tarfile.LNKTYPE, link=target)


def node(name: str, kind: bytes = tarfile.CHRTYPE) -> Item:
    return Item(name, kind)


def pack(path: Path, *items: Item, form: str = "w") -> Path:
    """Write the items as they are, in their order; `form` as tarfile's modes ("w:gz")."""
    with tarfile.open(path, form, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for item in items:
            name = item.name.decode("utf-8", "surrogateescape") if isinstance(item.name, bytes) else item.name
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = item.kind, item.link, item.mode
            info.uid, info.gid, info.mtime, info.size = item.uid, item.gid, item.mtime, len(item.data)
            archive.addfile(info, io.BytesIO(item.data))
    return path


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `root` that must not change by accident, by relative path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        elif not path.is_dir():
            content = stat.S_IFMT(status.st_mode)
        # A link's own mode means nothing (symlink(7)). Linux has 0777 only; on FreeBSD it is as the umask was.
        mode = 0 if path.is_symlink() else stat.S_IMODE(status.st_mode)
        found[str(path.relative_to(root))] = (mode, status.st_uid, status.st_gid, content)
    return found


def bsdtar(*arguments: str | Path) -> bytes:
    """Run bsdtar and return what it wrote."""
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(["bsdtar", *arguments], capture_output=True, check=True, env=environment).stdout
