"""Hosts to try the use cases on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.host import FakeHost
from tests.fakes.threads import done_at_once


@pytest.fixture(autouse=True)
def threadless(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the hosts do without threads, but where a test asks for `threads`."""
    with pytest.MonkeyPatch.context() as patch:  # its own: a test may undo those that it made
        if "threads" not in request.fixturenames:
            patch.setattr(asyncio.BaseEventLoop, "run_in_executor", done_at_once)
        yield


@pytest.fixture
def threads() -> None:
    """Let threads be threads: for what is about one that waits."""


@pytest.fixture
def quick_path(tmp_path: Path) -> Path:
    """The same: where a matrix says that it needs it."""
    return tmp_path


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
