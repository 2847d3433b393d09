"""What `write_tree` wrote outlives a crash of ZFS once a `zfs set` of its pool has ended: nothing else syncs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.zfs.private_namespace import kernel_has_zfs, running
from tests.conftest import ZFS

pytestmark = pytest.mark.real("Linux", "unshare", "nsenter", ZFS)

_SCRIPT = textwrap.dedent("""
    import asyncio, os, signal, sys
    from pathlib import Path
    from jaild.adapters.files import config_tree, config_tree_update
    from jaild.adapters.system.process import ProcessRunner
    from jaild.adapters.zfs.embedded import EmbeddedPool, pool_name_for
    from jaild.adapters.zfs.private_namespace import enter, running
    from jaild.model.etc.tree import Entry, Kind

    folder, what = Path(sys.argv[1]), sys.argv[2]
    enter(folder, [sys.executable, *sys.orig_argv[1:]])
    TREE = {"d": Entry(kind=Kind.DIRECTORY, mode=0o755)}
    TREE |= {f"d/{n}": Entry(kind=Kind.FILE, content=bytes([n]) * 5000, mode=0o640, uid=n) for n in range(200)}
    TREE |= {f"l{n}": Entry(kind=Kind.LINK, mode=0, target=f"d/{n}") for n in range(50)}

    async def main():
        pool = EmbeddedPool(ProcessRunner(), folder, pool_name_for(folder), size=1 << 30)
        if what == "destroy":
            return await pool.destroy()
        zfs = await pool.start()
        place = (await zfs.dataset(pool.root)).mountpoint / "tree"
        if what == "write":
            place.mkdir()
            config_tree_update.update(place, TREE)
            await zfs.set(pool.root, {"jaild:x": "committed"})
            os.kill(running(folder), signal.SIGKILL)
            return
        print(config_tree.digest(TREE) == config_tree.fingerprint(place), flush=True)

    asyncio.run(main())
""")


def _run(folder: Path, what: str) -> str:
    command = [sys.executable, "-c", _SCRIPT, str(folder), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if kernel_has_zfs():
        pytest.fail("this machine's kernel has ZFS: what is tested here is the private zfs-fuse")
    yield tmp_path
    if (pid := running(tmp_path)) is not None:
        _run(tmp_path, "destroy")
        if running(tmp_path) == pid:
            os.kill(pid, signal.SIGKILL)


def test_a_tree_is_whole_after_a_crash_that_follows_a_set(folder: Path) -> None:
    _run(folder, "write")
    assert _run(folder, "read") == "True"
