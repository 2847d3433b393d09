"""Machines and fleets for the lab's tests, one for each generation of OpenZFS, and build/lab.json at the end.

`JAILD_LAB_CUTS`: how many power cuts. `JAILD_LAB_ZFS`: the generations, `2.3` or `2.3,2.1`; all if not said.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.contract.zfs_contract import ZfsContract
from tests.demo import assets
from tests.lab import report
from tests.lab.campaign import Campaign
from tests.lab.fleet import SETTING, lab_fleet
from tests.lab.image import SUITES, Suite, image
from tests.lab.machine import VDEV, Machine, running
from tests.lab.program import libraries
from tests.lab.pylibzfs import SUITES as HAVE_PYLIBZFS
from tests.lab.pylibzfs import pylibzfs
from tests.lab.report import Found
from tests.lab.small import small

_REPORT = Path("build/lab.json")
_FAILURES = Path("build/lab-failures.txt")
_CHOSEN = os.environ.get("JAILD_LAB_ZFS", "").split(",")
CHOSEN = [suite for suite in SUITES if suite.zfs in _CHOSEN] or list(SUITES)
CUTS = int(os.environ.get("JAILD_LAB_CUTS", "4"))


_found = pytest.StashKey[Found]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_found] = Found()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is not in the cache yet before the first test: half an hour that no test's time limit is meant for."""
    fixtures = {name for item in session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    if session.config.option.collectonly or not fixtures & {"machine", "campaign"}:
        return
    for chosen in CHOSEN:
        built = image(chosen.name)
        if "campaign" in fixtures:
            assets.prepare()
            libraries(built)


@pytest.fixture(scope="session")
def found(request: pytest.FixtureRequest) -> Found:
    return request.config.stash[_found]


@pytest.fixture(scope="session", params=CHOSEN, ids=lambda suite: f"zfs-{suite.zfs}")
def suite(request: pytest.FixtureRequest) -> Suite:
    found: Suite = request.param
    return found


@pytest.fixture(scope="session")
def machine(suite: Suite, found: Found, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with a pool `tank` on its disk, mounted at /tank."""
    with running(Machine(image(suite.name), tmp_path_factory.mktemp(suite.name), suite.name)) as started:
        # -o cachefile=none: the root file system forgets it anyway, the boot looks for pools on the disks.
        started.must("zpool", "create", "-O", "atime=off", "-o", "cachefile=none", "tank", VDEV)
        found.versions[suite.zfs] = version_of(started)
        yield started


@pytest.fixture(scope="session")
def campaign(suite: Suite, found: Found, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """Two hosts that carry a jail with Redis, whose power is cut."""
    folder = tmp_path_factory.mktemp(f"cuts-{suite.name}")
    archives = small(assets.prepare(), folder)
    libzfs = pylibzfs(suite.name) if suite.name in HAVE_PYLIBZFS else None
    with lab_fleet(image(suite.name), folder, libzfs=libzfs) as fleet:
        found.versions[suite.zfs] = version_of(next(iter(fleet.machines.values())))
        started = Campaign(fleet, archives, folder, SETTING, found.tally(suite.zfs))
        started.prepare()
        yield started


def version_of(machine: Machine) -> str:
    """Return OpenZFS's version, as the module in the kernel says it."""
    return machine.must("cat", "/sys/module/zfs/version").decode().strip()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    outcome = yield
    if outcome.when == "call" and outcome.passed and item.cls is not None and issubclass(item.cls, ZfsContract):
        suite = item.callspec.params["suite"]
        assert isinstance(suite, Suite)
        item.config.stash[_found].passed[suite.zfs] += 1
    if outcome.failed:  # told at once: pytest tells it at the end, which is an hour away
        _FAILURES.parent.mkdir(exist_ok=True)
        with _FAILURES.open("a") as told:
            told.write(f"{outcome.nodeid}\n{outcome.longreprtext}\n\n")
    return outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    found = session.config.stash[_found]
    if found.versions:
        report.write(_REPORT, found)
