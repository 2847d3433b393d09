from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jaild.adapters.files import elf
from jaild.model.layers.compatibility import check
from jaild.model.layers.libraries import Start
from tests.conftest import LINUX_HOST
from tests.demo.assets import Assets, Base, Release, prepare
from tests.demo.programs import ProgramError, environment, run
from tests.demo.resp import Connection
from tests.lab.small import small

pytestmark = [
    pytest.mark.real(*LINUX_HOST),
    pytest.mark.timeout(900),
]  # the first run on a machine builds both userlands

SERVER = "/usr/local/bin/redis-server"
LIBRARIES = "LD_LIBRARY_PATH=/usr/local/lib"


@pytest.fixture(scope="module")
def assets() -> Assets:
    return prepare()


@contextmanager
def userland(base: Base, release: Release, place: Path) -> Iterator[Path]:
    """The base with the release at /usr/local."""
    tree = place / base.name
    (tree / "usr/local").mkdir(parents=True)
    try:
        run(["bsdtar", "-xpf", str(base.archive), "-C", str(tree)])
        shutil.rmtree(tree / "usr/local")
        (tree / "usr/local").mkdir()
        run(["bsdtar", "-xpf", str(release.archive), "-C", str(tree / "usr/local")])
        yield tree
    finally:
        shutil.rmtree(tree)


@contextmanager
def serving(tree: Path) -> Iterator[Connection]:
    """Redis in the tree, reached by a socket in its data; killed without warning at the end."""
    (tree / "var/lib/redis").mkdir(parents=True, exist_ok=True)
    argv = ["chroot", str(tree), SERVER, "/usr/local/etc/redis/redis.conf"]
    argv += ["--port", "0", "--unixsocket", "/var/lib/redis/socket"]
    told = environment(LD_LIBRARY_PATH="/usr/local/lib")
    with subprocess.Popen(argv, env=told, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert any("The server is now ready" in line or "Ready to accept" in line for line in server.stdout)
            connected = socket.socket(socket.AF_UNIX)
            connected.settimeout(10)
            connected.connect(str(tree / "var/lib/redis/socket"))
            with Connection(connected) as connection:
                yield connection
        finally:
            server.kill()


def test_the_plain_release_runs_on_both_bases_and_its_data_outlives_a_kill_and_a_new_base(
    assets: Assets, tmp_path: Path
) -> None:
    with userland(assets.old_base, assets.plain, tmp_path) as old, serving(old) as connection:
        assert connection.command("RPUSH", "numbers", 1, 2, 3) == 3
        with userland(assets.new_base, assets.plain, tmp_path) as new:
            shutil.copytree(old / "var/lib/redis/appendonlydir", new / "var/lib/redis/appendonlydir")
            with serving(new) as later:
                assert later.command("LRANGE", "numbers", 0, -1) == [b"1", b"2", b"3"]


def test_the_tuned_release_is_the_same_program_configured_otherwise(assets: Assets, tmp_path: Path) -> None:
    with userland(assets.old_base, assets.tuned, tmp_path) as tree, serving(tree) as connection:
        assert connection.command("CONFIG", "GET", "hz") == [b"hz", b"50"]
        assert connection.command("CONFIG", "GET", "appendfsync") == [b"appendfsync", b"always"]


def test_the_broken_release_starts_and_listens_where_nobody_looks(assets: Assets, tmp_path: Path) -> None:
    with userland(assets.old_base, assets.broken, tmp_path) as tree:
        assert "port 6380\n" in (tree / "usr/local/etc/redis/redis.conf").read_text()
        with serving(tree) as connection:
            assert connection.command("PING") == b"PONG"


def test_the_newer_release_runs_on_new_base_and_only_symbol_versions_keep_it_from_12(
    assets: Assets, tmp_path: Path
) -> None:
    command = ["/usr/bin/env", LIBRARIES, SERVER, "--version"]
    with userland(assets.new_base, assets.newer, tmp_path) as tree:
        assert f"v={assets.newer.version} " in run(["chroot", str(tree), *command])
    with (
        userland(assets.old_base, assets.newer, tmp_path) as tree,
        pytest.raises(ProgramError, match=r"GLIBC_2\.38' not found") as refused,
    ):
        run(["chroot", str(tree), *command])
    assert "cannot open shared object" not in refused.value.output


def test_the_proof_passes_the_plain_release_on_the_labs_small_bases_where_it_runs(
    assets: Assets, tmp_path: Path
) -> None:
    for name, archive in small(assets, tmp_path).bases.items():
        with userland(Base(name=name, version="", archive=archive), assets.plain, tmp_path / "trees") as tree:
            with serving(tree) as connection:
                assert connection.command("PING") == b"PONG"
            base, release = elf.index(tree, prefix="/"), elf.index(tree / "usr/local", prefix="/usr/local")
            started = Start(library_path=("/usr/local/lib",))
            assert check(release, base, mount_point="/usr/local", start=started) == ()


def test_a_second_preparation_builds_nothing(assets: Assets) -> None:
    said: list[str] = []
    assert prepare(say=said.append) == assets
    assert said == []
