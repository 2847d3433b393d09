"""Questions to the fleet, on a real master: from the mine, with ages and who was not heard; live where it must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.node import Node
from tests.salt.bench import Bench, running
from tests.salt.conftest import minion

pytestmark = pytest.mark.real(*LINUX_HOST)

JAIL = "sought"
MUTE = {"jaild": {"address": "unix:///var/empty/jaild.sock"}, "mine_functions": {"jaild.summary": []}}


@pytest.fixture(scope="module")
def fleet(node: Node) -> Iterator[Bench]:
    """A master, the host's minion, and one whose daemon is away; a jail that follows a channel."""
    with running({"solo": minion(node), "mute": MUTE}) as made:
        told = made.ask("solo", "jaild.set_channel", "steady", "tiny-1")["solo"]
        assert told["base"] == "bases/tiny-1", told
        spec = trees.spec("tiny-1", "web/1", network="{mode: none}").replace("base: tiny-1", "channel: steady")
        node.api.create(JAIL, spec)
        yield made
        node.api.delete(JAIL)
        made.ask("solo", "jaild.delete_channel", "steady")


def mined(fleet: Bench) -> None:
    assert fleet.ask("solo", "mine.update")["solo"] is True


def found(answer: Any) -> list[Any]:
    """The rows; and that the host that is mute is named, whatever else was found."""
    assert list(answer["unheard"]) == ["mute"], answer
    rows = answer["found"]
    assert isinstance(rows, list)
    return rows


def test_a_jail_is_found_in_the_mine_and_the_answer_says_how_old_it_is_and_who_is_not_heard(fleet: Bench) -> None:
    mined(fleet)
    answer = fleet.run("jaild_fleet.find", JAIL)
    (row,) = found(answer)
    assert (row["host"], row["state"], row["base"], row["release"]) == ("solo", "running", "tiny-1", "web/1")
    assert 0 <= row["age"] == answer["oldest"]
    assert answer["hosts"] == 1
    assert answer["unheard"] == {"mute": "has never told anything"}
    assert found(fleet.run("jaild_fleet.find", "nowhere")) == []


def test_asked_live_it_is_as_it_is_now_and_a_host_without_a_daemon_says_so(fleet: Bench, node: Node) -> None:
    mined(fleet)
    node.api.stop(JAIL)
    try:
        assert found(fleet.run("jaild_fleet.find", JAIL))[0]["state"] == "running"
        answer = fleet.run("jaild_fleet.find", JAIL, live=True)
        assert (found(answer)[0]["state"], answer["oldest"]) == ("stopped", 0)
        assert "(UNAVAILABLE)" in answer["unheard"]["mute"]
    finally:
        node.api.start(JAIL)


def test_a_host_that_was_heard_long_ago_counts_and_is_named(fleet: Bench) -> None:
    mined(fleet)
    answer = fleet.run("jaild_fleet.find", JAIL, max_age=-1)
    assert [row["host"] for row in answer["found"]] == ["solo"]
    assert answer["unheard"]["solo"].startswith("told this ")


def test_hosts_are_told_by_the_room_that_is_left(fleet: Bench) -> None:
    mined(fleet)
    (row,) = found(fleet.run("jaild_fleet.room"))
    assert row["available_bytes"] > 0
    assert (row["host"], row["jails"], row["running"]) == ("solo", 1, 1)
    assert fleet.run("jaild_fleet.room", tgt="mute")["hosts"] == 0


def test_a_jail_behind_its_channel_is_told_with_what_the_hosts_channels_name(fleet: Bench) -> None:
    mined(fleet)
    answer = fleet.run("jaild_fleet.behind", "steady")
    assert (found(answer), answer["channels"]) == ([], {"steady": {"tiny-1": 1}})
    trees.base(fleet.states / "tiny-9.tgz", "9")
    fleet.ask("solo", "jaild.import_base", "tiny-9", "salt://tiny-9.tgz")
    fleet.ask("solo", "jaild.set_channel", "steady", "tiny-9")
    try:
        mined(fleet)
        answer = fleet.run("jaild_fleet.behind", "steady")
        (row,) = found(answer)
        assert (row["jail"], row["host"], row["base"], row["behind"]) == (JAIL, "solo", "tiny-1", "tiny-9")
        assert answer["channels"] == {"steady": {"tiny-9": 1}}
    finally:
        fleet.ask("solo", "jaild.set_channel", "steady", "tiny-1")
        fleet.ask("solo", "jaild.delete_base", "tiny-9")


def test_what_jails_hold_is_asked_of_the_hosts(fleet: Bench) -> None:
    answer = fleet.run("jaild_fleet.contains", file="/usr/local/version")
    (row,) = found(answer)
    assert (row["host"], row["jail"], row["generation"], row["active"]) == ("solo", JAIL, 1, True)
    assert answer["hosts"] == 1
    assert found(fleet.run("jaild_fleet.contains", release="web/2")) == []
    assert "(INVALID_QUESTION)" in fleet.run("jaild_fleet.contains", package="<<")["unheard"]["solo"]
    assert "ask for one thing" in str(fleet.run("jaild_fleet.contains"))


def test_a_host_whose_minion_is_away_is_no_host_without_the_jail(fleet: Bench) -> None:
    fleet.minions["solo"].stop()
    try:
        answer = fleet.run("jaild_fleet.contains", file="/usr/local/version", timeout=5)
        assert answer["found"] == []
        assert answer["unheard"]["solo"] == "does not answer"
    finally:
        fleet.minions["solo"].start()
        fleet.await_minions()
