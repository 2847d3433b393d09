"""Daemons of stubs, and the page about them as a browser asks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from jaild import client
from jaild.v1 import host_pb2, jails_pb2
from jaild.web.app import build
from jaild.web.gate import Keys
from jaild.web.site import Fleet
from tests.unit.web.daemon import Daemon

PORT = 8420
ORIGIN = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="web-") as made:  # a unix socket's path must be short
        yield Path(made)


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    """A host alpha with the jail web, that runs."""
    made = Daemon(f"{folder}/alpha.sock")
    made.answers["GetHost"] = host_pb2.HostInfo(name="alpha", version="0.1.0", jails=1, running=1)
    jails = [
        jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_RUNNING, base="bases/debian-12", owner="alpha")
    ]
    made.answers["ListJails"] = jails_pb2.ListJailsResponse(jails=jails)
    made.answers["GetJail"] = jails[0]
    made.start()
    yield made
    made.stop()


@dataclass
class Browser:
    """One who has opened the page with its token. `root` is the page's own address."""

    http: TestClient
    fleet: Fleet
    keys: Keys
    root: str = ""

    def open(self) -> None:
        answer = self.http.get("/", params={"token": self.keys.token})
        assert answer.status_code == 200, answer.text
        self.root = str(answer.url.path)

    def text(self, path: str = "", status: int = 200) -> str:
        answer = self.http.get(f"{self.root}{path}")
        assert answer.status_code == status, answer.text
        return str(answer.text)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for news until something is so."""
        assert self.http.portal is not None
        while not condition():
            self.http.portal.call(self.fleet.news.wait, 10.0)


@pytest.fixture
def fleet(daemon: Daemon, folder: Path) -> Fleet:
    """The daemon, and one that is not there."""
    daemons = {"alpha": daemon.address, "beta": f"unix://{folder}/none.sock"}
    return Fleet([(name, partial(client.connect_aio, address)) for name, address in daemons.items()])


@pytest.fixture
def browser(fleet: Fleet) -> Iterator[Browser]:
    """A browser, when both sites were asked."""
    keys = Keys()
    with TestClient(build(fleet, keys), base_url=ORIGIN) as http:
        made = Browser(http, fleet, keys)
        alpha, beta = fleet.sites
        made.until(lambda: alpha.asked and beta.trouble)
        made.open()
        yield made
