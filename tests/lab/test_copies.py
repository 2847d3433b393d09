"""What copies keep of files, on the kernel's OpenZFS: the tests of the adapters, on datasets, in the machine itself."""

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

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]
_TOOLS = ("pytest", "pytest-asyncio", "pytest-randomly", "pytest-timeout")
_PLACE = "/opt/copies"
_FOLDER = "tests/unit/adapters/archives"
_KEEPS = f"{_FOLDER}/test_what_copies_keep.py::test_a_copy_keeps_what_its_way_keeps"
_TELLS = f"{_FOLDER}/test_extras.py::test_what_a_file_carries_arrives_or_is_named"
# dataset: its properties, the tests that pass on it, how many they are
DATASETS = {
    "all": (("xattr=sa", "acltype=posix"), (_KEEPS, _TELLS), 16),
    "plain": ((), (_TELLS,), 6),
    "none": (("xattr=off", "acltype=off"), (_TELLS,), 6),
}


@pytest.fixture
def machine(suite: Suite, tmp_path: Path) -> Iterator[Machine]:
    """One with this checkout's jaild and tests, and pytest."""
    built = image(suite.name)
    with running(Machine(built, tmp_path, suite.name, libraries=libraries(built, more=_TOOLS))) as started:
        started.must("zpool", "create", "-o", "cachefile=none", "tank", VDEV)
        started.copy_in(_packed(), _PLACE)
        yield started


def test_copies_keep_what_the_dataset_keeps_and_name_the_rest(machine: Machine) -> None:
    for name, (properties, tests, count) in DATASETS.items():
        chosen = (word for each in properties for word in ("-o", each))
        machine.must("zfs", "create", *chosen, f"tank/{name}")
        settings = [f"PYTHONPATH={LIBRARIES}", "PYTHONDONTWRITEBYTECODE=1"]
        argv = ["env", f"--chdir={_PLACE}", *settings, "python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        # --noconftest: that of tests/ skips what is real where not all is that other tests need.
        argv += ["--timeout=600", "--override-ini=addopts=", "--noconftest", f"--basetemp=/tank/{name}/tests", *tests]
        done = machine.run(*argv, timeout=1200)
        assert done.status == 0, (name, done.text[-20000:])
        passed = re.search(r"^(\d+) passed in ", done.text, re.MULTILINE)
        assert passed is not None, done.text[-2000:]  # and so none was skipped
        assert int(passed[1]) == count


def _packed() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for part in ("jaild", "tests", "pyproject.toml"):
            tar.add(CHECKOUT / part, part, filter=lambda entry: None if "__pycache__" in entry.name else entry)
    return packed.getvalue()
