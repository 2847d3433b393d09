"""Replicas between two real hosts: promoted as planned, taken over after a power cut, and who waits for whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.v1 import jails_pb2, promotions_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import metadata, refused, until
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import JAIL, Pair, paired
from tests.e2e.test_migration import WRITER, none_is_lost, numbers

pytestmark = pytest.mark.real(*LINUX_HOST)
RUNNING, STANDBY = jails_pb2.Jail.STATE_RUNNING, jails_pb2.Jail.STATE_STANDBY
FENCED, WAITING = jails_pb2.Jail.STATE_FENCED, jails_pb2.Jail.STATE_WAITING
NAME = "edge-1"


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        yield made


@pytest.fixture
def jail(pair: Pair) -> Iterator[str]:
    """A jail on alpha that writes numbers, with a whole replica on beta; gone from both hosts afterwards."""
    network = f"{{mode: vnet, addresses: [{JAIL}]}}"
    command = json.dumps(["/bin/sh", "-c", WRITER])
    standby = "{peers: [beta], interval: 4}"
    pair.alpha.api.create(NAME, trees.spec("tiny-1", "web/1", command=command, network=network, standby=standby))
    until(lambda: is_whole(pair.beta))
    yield NAME
    for node in (pair.alpha, pair.beta):
        for name in node.api.names_of_jails():
            node.api.delete(name)
        assert [name for name in node.traces()["datasets"] if name.startswith("/jails/")] == []
        assert node.jail_processes() == []


def shown(node: Node) -> jails_pb2.Jail:
    return node.api.jail(NAME)


def is_whole(node: Node) -> bool:
    """Whether a node has a replica with a recovery point."""
    if NAME not in node.api.names_of_jails():
        return False
    jail = shown(node)
    return jail.state == STANDBY and any(s.HasField("recovery_point_time") for s in jail.standbys)


def test_a_replica_follows_its_jail_and_is_shown_on_both_hosts(pair: Pair, jail: str) -> None:
    alpha, beta = pair.alpha, pair.beta
    first = shown(beta).standbys[0].recovery_point_time.ToNanoseconds()
    until(lambda: shown(beta).standbys[0].recovery_point_time.ToNanoseconds() > first)
    assert (shown(beta).standbys[0].host, shown(beta).owner) == ("alpha", "alpha")
    assert [(s.host, s.interval) for s in shown(alpha).standbys] == [("beta", 4.0)]
    assert pair.running_on(jail) == ["alpha"]
    assert beta.zfs("get", "-H", "-o", "value", "readonly", f"{beta.pool}/jaild/jails/{jail}/data").strip() == "on"
    assert beta.zfs("get", "-H", "-o", "value", "mounted", f"{beta.pool}/jaild/jails/{jail}/data").strip() == "no"
    rounds = [name for name in beta.datasets() if f"/jails/{jail}/data@standby-" in name]
    assert len(rounds) <= 3


def test_an_owner_that_answers_hands_over_to_its_standby_and_loses_nothing(pair: Pair, jail: str) -> None:
    acknowledged = numbers(pair.alpha, jail)[-1]
    with refused(FailedPreconditionError, "OWNER_ANSWERS"):
        pair.beta.api.promote(jail, owner_is_down=True, confirm="alpha is down")
    done = metadata(pair.beta.api.promote(jail))
    assert done.facts["lost"] == "nothing"
    none_is_lost(pair, pair.beta, jail, acknowledged)


def test_a_standby_is_taken_over_after_a_power_cut_and_the_old_owner_never_starts_the_jail(
    pair: Pair, jail: str
) -> None:
    alpha, beta = pair.alpha, pair.beta
    alpha.power_cut()
    with refused(FailedPreconditionError, "CONFIRMATION_NEEDED") as caught:
        beta.api.promote(jail, owner_is_down=True)
    said = caught.value.detail["confirm"]
    assert said == "alpha is down"
    beta.api.promote(jail, owner_is_down=True, confirm=said)
    found = numbers(beta, jail)
    assert found == list(range(1, len(found) + 1))
    until(lambda: len(numbers(beta, jail)) > len(found))

    alpha.start()
    until(lambda: shown(alpha).state == FENCED)
    assert "beta took it over" in shown(alpha).message
    assert pair.running_on(jail) == ["beta"]
    assert pair.owners(jail) == ["beta"]
    alpha.terminate()
    alpha.start()
    assert shown(alpha).state == FENCED
    assert pair.running_on(jail) == ["beta"]
    alpha.zfs("mount", f"{alpha.pool}/jaild/jails/{jail}")
    alpha.zfs("mount", f"{alpha.pool}/jaild/jails/{jail}/data")
    kept = numbers(alpha, jail)
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= len(found)


def test_after_a_power_cut_a_jail_waits_for_its_standby_or_for_the_operators_word(pair: Pair, jail: str) -> None:
    alpha, beta = pair.alpha, pair.beta
    before = numbers(alpha, jail)[-1]
    beta.terminate()
    alpha.power_cut()
    alpha.start()
    assert shown(alpha).state == WAITING
    assert pair.alpha.jail_processes(jail) == []
    with refused(FailedPreconditionError, "STANDBYS_UNCONFIRMED"):
        alpha.api.start(jail)
    beta.start()
    until(lambda: shown(alpha).state == RUNNING)
    none_is_lost(pair, alpha, jail, before)

    beta.terminate()
    alpha.power_cut()
    alpha.start()
    request = promotions_pb2.ForceStartJailRequest(name=f"jails/{jail}", confirm=f"beta has not taken over {jail}")
    alpha.api.done(alpha.api.call(alpha.api.promotions.ForceStartJail, request))
    until(lambda: shown(alpha).state == RUNNING)
    beta.start()
    none_is_lost(pair, alpha, jail, before)
