"""Grains, mine and events of a real minion; nothing of the latter is lost while minion or daemon are restarted."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.v1 import events_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.node import Node
from tests.salt.bench import SECONDS, Bench

pytestmark = pytest.mark.real(*LINUX_HOST)

JAIL = "told"


@pytest.fixture
def jail(bench: Bench, node: Node) -> Iterator[str]:
    until(bench, lambda: cursor(bench).exists())  # what happens before the engine's first start is not handed on
    node.api.create(JAIL, trees.spec("tiny-1", "web/1"))
    yield JAIL
    node.api.delete(JAIL)


def until(bench: Bench, happened: Callable[[], bool]) -> None:
    """Wait for something; what is asked of the minion meanwhile is the pause."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        bench.await_minions()


def told(bus: Any, last: Callable[[Any], bool]) -> list[Any]:
    """Read the bus up to an event of jaild's; return those of jaild's, in order."""
    found: list[Any] = []
    while not found or not last(found[-1]):
        event = bus.get_event(wait=SECONDS / 2, tag="jaild/", full=True)
        assert event is not None, f"nothing more came after {[each['tag'] for each in found]}"
        found.append(event)
    return found


def restarted_jail(bus: Any) -> list[Any]:
    return told(bus, lambda event: event["tag"] == f"jaild/solo/{JAIL}/jail.started")


def sequences(events: list[Any]) -> list[int]:
    return [event["data"]["data"]["sequence"] for event in events]


def test_the_grain_tells_what_the_host_is_and_the_mine_what_it_has(bench: Bench, jail: str) -> None:
    grain = bench.ask("solo", "grains.item", "jaild")["solo"]["jaild"]
    assert grain["name"] == "solo"
    assert "available_bytes" not in grain
    assert bench.ask("solo", "mine.update")["solo"] is True
    mined = bench.ask("solo", "mine.get", "solo", "jaild.summary")["solo"]["solo"]
    assert mined["jails"][jail] == {"state": "running", "base": "tiny-1", "release": "web/1"}
    assert mined["available_bytes"] > 0


def test_an_event_comes_with_host_jail_and_kind_as_its_tag(bench: Bench, node: Node, jail: str) -> None:
    with bench.listening() as bus:
        node.api.stop(jail)
        node.api.start(jail)
        event = restarted_jail(bus)[-1]
    assert event["data"]["id"] == "solo"
    assert event["data"]["data"]["target"] == f"jails/{jail}"


def test_nothing_is_lost_while_the_minion_is_away(bench: Bench, node: Node, jail: str) -> None:
    with bench.listening() as bus:
        node.api.stop(jail)
        node.api.start(jail)
        before = sequences(restarted_jail(bus))
        bench.minions["solo"].kill()
        node.api.stop(jail)
        node.api.start(jail)
        bench.minions["solo"].start()
        after = sequences(restarted_jail(bus))
    whole = sorted({*before, *after})
    assert whole == [*range(before[0], after[-1] + 1)]
    bench.await_minions()


def test_nothing_is_lost_while_the_daemon_is_restarted(bench: Bench, node: Node, jail: str) -> None:
    with bench.listening() as bus:
        node.api.stop(jail)
        node.api.start(jail)
        before = sequences(restarted_jail(bus))
        node.signal(signal.SIGTERM)
        node.start()
        node.api.stop(jail)
        node.api.start(jail)
        after = sequences(told(bus, lambda event: event["data"]["data"]["sequence"] >= newest(node)))
    assert sorted({*before, *after}) == [*range(before[0], after[-1] + 1)]


def test_every_event_is_taken_by_a_master_that_was_away(bench: Bench, node: Node, jail: str) -> None:
    bench.master.stop()
    node.api.stop(jail)
    node.api.start(jail)
    wanted = newest(node)
    assert handed_on(bench) < wanted, "there was no master to take it"
    bench.master.start()
    until(bench, lambda: handed_on(bench) >= wanted)


def handed_on(bench: Bench) -> int:
    """The last event that a master has taken, as the engine knows: it goes on to the next when one has."""
    return int(json.loads(cursor(bench).read_text())["sequence"])


def cursor(bench: Bench) -> Path:
    return bench.minions["solo"].folder / "var/cache/salt/minion/jaild-events-local.json"


def newest(node: Node) -> int:
    kept = node.api.events.WatchEvents(events_pb2.WatchEventsRequest(no_follow=True), timeout=SECONDS)
    return max(int(event.sequence) for event in kept)
