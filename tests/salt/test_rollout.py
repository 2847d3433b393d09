"""The runner `jaild_rollout` over three real hosts: canaries and racks, one that fails, and a master that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jaild.v1 import rollouts_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.conftest import MANIFEST
from tests.e2e.node import Node, hosted
from tests.salt.bench import SECONDS, Bench, running
from tests.salt.conftest import minion

pytestmark = pytest.mark.real(*LINUX_HOST)

RACKS = {"north-1": "r1", "north-2": "r1", "north-3": "r2"}
JAIL = "web-{}"
POLICY = {"canaries": ["north-1"], "max_parallel": 3, "soak": 1, "each": {"soak": 0.5}}


@pytest.fixture(scope="module")
def nodes(workshop: Path) -> Iterator[dict[str, Node]]:
    """Three hosts with bases and releases."""
    with ExitStack() as stack:
        made = {name: stack.enter_context(hosted(Node(name))) for name in RACKS}
        base = trees.base(workshop / "tiny.tgz")  # the same for all, which is seen to
        for node in made.values():
            node.api.import_base("tiny-1", base)
        for version in ("1", "2", "sick"):
            archive = trees.release(workshop / f"{version}.tgz", version, healthy=version != "sick")
            for node in made.values():
                node.api.push(f"web/{version}", archive, manifest=MANIFEST)
        yield made


@pytest.fixture(scope="module")
def fleet(nodes: dict[str, Node]) -> Iterator[Bench]:
    """Their minions, and a master that asks them every second."""
    places = {name: {"grains": {"site": "north", "rack": rack}} for name, rack in RACKS.items()}
    minions = {name: {**minion(node), **places[name]} for name, node in nodes.items()}
    with running(minions, {"jaild": {"rollouts": {"look": 1.0, "silent": 2.0, "patience": 10.0}}}) as made:
        yield made


@pytest.fixture(autouse=True)
def jails(nodes: dict[str, Node]) -> Iterator[None]:
    """A jail of web/1 on each."""
    for name, node in nodes.items():
        node.api.create(JAIL.format(name), trees.spec("tiny-1", "web/1"))
    yield
    for name, node in nodes.items():
        node.api.delete(JAIL.format(name))


def releases(nodes: dict[str, Node]) -> dict[str, str]:
    return {name: node.api.all_jails()[JAIL.format(name)].release for name, node in nodes.items()}


def own_rollouts(node: Node) -> list[Any]:
    return list(node.api.rollouts.ListRollouts(rollouts_pb2.ListRolloutsRequest(), timeout=SECONDS).rollouts)


def test_a_rollout_goes_over_three_hosts_and_ends_with_what_runs_where(fleet: Bench, nodes: dict[str, Node]) -> None:
    planned = fleet.run("jaild_rollout.start", "*", release="web/2", test=True, **POLICY)
    assert planned["waves"]["canaries"]["north-1"]["jails"] == {"web-north-1": "web/1 -> web/2"}
    assert sorted(planned["waves"]["wave 1 (north)"]) == ["north-2", "north-3"]
    assert fleet.run("jaild_rollout.list") == {}
    assert {*releases(nodes).values()} == {"apps/web/releases/1"}

    told = fleet.run("jaild_rollout.start", "*", release="web/2", **POLICY)
    assert (told.get("state"), told.get("hosts")) == ("done", {"done": 3}), told
    assert {*releases(nodes).values()} == {"apps/web/releases/2"}
    runs = fleet.run("jaild_rollout.runs", told["rollout"])["hosts"]
    there = {name: runs[name][JAIL.format(name)] for name in RACKS}
    assert {jail["release"] for jail in there.values()} == {"web/2"}
    assert all(jail["release_guid"] and jail["base_guid"] for jail in there.values())
    again = fleet.run("jaild_rollout.start", "*", release="web/2")
    assert (again["state"], again["hosts"]) == ("done", {"skipped": 3}), "all of them are where they are to go"

    undone = fleet.run("jaild_rollout.undo", told["rollout"])
    assert undone["state"] == "undone", undone
    assert {*releases(nodes).values()} == {"apps/web/releases/1"}


def test_a_canary_that_fails_stops_it_before_the_others(fleet: Bench, nodes: dict[str, Node]) -> None:
    before = {name: len(own_rollouts(node)) for name, node in nodes.items()}
    told = fleet.run("jaild_rollout.start", "*", release="web/sick", **POLICY)
    assert (told.get("state"), told.get("why")) == ("paused", "1 of the canaries failed"), told
    assert told["hosts"] == {"undone": 1, "waiting": 2}
    assert "HEALTH_CHECK_FAILED" in told["trouble"][0]
    assert {*releases(nodes).values()} == {"apps/web/releases/1"}
    assert [len(own_rollouts(node)) - before[name] for name, node in nodes.items()] == [1, 0, 0]
    assert fleet.run("jaild_rollout.cancel", told["rollout"])["state"] == "cancelled"


def test_a_master_that_is_killed_in_mid_wave_goes_on_and_does_no_host_twice(
    fleet: Bench, nodes: dict[str, Node]
) -> None:
    before = {name: len(own_rollouts(node)) for name, node in nodes.items()}
    with started(fleet, "jaild_rollout.start", "*", "release=web/2", "soak=3", "max_parallel=1", "each={soak: 1}"):
        until(lambda: any(len(own_rollouts(node)) > before[name] for name, node in nodes.items()))
    fleet.master.kill()
    assert [*releases(nodes).values()].count("apps/web/releases/2") < 3
    fleet.master.start()
    fleet.await_minions()
    rollout, *_ = fleet.run("jaild_rollout.list")
    told = fleet.run("jaild_rollout.status", rollout)
    assert told["carried_out_by"].startswith("nobody: salt-run jaild_rollout.go_on")
    went_on = fleet.run("jaild_rollout.go_on")[rollout]
    assert (went_on["state"], went_on["hosts"]) == ("done", {"done": 3}), went_on
    assert {*releases(nodes).values()} == {"apps/web/releases/2"}
    assert {name: len(own_rollouts(node)) - before[name] for name, node in nodes.items()} == dict.fromkeys(RACKS, 1)


@contextmanager
def started(bench: Bench, *words: str) -> Iterator[None]:
    """Run a runner as a process, as its operator does; kill it without a word."""
    program = Path(sys.executable).with_name("salt-run")
    command = [str(program), f"--config-dir={bench.master.folder}", *words]
    with (bench.folder / "runner.log").open("ab") as log:
        runner = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    except BaseException as error:
        error.add_note((bench.folder / "runner.log").read_text())
        raise
    finally:
        os.killpg(runner.pid, signal.SIGKILL)
        runner.wait(SECONDS)


def until(happened: Callable[[], bool]) -> None:
    """Wait for something on a host, where nothing tells of it."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)
