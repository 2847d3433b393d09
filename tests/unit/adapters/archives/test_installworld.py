"""An unpacked tree, such as `make installworld DESTDIR=...` leaves: hard links stay links, file flags stay set."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.system.process import ProcessRunner
from jaild.model.layers.archive import base_policy

PROCESSES = ProcessRunner()


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A few files as installworld leaves them: /rescue and /bin are full of names for one file."""
    tree = tmp_path / "world"
    for folder in ("bin", "rescue", "lib"):
        (tree / folder).mkdir(parents=True)
    (tree / "rescue/cat").write_bytes(b"ELF")
    for name in ("rescue/ls", "bin/twin"):
        os.link(tree / "rescue/cat", tree / name)
    (tree / "bin/su").write_bytes(b"ELF")
    (tree / "bin/su").chmod(0o4555)
    (tree / "lib/libc.so.7").write_bytes(b"ELF")
    return tree


async def copied(world: Path, to: Path) -> Path:
    to.mkdir()
    archives = BsdtarArchives(PROCESSES)
    await archives.copy_tree(world, to, await archives.verify_tree(world, base_policy()))
    return to


async def test_hard_links_stay_links_and_setuid_stays_set(world: Path, tmp_path: Path) -> None:
    tree = await copied(world, tmp_path / "base")
    assert {(tree / name).stat().st_ino for name in ("rescue/ls", "bin/twin")} == {(tree / "rescue/cat").stat().st_ino}
    assert (tree / "rescue/cat").stat().st_nlink == 3
    assert (tree / "bin/su").stat().st_mode & 0o7777 == 0o4555


async def _marked_nodump(path: Path, *, mark: bool = False) -> bool:
    """Tell whether a file has the flag nodump, after it was set. Linux has programs for it, FreeBSD calls."""
    if sys.platform.startswith("freebsd"):
        if mark:
            os.chflags(path, stat.UF_NODUMP)
        return bool(path.stat().st_flags & stat.UF_NODUMP)
    if mark and (await PROCESSES.run(["chattr", "+d", str(path)], check=False)).status:
        pytest.skip("this file system has no file flags")
    shown = await PROCESSES.run(["lsattr", "-d", str(path)])
    return "d" in shown.text.split()[0]


async def test_file_flags_stay_set(world: Path, tmp_path: Path) -> None:
    # nodump is the one flag that Linux and FreeBSD share and anybody may set; schg goes the same way, in pax's
    # SCHILY.fflags.
    assert await _marked_nodump(world / "lib/libc.so.7", mark=True)
    tree = await copied(world, tmp_path / "base")
    assert await _marked_nodump(tree / "lib/libc.so.7")
