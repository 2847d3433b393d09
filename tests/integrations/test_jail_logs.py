"""What a real jail writes, in a real rsyslogd that goes and comes, while its daemon is killed: every line, in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.v1 import jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import until as until_so
from tests.e2e.conftest import furnish, workshop
from tests.e2e.node import Node, hosted
from tests.integrations.test_rsyslog import free_port, rsyslog

__all__ = ["workshop"]
pytestmark = pytest.mark.real("rsyslogd", *LINUX_HOST)
KILLS = 3
WRITER = """
n=0
while :; do
  n=$((n+1))
  echo line $n of a jail that does not rest
  [ $((n % 100)) != 0 ] || sleep 0.1
done
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jaild-rsyslog-", dir="/var/tmp") as made:
        yield Path(made)


@pytest.fixture
def node(workshop: Path) -> Iterator[Node]:
    with hosted(Node("syslog")) as made:
        furnish(made.api, workshop)
        yield made


def taken(folder: Path) -> list[dict[str, Any]]:
    path = folder / "taken"
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [each for each in map(json.loads, whole.splitlines()) if each["programname"] == "front"]


def numbers(folder: Path) -> list[int]:
    return [int(each["msg"].split()[1]) for each in taken(folder)]


async def test_every_line_arrives_in_order_although_the_daemon_is_killed_and_the_receiver_goes(
    node: Node, folder: Path
) -> None:
    port = free_port()
    command = json.dumps(["/bin/sh", "-c", WRITER])
    to = json.dumps({"syslog": {"address": f"tcp://127.0.0.1:{port}", "facility": "local3", "tag": "front"}})
    spec = trees.spec("tiny-1", "web/1", command=command, health="[]", logs=to)
    await asyncio.to_thread(node.api.create, "edge-1", spec)
    uid = node.api.jail("edge-1").uid
    for _ in range(KILLS):
        async with rsyslog(folder, port):
            count = len(taken(folder))
            await asyncio.to_thread(until_so, lambda: len(taken(folder)) > count + 200)  # noqa: B023 -- called here
            node.kill()  # what it sent last may not be written down
            await asyncio.to_thread(node.start)
            count = len(taken(folder))
            await asyncio.to_thread(until_so, lambda: len(taken(folder)) > count + 200)  # noqa: B023
            # Killed, it would lose what it has read and not written, and nobody could know: syslog has no answer.
            os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
            await asyncio.to_thread(until_so, lambda: not (folder / "pid").exists())
    node.api.jails.StopJail(jails_pb2.StopJailRequest(name="jails/edge-1"))
    await asyncio.to_thread(until_so, lambda: not node.jail_processes("edge-1"))
    wrote = [
        int(line.split()[1]) for line in (node.folder / "log/edge-1.log").read_text().splitlines() if "rest" in line
    ]
    async with rsyslog(folder, port):
        await asyncio.to_thread(until_so, lambda: numbers(folder)[-1] == wrote[-1])
    found = numbers(folder)
    assert list(dict.fromkeys(found)) == list(range(1, wrote[-1] + 1))
    told = {(each["msg"].split()[1], each["structured-data"]) for each in taken(folder)}
    assert len(told) == wrote[-1]  # what came twice has its number twice
    for each in (taken(folder)[0], taken(folder)[-1]):
        assert (each["syslogfacility"], each["syslogseverity"]) == ("19", "6")  # local3, info
        assert (each["hostname"], each["procid"]) == ("syslog", uid)
        assert each["structured-data"].startswith('[meta sequenceId="')
    assert "of a jail that does not rest" in taken(folder)[0]["msg"]
