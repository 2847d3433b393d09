"""The execution module `jaild` on a real minion: the whole API, plain data, refusals with reason and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.node import Node
from tests.salt.bench import Bench

pytestmark = pytest.mark.real(*LINUX_HOST)

SPEC = {"base": "tiny-1", "app": "web/1", "network": {"mode": "none"}}


@pytest.fixture
def jail(bench: Bench) -> Iterator[str]:
    name = "edge"
    made = bench.ask("solo", "jaild.create_jail", name, SPEC)["solo"]
    assert made["response"]["state"] == "running", made
    yield name
    bench.ask("solo", "jaild.delete_jail", name, "force=True")


def test_a_jail_is_created_changed_looked_into_and_deleted(bench: Bench, jail: str) -> None:
    deployed = bench.ask("solo", "jaild.deploy_release", jail, "web/2")["solo"]
    assert deployed["response"]["release"] == "apps/web/releases/2"
    assert deployed["downtime"] > 0
    assert bench.ask("solo", "jaild.deploy_release", jail, "web/2")["solo"]["unchanged"] is True
    assert bench.ask("solo", "jaild.exec_in_jail", jail, "cat /usr/local/version; echo oh >&2; exit 3")["solo"] == {
        "retcode": 3,
        "stdout": "version 2\n",
        "stderr": "oh\n",
    }
    assert [each["name"] for each in bench.ask("solo", "jaild.list_jails")["solo"]] == [f"jails/{jail}"]
    assert bench.ask("solo", "jaild.get_generation", f"{jail}/1")["solo"]["release"] == "apps/web/releases/1"


def test_a_plan_is_shown_with_its_problems_and_nothing_is_changed(bench: Bench, jail: str) -> None:
    planned = bench.ask("solo", "jaild.deploy_release", jail, "web/2", "validate_only=True")["solo"]
    assert planned["plan"]["kind"] == "deploy"
    assert planned["plan"]["to_generation"] == 2
    assert bench.ask("solo", "jaild.get_jail", jail)["solo"]["generation"] == 1


def test_values_of_environments_are_not_left_on_the_master(bench: Bench, node: Node, jail: str) -> None:
    node.api.configure(jail, trees.spec("tiny-1", "web/1", environment="{KEY: s3cr3t}"))
    for function, *words in (
        ("get_jail", jail),
        ("list_jails",),
        ("get_generation", f"{jail}/2"),
        ("list_generations", jail),
        ("compare_generations", jail),
        ("restart_jail", jail),
        ("list_jail_history", jail),
    ):
        told = bench.full("solo", f"jaild.{function}", *words)["solo"]
        assert told["retcode"] == 0, told
        kept = bench.run("jobs.lookup_jid", told["jid"])
        assert kept, "the master keeps nothing"
        assert "s3cr3t" not in f"{told}{kept}", function
    asked = bench.ask("solo", "jaild.get_jail", jail, "secrets=True")["solo"]
    assert asked["spec"]["environment"] == {"KEY": "s3cr3t"}


def test_a_refusal_tells_reason_and_remedy(bench: Bench) -> None:
    told = bench.full("solo", "jaild.get_jail", "nowhere")["solo"]
    assert told["retcode"] != 0
    assert "(JAIL_NOT_FOUND)" in told["ret"]
    assert "hint: " in told["ret"]


def test_what_is_no_argument_and_who_is_no_context_is_said(bench: Bench) -> None:
    assert "(INVALID_FILTER)" in bench.ask("solo", "jaild.list_jails", "filter=BAD")["solo"]
    assert "min_age" in bench.ask("solo", "jaild.prune_bases", "min_age=soon")["solo"]
    assert "no jaild:contexts:nowhere" in bench.ask("solo", "jaild.list_jails", "context=nowhere")["solo"]


def test_a_base_comes_from_the_master_and_a_release_from_the_minion(bench: Bench, node: Node, tmp_path: Path) -> None:
    trees.base(bench.states / "tiny-2.tgz", "2")
    made = bench.ask("solo", "jaild.import_base", "tiny-2", "salt://tiny-2.tgz")["solo"]
    assert made["response"]["version"] == "2"
    archive = trees.release(tmp_path / "web-3.tgz", "3")
    manifest = {"command": list(trees.COMMAND)}
    pushed = bench.ask("solo", "jaild.push_release", "web/3", str(archive), manifest)["solo"]
    assert pushed["response"]["name"] == "apps/web/releases/3"
    assert "tiny-2" in node.api.names_of_bases()
    for function, name in (("jaild.delete_release", "web/3"), ("jaild.delete_base", "tiny-2")):
        assert bench.ask("solo", function, name)["solo"]["response"] == {}


def test_every_method_is_a_function_that_says_what_it_does(bench: Bench) -> None:
    told = bench.ask("solo", "sys.doc", "jaild")["solo"]
    assert "jaild.migrate_jail" in told
    assert all(text and "CLI Example:" in text for text in told.values()), [
        name for name, text in told.items() if not text
    ]
