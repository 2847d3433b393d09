"""What every test stands on: a test marked `real` runs where all that it names is there, or says what is missing."""

from __future__ import annotations

import gc
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.fakes import zfs_trees as trees
from tests.hosts.points import some

SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
_CHECKOUT = Path(__file__).parents[1]
ZFS = "ZFS"  # the kernel's, or zfs-fuse
# What a host with jails on Linux has: the whole daemon runs there.
LINUX_HOST = ("Linux", "runc", "bsdtar", "busybox", "ip", "mount", "nft", "unshare", ZFS)


class Machine:
    """The machine that the tests run on, as far as `real` tests ask for it."""

    def __init__(
        self, *, system: str = platform.system(), root: bool = os.geteuid() == 0, path: str = SYSTEM_PATH
    ) -> None:
        self._path = path
        kernel_zfs = Path("/dev/zfs").exists()
        # What it is or is not: nothing to install, so no failure even where everything is required.
        self._given: Mapping[str, bool] = {
            "FreeBSD": system == "FreeBSD",
            "Linux": system == "Linux",
            "kernel ZFS": kernel_zfs,
            "no kernel ZFS": not kernel_zfs,
            "py-libzfs": importlib.util.find_spec("libzfs") is not None,
            "git history": (_CHECKOUT / ".git").exists() and not (_CHECKOUT / ".git/shallow").exists(),
        }
        self._others: Mapping[str, Callable[[], bool]] = {
            "root": lambda: root,
            ZFS: lambda: kernel_zfs or self._has("zfs-fuse"),
        }

    def is_not(self, needs: Iterable[str]) -> list[str]:
        """Return what of `needs` it is not, and cannot become."""
        return [need for need in needs if not self._given.get(need, True)]

    def lacks(self, needs: Iterable[str]) -> list[str]:
        """Return what of `needs` it could have and has not."""
        return [need for need in needs if need not in self._given and not self._has(need)]

    def _has(self, need: str) -> bool:
        other = self._others.get(need)
        return other() if other is not None else shutil.which(need, path=self._path) is not None


def require(needs: Iterable[str], machine: Machine | None = None) -> None:
    """Skip the test that needs root and `needs` if they are not here.

    `needs` are names of programs, or FreeBSD, Linux, kernel ZFS, no kernel ZFS, py-libzfs, git history (a whole
    clone), ZFS. Where JAILD_REQUIRE_ALL=1 it fails instead, for want of what can be had.
    """
    needs, machine = ("root", *needs), machine or Machine()
    if unlike := machine.is_not(needs):
        pytest.skip(f"not here: it needs {', '.join(unlike)}")
    if missing := machine.lacks(needs):
        reason = f"missing for this test: {', '.join(missing)}; `make deps` as root installs what is not there"
        if os.environ.get("JAILD_REQUIRE_ALL") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the `real` tests of a file in one process (`--dist loadgroup`): they share pools and daemons.

    xdist begins with the largest groups: what waits for real programs comes first, all else fills the time. Of the
    cases of a test that is marked `sampled` some are taken, the same ones in all processes.
    """
    left_out = _left_out(items, str(config.getoption("randomly_seed", default="")))
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        if item.get_closest_marker("real") is not None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


def _left_out(items: Iterable[pytest.Item], seed: str) -> set[pytest.Item]:
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled") is not None:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return {item for test, its in cases.items() for item in {*its} - {*some(its, seed + test)}}


def pytest_collection_finish() -> None:
    """Keep tests and modules, which live to the end, from the garbage collector: it would look at them again and again.

    That was a twentieth of the time of `make unit`, and so is looking after every 700 new objects at each await.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10, 100)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look whether a `real` test can run here, before any fixture is set up for it."""
    for mark in item.iter_markers("real"):
        require(mark.args)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the test's own: in memory where there is one, but for a `real` test, which gets pytest's on a disk.

    Files and folders were a third of the time that `make unit` takes of the kernel.
    """
    memory = Path("/dev/shm")
    if request.node.get_closest_marker("real") is not None:
        yield request.getfixturevalue("tmp_path")
        return
    folder = Path(tempfile.mkdtemp(prefix="jaild-test-", dir=memory if memory.is_dir() else None))
    yield folder
    trees.remove(str(folder))
    folder.rmdir()
