"""Hosts to try the use cases on."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.fakes.host import FakeHost


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of daemons write durably into it."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="jaild-test-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    """A host with two bases and two releases."""
    found = FakeHost(tmp_path)
    await furnished(found)
    yield found
    await found.stop()


async def furnished(host: FakeHost) -> FakeHost:
    """Start a host and give it two bases and two releases."""
    await host.start()
    for base in ("deb-1", "deb-2"):
        await host.add_base(base)
    for release in ("web/1", "web/2"):
        await host.add_release(release)
    return host
