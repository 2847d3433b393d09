"""Jails as resources of Salt, on three hosts: what runs in a jail, and who answers for one that was moved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.salt.bench import Bench
from tests.salt.fleet import Hosts, network

pytestmark = pytest.mark.real(*LINUX_HOST)

NAME = "web"


@pytest.fixture(scope="module", autouse=True)
def jail(hosts: Hosts) -> Iterator[None]:
    hosts.alpha.api.create(NAME, trees.spec("tiny-1", "web/1", network=network(1)))
    yield
    hosts.clear()


def asked(minions: Bench, function: str, *args: Any) -> Any:
    return minions.ask_jail(NAME, function, *args)


def awaited(minions: Bench, function: str, *args: Any, answer: Any) -> None:
    minions.await_jail(NAME, function, *args, answer=answer)


def test_commands_and_grains_are_the_jails(minions: Bench) -> None:
    awaited(minions, "test.ping", answer=True)
    assert asked(minions, "cmd.run", "cat /usr/local/version; hostname") == f"version 1\n{NAME}"
    told = asked(minions, "cmd.run_all", "echo $WHO; exit 3", "env={WHO: me}", "cwd=/srv")
    assert (told["stdout"], told["retcode"]) == ("me", 3)
    assert asked(minions, "grains.item", "base", "release", "app", "host") == {
        "base": "tiny-1",
        "release": "web/1",
        "app": "web",
        "host": "alpha",
    }


def test_what_is_not_made_for_jails_is_not_done_on_the_host_instead(minions: Bench) -> None:
    awaited(minions, "test.ping", answer=True)
    assert "not supported for resource type 'jail'" in asked(minions, "pkg.install", "vim")


def test_a_daemon_that_is_away_empties_nothing(minions: Bench, hosts: Hosts) -> None:
    awaited(minions, "test.ping", answer=True)
    owner = hosts.owner(NAME)
    owner.signal(signal.SIGTERM)
    minions.ask(owner.name, "saltutil.refresh_resources")
    assert "(UNAVAILABLE)" in asked(minions, "cmd.run", "true")
    owner.start()
    awaited(minions, "test.ping", answer=True)


def test_a_jail_that_was_moved_is_reached_on_its_new_host(minions: Bench, hosts: Hosts) -> None:
    awaited(minions, "test.ping", answer=True)
    here = hosts.owner(NAME)
    there = next(node for node in hosts.all if node is not here)
    moved = minions.ask(here.name, "jaild.migrate_jail", NAME, f"target={there.name}")[here.name]
    assert "response" in moved, moved
    awaited(minions, "grains.get", "host", answer=there.name)
    assert asked(minions, "cmd.run", "hostname") == NAME
    assert hosts.running_on(NAME) == [there.name]
