"""States about more than one host: bases of a peer, replicas, hosts that are emptied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import until
from tests.salt.fleet import Fleet, network
from tests.salt.states import States

pytestmark = pytest.mark.real(*LINUX_HOST)

JAIL = "edge"


def guid(fleet: Fleet, host: str, base: str) -> Any:
    return fleet.bench.ask(host, "jaild.get_base", base)[host]["guid"]


def test_a_base_of_a_peer_is_the_same_one(fleet: Fleet, workshop: Path) -> None:
    fleet.hosts.alpha.api.import_base("tiny-7", trees.base(workshop / "tiny-7.tgz", "7"))
    states = States(fleet.bench, "beta")
    planned, _ = states.twice("base_present", "tiny-7", peer="alpha")
    assert "fetch bases/tiny-7 from alpha" in planned["comment"]
    assert guid(fleet, "alpha", "tiny-7") == guid(fleet, "beta", "tiny-7")
    refused = states.one("base_present", "tiny-8", peer="alpha")
    assert refused["result"] is False
    assert "BASE_NOT_FOUND" in refused["comment"]
    for host in ("beta", "alpha"):
        States(fleet.bench, host).twice("base_absent", "tiny-7")


def test_a_jail_has_replicas_and_has_none_again(fleet: Fleet) -> None:
    alpha, beta = fleet.hosts.alpha, fleet.hosts.beta
    alpha.api.create(JAIL, trees.spec("tiny-1", "web/1", network=network(1)))
    states = States(fleet.bench, "alpha")
    planned, done = states.twice("standby", JAIL, peers=["beta"], interval=5)
    assert planned["changes"]["spec:standby"] == done["changes"]["spec:standby"]
    assert done["changes"]["spec:standby"] == {"old": None, "new": {"peers": ["beta"], "interval": 5.0}}
    until(lambda: JAIL in beta.api.names_of_jails())
    _, moved = states.twice("standby", JAIL, peers=["gamma"], interval=5)
    assert moved["changes"]["spec:standby"]["new"]["peers"] == ["gamma"]
    _, none = states.twice("standby_absent", JAIL)
    assert none["changes"]["spec:standby"]["new"] is None
    until(lambda: all(JAIL not in node.api.names_of_jails() for node in (beta, fleet.hosts.gamma)))


def test_a_host_is_drained_and_emptied_and_takes_jails_again(fleet: Fleet) -> None:
    fleet.hosts.alpha.api.create(JAIL, trees.spec("tiny-1", "web/1", network=network(1)))
    states = States(fleet.bench, "alpha")
    planned, done = states.twice("host_drained", "alpha", reason="its fan", evacuate=True)
    assert f"jails/{JAIL}" in planned["comment"] or JAIL in planned["comment"]
    assert planned["changes"] == done["changes"]
    assert done["changes"]["jails"] == {"old": 1, "new": 0}
    assert done["changes"]["reason"] == {"old": None, "new": "its fan"}
    owner = fleet.hosts.owner(JAIL)
    assert owner is not fleet.hosts.alpha
    assert fleet.hosts.running_on(JAIL) == [owner.name]
    states.twice("host_undrained", "alpha")
