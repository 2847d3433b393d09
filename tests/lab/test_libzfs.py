"""The ZFS contract on py-libzfs, which runs where the ZFS is: pytest itself is in the machine."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.hosts import CHECKOUT
from tests.lab.agent import LIBRARIES
from tests.lab.image import Suite, image
from tests.lab.machine import VDEV, Machine, running
from tests.lab.program import libraries
from tests.lab.pylibzfs import SUITES, pylibzfs

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]
_TOOLS = ("pytest", "pytest-asyncio", "pytest-randomly", "pytest-timeout")
_PLACE = "/opt/contract"
_CASES = "tests/contract/test_zfs_libzfs.py"


@pytest.fixture
def machine(suite: Suite, tmp_path: Path) -> Iterator[Machine]:
    """One with this checkout's jaild and tests, pytest and py-libzfs."""
    if suite.name not in SUITES:
        pytest.skip(f"the ZFS contract on LibZfs is not run on OpenZFS {suite.zfs}: its Debian has no py-libzfs")
    built = image(suite.name)
    with running(Machine(built, tmp_path, suite.name, libraries=libraries(built, more=_TOOLS))) as started:
        started.copy_in(_packed(pylibzfs(suite.name)), _PLACE)
        yield started


def test_every_case_of_the_contract_passes_on_py_libzfs(machine: Machine) -> None:
    paths = f"PYTHONPATH={_PLACE}:{LIBRARIES}"
    settings = [paths, "PYTHONDONTWRITEBYTECODE=1", f"JAILD_TEST_VDEV={VDEV}"]
    argv = ["env", f"--chdir={_PLACE}", *settings, "python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # --noconftest: that of tests/ skips what is real where there is no runc, bsdtar and so on.
    done = machine.run(*argv, "--timeout=600", "--override-ini=addopts=", "--noconftest", _CASES, timeout=3400)
    assert done.status == 0, done.text[-20000:]
    passed = re.search(r"^(\d+) passed in ", done.text, re.MULTILINE)
    assert passed is not None, done.text[-2000:]  # and so none was skipped
    assert int(passed[1]) > 70


def _packed(module: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(module, ".")
        for part in ("jaild", "tests", "pyproject.toml"):
            tar.add(CHECKOUT / part, part, filter=lambda entry: None if "__pycache__" in entry.name else entry)
    return packed.getvalue()
