"""The states of `jaild` on a real minion: test mode is the daemon's plan, the second time there is nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import salt.config
import salt.loader
import yaml

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.conftest import MANIFEST
from tests.e2e.node import Node
from tests.salt.bench import Bench
from tests.salt.states import States

pytestmark = pytest.mark.real(*LINUX_HOST)

JAIL = "cache"
SPEC = yaml.safe_load(trees.spec("tiny-1", "web/1"))


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


def test_test_mode_is_the_daemons_plan_word_for_word(bench: Bench, states: States, jail: str) -> None:
    wanted = {**SPEC, "labels": {"team": "cdn"}}
    told = states.one("jail_present", jail, test=True, spec=wanted)
    asked = bench.ask("solo", "jaild.configure_jail", kwarg={"name": jail, "spec": wanted, "validate_only": True})
    plan = asked["solo"]["plan"]
    changes = [f"  {each['field']}: {each.get('before', 'nothing')} -> {each['after']}" for each in plan["changes"]]
    steps = [f"  {step}" for step in plan["steps"]]
    assert told["comment"].splitlines() == [f"configure jails/{jail}", *steps, *changes]


def test_what_is_not_to_be_there_goes_and_again_nothing(states: States, node: Node, workshop: Path) -> None:
    node.api.import_base("tiny-5", trees.base(workshop / "tiny-5.tgz", "5"))
    node.api.push("web/5", trees.release(workshop / "web-5.tgz", "5"), manifest=MANIFEST)
    assert states.one("channel", "edge", base="tiny-5")["result"] is True
    assert states.one("jail_present", "gone", spec={**SPEC, "base": "tiny-5", "app": "web/5"})["result"] is True
    for function, name, arguments in (
        ("jail_absent", "gone", {"force": True}),
        ("channel_absent", "edge", {}),
        ("release_absent", "web/5", {}),
        ("base_absent", "tiny-5", {}),
    ):
        planned, done = states.twice(function, name, **arguments)
        assert planned["changes"] == done["changes"] == {name: {"old": "present", "new": None}}


def test_what_is_in_use_stays_and_by_what_is_said(states: States, jail: str) -> None:
    for test in (True, False):
        for function, name, user in (("base_absent", "tiny-1", jail), ("release_absent", "web/1", jail)):
            told = states.one(function, name, test=test)
            assert (told["result"], told["changes"]) == (False, {})
            assert f"jails/{user}" in told["comment"]
        told = states.one("jail_absent", jail, test=test)
        assert told["result"] is False, "it runs, and was not to be stopped for that"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("jail_present", {"spec": {**SPEC, "labels": {"team": "cdn"}}}),
        ("jail_present", {"spec": {**SPEC, "app": "web/2", "labels": {"team": "cdn"}}}),
    ],
)
def test_what_somebody_else_changed_meanwhile_is_told_and_not_overwritten(
    bench: Bench, node: Node, jail: str, function: str, arguments: dict[str, Any]
) -> None:
    other = {**SPEC, "labels": {"team": "web"}}

    def quicker(configure: Callable[..., Any]) -> Callable[..., Any]:
        def called(**given: Any) -> Any:
            if not given.get("validate_only"):
                spec = {**other, "app": node.api.all_jails()[jail].spec.app}
                node.api.configure(jail, yaml.safe_dump(spec))
            return configure(**given)

        return called

    told = with_function(bench, "configure_jail", quicker)[f"jaild.{function}"](jail, **arguments)
    assert told["result"] is False
    assert "(ETAG_MISMATCH)" in told["comment"]
    assert dict(node.api.all_jails()[jail].spec.labels) == {"team": "web"}


def with_function(bench: Bench, name: str, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Any:
    """The states as the minion's Salt loads them, in this process, with one function that is another one."""
    options = salt.config.minion_config(str(bench.minions["solo"].configured))
    functions = salt.loader.minion_mods(options)
    own = {each: functions[each] for each in functions if each.startswith("jaild.")}
    own[f"jaild.{name}"] = change(own[f"jaild.{name}"])
    return salt.loader.states(options, own, salt.loader.utils(options), salt.loader.serializers(options))


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
