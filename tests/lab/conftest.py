"""Machines for the lab's tests, one for each generation of OpenZFS, and build/lab.json at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.contract.zfs_contract import ZfsContract
from tests.lab.image import SUITES, Suite, image
from tests.lab.machine import VDEV, Machine, running

_REPORT = Path("build/lab.json")
_versions = pytest.StashKey[dict[str, str]]()
_passed = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_versions] = {}
    config.stash[_passed] = Counter()


@pytest.fixture(scope="session", params=SUITES, ids=lambda suite: f"zfs-{suite.zfs}")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with a pool `tank` on its disk, mounted at /tank."""
    suite: Suite = request.param
    built = image(suite.name)
    with running(Machine(built, tmp_path_factory.mktemp(suite.name), suite.name)) as started:
        # -o cachefile=none: the root file system forgets it anyway, the boot looks for pools on the disks.
        started.must("zpool", "create", "-O", "atime=off", "-o", "cachefile=none", "tank", VDEV)
        loaded = started.must("cat", "/sys/module/zfs/version").decode().strip()
        request.config.stash[_versions][suite.zfs] = loaded
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.passed and item.cls is not None and issubclass(item.cls, ZfsContract):
        suite = item.callspec.params["machine"]
        assert isinstance(suite, Suite)
        item.config.stash[_passed][suite.zfs] += 1
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    versions = session.config.stash[_versions]
    if not versions:
        return
    _REPORT.parent.mkdir(exist_ok=True)
    passed = session.config.stash[_passed]
    found = {"zfs_versions": sorted(versions.values()), "contract": {v: passed[g] for g, v in versions.items()}}
    _REPORT.write_text(json.dumps(found, indent=1) + "\n")
