"""A real jail that goes on writing while its log is put away and its daemon is killed: every line, once, in order."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.v1 import jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import until
from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted

pytestmark = pytest.mark.real(*LINUX_HOST)
# Bursts of lines, as fast as a shell is, and a rest after each that lets others come along.
WRITER = """
n=0
while :; do
  n=$((n+1))
  echo line $n of a jail that says the same over and over again, so that it is a long one
  [ $((n % 2000)) != 0 ] || sleep 0.1
done
"""
PARTS = 3


@pytest.fixture
def node(workshop: Path) -> Iterator[Node]:
    made = Node("rotation")
    made.config["log_rotation"] = {"size": "1M", "keep": "64M"}
    with hosted(made):
        furnish(made.api, workshop)
        yield made


def parts(node: Node) -> list[Path]:
    return sorted((node.folder / "log").glob("edge-1.log.*.gz"))


def test_no_line_is_lost_or_told_twice(node: Node) -> None:
    command = json.dumps(["/bin/sh", "-c", WRITER])
    node.api.create("edge-1", trees.spec("tiny-1", "web/1", command=command, health="[]"))
    log = node.folder / "log/edge-1.log"
    follow = node.api.jails.TailLogs(jails_pb2.TailLogsRequest(name="jails/edge-1", follow=True))
    pieces = []
    for piece in follow:
        pieces.append(piece.data)
        if len(parts(node)) >= PARTS:
            break
    follow.cancel()
    followed = b"".join(pieces)
    node.kill()
    api = node.start()
    until(lambda: len(parts(node)) > PARTS)
    api.jails.StopJail(jails_pb2.StopJailRequest(name="jails/edge-1"))
    until(lambda: not node.jail_processes("edge-1"))
    size = log.stat().st_size
    assert log.stat().st_blocks * 512 < size / 2
    whole = b"".join(piece.data for piece in api.jails.TailLogs(jails_pb2.TailLogsRequest(name="jails/edge-1")))
    assert len(whole) == size
    assert whole.startswith(followed)
    said = [int(line.split()[1]) for line in whole.splitlines() if line.endswith(b"one")]
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(said))
    assert said[0] == 1
    away = b"".join(gzip.decompress(part.read_bytes()) for part in parts(node))
    assert whole.startswith(away)
    last = jails_pb2.TailLogsRequest(name="jails/edge-1", lines=30_000)
    assert b"".join(piece.data for piece in api.jails.TailLogs(last)).count(b"\n") == 30_000
