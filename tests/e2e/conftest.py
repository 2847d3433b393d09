"""What the tests on real daemons share: a host with a base and an app, one to a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.v1 import apps_pb2
from tests.e2e import trees
from tests.e2e.client import Client
from tests.e2e.node import Node, hosted

MANIFEST = apps_pb2.Manifest(command=trees.COMMAND)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's archives are made."""
    return tmp_path_factory.mktemp("archives")


@pytest.fixture(scope="module")
def node(workshop: Path) -> Iterator[Node]:
    """A host with base tiny-1 and releases web/1 and web/2, web/sick not healthy."""
    with hosted(Node("solo")) as made:
        furnish(made.api, workshop)
        yield made
        assert made.busy() == []  # whatever the module's stories made the daemon do


def furnish(api: Client, workshop: Path) -> None:
    api.import_base("tiny-1", trees.base(workshop / "tiny-1.tgz"))
    for version in ("1", "2", "sick"):
        archive = trees.release(workshop / f"web-{version}.tgz", version, healthy=version != "sick")
        api.push(f"web/{version}", archive, manifest=MANIFEST)


@pytest.fixture
def api(node: Node) -> Client:
    return node.api


@pytest.fixture
def jail(node: Node) -> Iterator[str]:
    """A running jail of tiny-1 and web/1, gone afterwards."""
    name = "edge-1"
    node.api.create(name, trees.spec("tiny-1", "web/1"))
    yield name
    if name in node.api.names_of_jails():
        node.api.delete(name)
