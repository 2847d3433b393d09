"""What every test stands on: a test marked `real` runs with all of its prerequisites, or says which are missing."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import pytest

REAL_PROGRAMS = ("runc", "bsdtar", "busybox", "ip", "mount", "nft", "unshare")
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))


@cache
def missing_for_real_tests() -> tuple[str, ...]:
    """What this machine lacks to run tests marked `real`."""
    missing = [] if os.geteuid() == 0 else ["root"]
    missing += [program for program in REAL_PROGRAMS if shutil.which(program, path=SYSTEM_PATH) is None]
    if not Path("/dev/zfs").exists() and shutil.which("zfs-fuse", path=SYSTEM_PATH) is None:
        missing.append("zfs-fuse (or a kernel with ZFS)")
    return tuple(missing)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a `real` test that cannot run here; fail it instead where JAILD_REQUIRE_ALL=1."""
    if item.get_closest_marker("real") is None or not (missing := missing_for_real_tests()):
        return
    reason = f"missing for real tests: {', '.join(missing)}; `make deps` as root installs what is not there"
    if os.environ.get("JAILD_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
