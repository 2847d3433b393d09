"""The states of `jaild` on a real minion: test mode is the daemon's plan, the second time there is nothing to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.node import Node
from tests.salt.bench import Bench

pytestmark = pytest.mark.real(*LINUX_HOST)

JAIL = "cache"
SPEC = yaml.safe_load(trees.spec("tiny-1", "web/1"))


class States:
    """States of the one minion, given as data."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def one(self, function: str, name: str, *, test: bool = False, **arguments: Any) -> Mapping[str, Any]:
        """Apply one state; return what it told."""
        given = {"name": name, "test": test, **arguments}
        told = self._bench.ask("solo", "state.single", f"jaild.{function}", kwarg=given)["solo"]
        assert isinstance(told, dict), told
        return dict(next(iter(told.values())))

    def twice(self, function: str, name: str, **arguments: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """See what would be done, do it, and see that there is nothing left; return the plan, and what was done."""
        planned = self.one(function, name, test=True, **arguments)
        assert planned["result"] is None, planned
        assert planned["changes"], planned
        again = self.one(function, name, test=True, **arguments)
        assert again["result"] is None, "test mode did something"
        done = self.one(function, name, **arguments)
        assert done["result"] is True, done
        assert done["changes"], done
        for test in (False, True):
            idle = self.one(function, name, test=test, **arguments)
            assert (idle["result"], idle["changes"]) == (True, {}), idle
        return planned, done


@pytest.fixture
def states(bench: Bench) -> States:
    return States(bench)


@pytest.fixture
def jail(states: States) -> Iterator[str]:
    made = states.one("jail_present", JAIL, spec=SPEC)
    assert made["result"] is True, made
    yield JAIL
    states.one("jail_absent", JAIL, force=True)


def test_a_file_of_states_makes_a_jail_of_its_parts_and_again_nothing(bench: Bench, node: Node) -> None:
    trees.base(bench.states / "tiny-3.tgz", "3")
    trees.release(bench.states / "web-4.tgz", "4")
    (bench.states / "release.yaml").write_text(yaml.safe_dump({"command": list(trees.COMMAND)}))
    (bench.states / "made.yaml").write_text(trees.spec("tiny-3", "web/4"))
    (bench.states / "host.sls").write_text(
        """
tiny-3: {jaild.base_present: [{source: salt://tiny-3.tgz}]}
stable: {jaild.channel: [{base: tiny-3}]}
web/4: {jaild.release_present: [{source: salt://web-4.tgz}, {manifest: salt://release.yaml}]}
made: {jaild.jail_present: [{spec: salt://made.yaml}]}
made runs: {jaild.jail_running: [{name: made}]}
"""
    )
    first, second = (bench.ask("solo", "state.apply", "host")["solo"] for _ in range(2))
    assert [each["result"] for each in first.values()] == [True] * 5, first
    assert [each["changes"] for each in second.values()] == [{}] * 5, second
    assert node.api.all_jails()["made"].release == "apps/web/releases/4"
    (bench.states / "gone.sls").write_text(
        """
made: {jaild.jail_absent: [{force: True}]}
stable: {jaild.channel_absent: []}
web/4: {jaild.release_absent: []}
tiny-3: {jaild.base_absent: []}
"""
    )
    gone, again = (bench.ask("solo", "state.apply", "gone")["solo"] for _ in range(2))
    assert [each["result"] for each in gone.values()] == [True] * 4, gone
    assert [each["changes"] for each in again.values()] == [{}] * 4, again


def test_a_jail_moves_on_each_axis_that_differs(states: States, jail: str) -> None:
    planned, done = states.twice("jail_present", jail, spec={**SPEC, "app": "web/2", "labels": {"team": "cdn"}})
    assert "deploy jails/cache" in planned["comment"]
    assert "configure jails/cache" in planned["comment"]
    release = {"old": "apps/web/releases/1", "new": "apps/web/releases/2"}
    assert planned["changes"]["release"] == done["changes"]["release"] == release
    assert done["changes"]["spec:labels"] == {"old": None, "new": {"team": "cdn"}}
    assert planned["changes"]["generation"] == done["changes"]["generation"] == {"old": 1, "new": 3}


def test_a_plan_that_is_refused_changes_nothing_and_says_why(states: States, jail: str, node: Node) -> None:
    for test in (True, False):
        told = states.one("jail_present", jail, test=test, spec={**SPEC, "app": "web/none"})
        assert (told["result"], told["changes"]) == (False, {})
        assert "RELEASE_NOT_FOUND" in told["comment"]
    assert node.api.all_jails()[jail].generation == 1


def test_a_change_that_is_not_healthy_is_undone_and_its_reason_told(states: States, jail: str, node: Node) -> None:
    told = states.one("jail_present", jail, spec={**SPEC, "app": "web/sick"})
    assert told["result"] is False
    assert "HEALTH_CHECK_FAILED" in told["comment"]
    assert node.api.all_jails()[jail].release == "apps/web/releases/1"


def test_a_jail_is_stopped_and_started(states: States, jail: str) -> None:
    _, stopped = states.twice("jail_stopped", jail)
    assert stopped["changes"]["state"] == {"old": "running", "new": "stopped"}
    _, started = states.twice("jail_running", jail)
    assert started["changes"]["state"] == {"old": "stopped", "new": "running"}


def test_a_host_is_drained_and_takes_jails_again(states: States) -> None:
    _, drained = states.twice("host_drained", "solo", reason="its fan")
    assert drained["changes"]["reason"] == {"old": None, "new": "its fan"}
    states.twice("host_undrained", "solo")


def test_a_layer_of_another_archive_is_no_news(states: States, tmp_path: Path) -> None:
    told = states.one("base_present", "tiny-1", source=str(tmp_path / "none"), sha256="0" * 64)
    assert told["result"] is False
    assert "another name" in told["comment"]
