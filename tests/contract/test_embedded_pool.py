from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.zfs.embedded import cache_for
from jaild.adapters.zfs.private_namespace import MARKER, enter, kernel_has_zfs, pid_file, running
from tests.conftest import ZFS
from tests.zfs_fuse import ended

pytestmark = pytest.mark.real("Linux", "unshare", "nsenter", ZFS)

_DAEMON = textwrap.dedent("""
    import asyncio, signal, sys
    from pathlib import Path
    from jaild.adapters.system.process import ProcessRunner
    from jaild.adapters.zfs.embedded import EmbeddedPool, pool_name_for
    from jaild.adapters.zfs.private_namespace import enter

    folder, what = Path(sys.argv[1]), sys.argv[2:]
    enter(folder, [sys.executable, *sys.orig_argv[1:]])

    async def main():
        pool = EmbeddedPool(ProcessRunner(), folder, pool_name_for(folder), size=1 << 30)
        if what == ["stop"]:
            return await pool.stop()
        if what == ["destroy"]:
            return await pool.destroy()
        zfs = await pool.start()
        place = (await zfs.dataset(pool.root)).mountpoint
        if what[0] == "write":
            (place / "f").write_text(what[1])
        print((place / "f").read_text(), flush=True)
        if what[-1] == "stay":
            signal.pause()

    asyncio.run(main())
""")


def _command(folder: Path, *what: str) -> list[str]:
    return [sys.executable, "-c", _DAEMON, str(folder), *what]


def _run(folder: Path, *what: str) -> str:
    done = subprocess.run(_command(folder, *what), capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if kernel_has_zfs():
        pytest.fail("this machine's kernel has ZFS: what is tested here is the private zfs-fuse")
    yield tmp_path
    subprocess.run(_command(tmp_path, "destroy"), capture_output=True, check=False, timeout=90)
    if (pid := running(tmp_path)) is not None:
        os.kill(pid, signal.SIGKILL)


def test_a_pool_is_made_kept_over_a_stop_and_not_made_again(folder: Path) -> None:
    assert _run(folder, "write", "kept") == "kept"
    first = running(folder)
    assert first is not None
    assert _run(folder, "read") == "kept"
    assert running(folder) == first
    _run(folder, "stop")
    assert running(folder) is None
    assert _run(folder, "read") == "kept"
    assert running(folder) not in {None, first}


def test_its_zfs_fuse_may_keep_as_much_in_memory_as_many_datasets_need(folder: Path) -> None:
    _run(folder, "write", "kept")
    words = Path(f"/proc/{running(folder)}/cmdline").read_text().split("\0")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert int(words[words.index("--max-arc-size") + 1]) >= cache_for(memory)


def test_nobody_else_reads_the_file_that_the_pool_is_on_also_one_of_an_older_jaild(folder: Path) -> None:
    (folder / "vdevs").mkdir(0o755)
    _run(folder, "write", "kept")
    assert stat.S_IMODE((folder / "vdevs").stat().st_mode) == 0o700


def test_a_killed_daemons_mounts_are_there_for_the_next_one(folder: Path) -> None:
    with subprocess.Popen(_command(folder, "write", "kept", "stay"), stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "kept\n"
        daemon.kill()
    first = running(folder)
    assert first is not None
    assert _run(folder, "read") == "kept"
    assert running(folder) == first


def test_a_pool_whose_zfs_fuse_was_killed_is_imported_again(folder: Path) -> None:
    _run(folder, "write", "kept")
    _run(folder, "stop")
    _run(folder, "read")
    pid = running(folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    assert _run(folder, "read") == "kept"


def test_the_machines_own_mounts_and_zfs_folders_stay_as_they_were(folder: Path) -> None:
    before = sorted(path.name for path in Path("/var/lib/zfs").glob("*"))
    _run(folder, "write", "kept")
    assert str(folder) not in Path("/proc/self/mounts").read_text()
    assert sorted(path.name for path in Path("/var/lib/zfs").glob("*")) == before
    assert not (folder / "zfs/f").exists()


def test_destroy_leaves_no_pool_no_process_and_may_be_repeated(folder: Path) -> None:
    _run(folder, "write", "kept")
    _run(folder, "destroy")
    assert running(folder) is None
    assert not (folder / "vdevs").exists()
    assert not (folder / "zfs").exists()
    _run(folder, "destroy")


def test_half_a_pool_left_by_a_crash_is_made_anew(folder: Path) -> None:
    (folder / "vdevs").mkdir()
    (folder / "vdevs/pool.new").write_bytes(b"half")
    assert _run(folder, "write", "kept") == "kept"
    assert [path.name for path in (folder / "vdevs").iterdir()] == ["pool.img"]


def test_a_process_id_that_now_is_somebody_elses_is_not_taken_for_zfs_fuse(tmp_path: Path) -> None:
    pid_file(tmp_path).write_text(f"{os.getpid()}\n")
    assert running(tmp_path) is None
    pid_file(tmp_path).write_text("")
    assert running(tmp_path) is None


def test_inside_the_namespace_entering_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[object] = []
    monkeypatch.setattr(os, "execvp", lambda *command: became.append(command))
    monkeypatch.setenv(MARKER, str(tmp_path))
    enter(tmp_path, ["jaild"])
    assert became == []
