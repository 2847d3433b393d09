"""No callback of the daemon's loop takes long: each story here, and those of every module that shares `node`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, codes, refused
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)
LOOPWATCH = Path(__file__).parents[1] / "loopwatch"


def alike(seed: int) -> str:
    """A text whose lines are few and often there: half a second to compare with another."""
    random = Random(seed)  # noqa: S311
    return "".join(f"{random.randrange(120)}\n" for _ in range(13_000))


def test_a_merge_of_what_root_in_a_jail_wrote_does_not_hold_the_daemon_up(
    api: Client, node: Node, tmp_path: Path
) -> None:
    for number in (1, 2):
        archive = trees.base(tmp_path / f"alike-{number}.tgz", str(number), {"alike.conf": alike(number)})
        api.import_base(f"alike-{number}", archive)
    api.create("edge-1", trees.spec("alike-1", "web/1"))
    try:
        lines = json.dumps(alike(3).split())[1:-1].replace('"', "").replace(",", "")
        api.sh("edge-1", f"for n in {lines}; do echo $n; done > /etc/alike.conf")
        with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
            api.upgrade("edge-1", "alike-2")
        assert codes(refusal.value) == ["MERGE_TOO_COSTLY"]
    finally:
        api.delete("edge-1")
    assert node.busy() == []


def test_yaml_without_end_does_not_hold_the_daemon_up(api: Client, node: Node) -> None:
    text = "labels: {" + ", ".join(f"k{number}: v" for number in range(9000)) + "}"
    with refused(InvalidArgumentError, "INVALID_SPEC"):
        api.create("edge-1", text)
    assert node.busy() == []


def test_the_watch_sees_a_loop_that_computes_and_not_one_that_waits(tmp_path: Path) -> None:
    program = """
import asyncio, time
async def waits(): time.sleep(0.1)
async def computes():
    end = time.thread_time() + 0.06
    while time.thread_time() < end: pass
async def main():
    await asyncio.create_task(waits())
    await asyncio.create_task(computes())
asyncio.run(main())
"""
    log = tmp_path / "loop.log"
    surroundings = os.environ | {"PYTHONPATH": str(LOOPWATCH), "JAILD_TESTS_LOOP": str(log)}
    subprocess.run([sys.executable, "-c", program], env=surroundings, check=True)
    (line,) = log.read_text().splitlines()
    assert int(line.split()[0]) >= 60
    assert "computes()" in line
