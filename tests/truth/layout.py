"""Packages of Debian as releases: unpacked, and laid out under /usr/local."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.demo.programs import run

_TOPS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # beside usr, where a package is older than the merged /usr


def unpack(archive: Path, into: Path) -> None:
    """Unpack a package's programs, libraries and links; nothing else stays."""
    into.parent.mkdir(exist_ok=True)
    run(["dpkg-deb", "--extract", str(archive), str(into)])
    for folder, _, names in os.walk(into):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink() and not (path.is_file() and _is_elf(path)):
                path.unlink()


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def lay_out(package: Path, release: Path) -> None:
    """Put an unpacked package into a release: its /usr becomes /usr/local. Files are hard links."""
    for top in ("usr", *_TOPS):
        source = package / top
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(
                source,
                release if top == "usr" else release / top,
                symlinks=True,
                copy_function=_link,
                dirs_exist_ok=True,
            )


def _link(source: str, target: str) -> str:
    if not os.path.lexists(target):
        os.link(source, target, follow_symlinks=False)
    return target
