"""templates/salt/jaild on a real master: a pool that degrades empties its host, and people are told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.conftest import furnish
from tests.e2e.pair import JAIL, Pair, paired
from tests.salt.bench import Bench, running
from tests.salt.conftest import minion
from tests.salt.reacting import Alerts, configured, copied, degraded, webhook
from tests.salt.states import States

pytestmark = pytest.mark.real(*LINUX_HOST)

NAME = "web"


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        made.alpha.api.create(NAME, trees.spec("tiny-1", "web/1", network=f"{{mode: vnet, addresses: [{JAIL}]}}"))
        yield made


@pytest.fixture(scope="module")
def alerts() -> Iterator[Alerts]:
    with webhook() as made:
        yield made


@pytest.fixture(scope="module")
def hosts(pair: Pair, alerts: Alerts) -> Iterator[Bench]:
    """A master as the template configures it, but for the names of this test's hosts."""
    master = configured("jaild-reactor.conf")
    own = {"alerts": alerts.url, "builders": ["alpha"], "canaries": "beta", "hosts": "alpha or beta"}
    master["jaild"] |= {**own, "rollout": {"soak": 1}, "rollouts": {"look": 1}}
    minions = {node.name: minion(node) for node in (pair.alpha, pair.beta)}
    with running(minions, master) as made:
        copied(made)
        yield made


def test_a_pool_that_degrades_empties_its_host_and_people_are_told(hosts: Bench, pair: Pair, alerts: Alerts) -> None:
    with degraded(pair.alpha):
        assert alerts.next() == f"alpha: {pair.alpha.pool} is DEGRADED"
        assert alerts.next() == "alpha: 1 of 1 moved"
        assert pair.running_on(NAME) == ["beta"]
        host = hosts.ask("alpha", "jaild.get_host")["alpha"]
        assert host["drain"]["reason"] == f"{pair.alpha.pool} is DEGRADED"
    hosts.ask("alpha", "jaild.undrain_host")


def test_what_a_host_cannot_say_itself_is_told_too(hosts: Bench, pair: Pair, alerts: Alerts) -> None:
    pair.beta.signal(signal.SIGTERM)
    try:
        asked = {"host": "beta", "reason": "its fan"}
        hosts.run("state.orchestrate", "jaild.orch.evacuate", pillar=asked)
        assert alerts.next().startswith("beta: its fan, and not all of its jails have left it")
    finally:
        pair.beta.start()


def test_a_base_that_a_builder_seals_is_tried_and_rolled_out_to_who_follows_the_channel(
    hosts: Bench, pair: Pair, alerts: Alerts, workshop: Path
) -> None:
    taken = States(hosts, "beta").one("base_present", "tiny-1", peer="alpha")  # unless a jail has brought it along
    assert taken["result"] is True, taken  # and what beta seals starts nothing
    for name in ("alpha", "beta"):
        hosts.ask(name, "jaild.set_channel", "stable", "tiny-1")
    serve = {"command": '[/bin/sleep, "100000"]', "health": "[]", "network": "{mode: none}"}
    followers = {pair.beta: "tried-first", pair.alpha: "then-all"}
    for node, jail in followers.items():
        node.api.create(jail, trees.spec("tiny-1", **serve).replace("base: tiny-1", "channel: stable"))
    pair.alpha.api.import_base("tiny-2", trees.base(workshop / "tiny-2.tgz", "2"))
    assert alerts.next() == "alpha: its base tiny-2 is rolled out"
    assert {node.api.all_jails()[jail].base for node, jail in followers.items()} == {"bases/tiny-2"}
    guids = {
        node.zfs("get", "-H", "-o", "value", "guid", f"{node.pool}/jaild/bases/tiny-2@sealed")
        for node in (pair.alpha, pair.beta)
    }
    assert len(guids) == 1, "the same one on both"
    for node, jail in followers.items():
        node.api.delete(jail)
