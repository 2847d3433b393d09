"""Jails as resources of Salt, on two hosts: what runs in a jail, and who answers for one that was moved."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.conftest import furnish
from tests.e2e.pair import JAIL, Pair, paired
from tests.salt.bench import SECONDS, Bench, running
from tests.salt.conftest import minion

pytestmark = pytest.mark.real(*LINUX_HOST)

NAME = "web"
TARGET = f"T@jail:{NAME}"


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        made.alpha.api.create(NAME, trees.spec("tiny-1", "web/1", network=f"{{mode: vnet, addresses: [{JAIL}]}}"))
        yield made


@pytest.fixture(scope="module")
def hosts(pair: Pair) -> Iterator[Bench]:
    with running({node.name: minion(node) for node in (pair.alpha, pair.beta)}) as made:
        yield made


def asked(hosts: Bench, function: str, *args: Any) -> Any:
    """What the jail answers; None if nobody answers for it."""
    return hosts.ask(TARGET, function, *args, tgt_type="compound").get(NAME)


def awaited(hosts: Bench, function: str, *args: Any, answer: Any) -> None:
    """Ask until it is answered so: who answers for a jail is told to the master a moment after it has changed."""
    deadline, told = time.monotonic() + SECONDS, None
    while time.monotonic() < deadline:
        if (told := asked(hosts, function, *args)) == answer:
            return
    raise AssertionError(f"{function}: {told!r}, and not {answer!r}")


def test_commands_and_grains_are_the_jails(hosts: Bench, pair: Pair) -> None:
    del pair
    awaited(hosts, "test.ping", answer=True)
    assert asked(hosts, "cmd.run", "cat /usr/local/version; hostname") == f"version 1\n{NAME}"
    told = asked(hosts, "cmd.run_all", "echo $WHO; exit 3", "env={WHO: me}", "cwd=/srv")
    assert (told["stdout"], told["retcode"]) == ("me", 3)
    assert asked(hosts, "grains.item", "base", "release", "app", "host") == {
        "base": "tiny-1",
        "release": "web/1",
        "app": "web",
        "host": "alpha",
    }


def test_what_is_not_made_for_jails_is_not_done_on_the_host_instead(hosts: Bench) -> None:
    awaited(hosts, "test.ping", answer=True)
    assert "not supported for resource type 'jail'" in asked(hosts, "pkg.install", "vim")


def test_a_daemon_that_is_away_empties_nothing(hosts: Bench, pair: Pair) -> None:
    awaited(hosts, "test.ping", answer=True)
    owner = pair.alpha if pair.owners(NAME) == ["alpha"] else pair.beta
    owner.signal(signal.SIGTERM)
    hosts.ask(owner.name, "saltutil.refresh_resources")
    assert "(UNAVAILABLE)" in asked(hosts, "cmd.run", "true")
    owner.start()
    awaited(hosts, "test.ping", answer=True)


def test_a_jail_that_was_moved_is_reached_on_its_new_host(hosts: Bench, pair: Pair) -> None:
    awaited(hosts, "test.ping", answer=True)
    here = pair.alpha if pair.owners(NAME) == ["alpha"] else pair.beta
    there = pair.others(here)
    moved = hosts.ask(here.name, "jaild.migrate_jail", NAME, f"target={there.name}")[here.name]
    assert "response" in moved, moved
    awaited(hosts, "grains.get", "host", answer=there.name)
    assert asked(hosts, "cmd.run", "hostname") == NAME
    assert pair.running_on(NAME) == [there.name]
