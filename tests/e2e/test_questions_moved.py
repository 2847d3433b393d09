"""A jail that moved between two real hosts: both know of the move, and its layers are looked at where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.v1 import contents_pb2, histories_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import Pair, paired

pytestmark = pytest.mark.real(*LINUX_HOST)


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        yield made


def told(node: Node) -> list[tuple[str, str, str, str, bool]]:
    request = histories_pb2.ListJailHistoryRequest(parent="jails/moves")
    entries = node.api.call(node.api.histories.ListJailHistory, request).entries
    return [(each.kind, each.outcome, each.source, each.target, each.HasField("downtime")) for each in entries]


def test_both_hosts_tell_of_a_move_and_the_index_of_its_layers_came_along(pair: Pair) -> None:
    pair.alpha.api.create("moves", trees.spec("tiny-1", "web/1"))
    pair.alpha.api.migrate("moves", "beta")
    moved = ("migrate", "done", "alpha", "beta", True)
    for node in (pair.alpha, pair.beta):
        assert told(node) == [moved, ("create", "done", "", "", False)]
    found = list(pair.beta.api.contents.FindContents(contents_pb2.FindContentsRequest(file="/usr/local/serve")))
    assert [(each.layer, [use.jail for use in each.uses], each.not_indexed) for each in found] == [
        ("apps/web/releases/1", ["jails/moves"], "")
    ]
    assert not list((pair.beta.folder / "state" / "contents").glob("*"))
    for node in (pair.alpha, pair.beta):
        node.api.delete("moves")
