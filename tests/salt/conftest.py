"""What the tests on a real Salt share: a host with a base and an app, its minion, and a master; three such hosts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted
from tests.e2e.pair import joined
from tests.salt.bench import Bench, running
from tests.salt.fleet import GAMMA, Fleet, Hosts, spread


def pytest_configure() -> None:
    """Let a SIGTERM end the run as Ctrl-C does: masters, minions and hosts are ended first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where archives are made."""
    return tmp_path_factory.mktemp("archives")


@pytest.fixture(scope="session")
def node(workshop: Path) -> Iterator[Node]:
    """A host with base tiny-1 and releases web/1 and web/2, web/sick not healthy."""
    with hosted(Node("solo")) as made:
        furnish(made.api, workshop)
        yield made


@pytest.fixture(scope="session")
def bench(node: Node) -> Iterator[Bench]:
    """A master and the host's minion."""
    with running({"solo": minion(node)}) as made:
        yield made


@pytest.fixture(scope="session")
def hosts(workshop: Path) -> Iterator[Hosts]:
    """Three hosts, peers of each other by TLS, each with base tiny-1 and releases web/1, web/2 and web/sick."""
    with joined({"gamma": GAMMA}) as (nodes, _):
        made = Hosts(**nodes)
        furnish(made.alpha.api, workshop)
        spread(made)
        yield made


@pytest.fixture(scope="session")
def minions(hosts: Hosts) -> Iterator[Bench]:
    """A master, and a minion on each of the three hosts."""
    with running({node.name: minion(node) for node in hosts.all}) as made:
        yield made


@pytest.fixture
def fleet(hosts: Hosts, minions: Bench) -> Iterator[Fleet]:
    """The three with their minions; afterwards they have no jails and take some."""
    yield Fleet(hosts, minions)
    hosts.clear()


def minion(node: Node) -> dict[str, Any]:
    """The configuration of a host's minion."""
    return {
        "jaild": {"address": f"unix://{node.folder}/jaild.sock"},
        "engines": [{"jaild": {"resources": True}}],
        "mine_functions": {"jaild.summary": []},
    }
