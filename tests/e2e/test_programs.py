"""Every program that a daemon starts for one change of a jail, and what for: exactly these, so that none comes unseen.

Of a jail whose new /etc needs no tool of its base; without a network, and with one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.v1 import jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, until
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)

_NEW = {"runc create": "its tree is mounted; while the old one serves, if there is one", "runc start": "it serves"}
_COMMIT = {"zfs set": "the commit point: the record names the new generation"}
_CHANGE = {
    "zfs snapshot": "the safety net, of all its datasets and with their purpose in one transaction",
    **_NEW,
    **_COMMIT,
    "runc delete": "the old generation's container",
}
CREATE = {
    "zfs create": "the jail's own dataset, with its record in the same transaction: a crash leaves none without",
    "zfs create /data": "its data",
    **_NEW,
    **_COMMIT,
}
RESTART = {"runc delete": "a container cannot be started twice", **_NEW}
STOP = {"zfs set": "it stays stopped at the next boot", "runc delete": "its container"}
START = {"zfs set": "it stays started", **_NEW}
# From the fourth change on, when it is over.
AFTERWARDS = {
    "zfs get": "the oldest safety snapshots: what is destroyed is looked at before, whoever made it",
    "zfs destroy": "one of them, of all its datasets",
}


@pytest.fixture(scope="module")
def spec(node: Node, workshop: Path) -> str:
    """A jail that has another base to go to."""
    node.api.import_base("tiny-2", trees.base(workshop / "tiny-2.tgz", "2"))
    return trees.spec("tiny-1", "web/1", health="[]", readiness="{successes: 1, interval: 0.001}")


@pytest.fixture
def fresh(api: Client) -> Iterator[str]:
    """A name for a jail that is gone afterwards."""
    yield "edge-2"
    api.delete("edge-2")


class Counted:
    """The programs that the daemon started since this was made, or asked last; but for what the clock asks for."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen = len(self._all())

    def since(self) -> list[str]:
        found = self._all()[self._seen :]
        self._seen += len(found)
        return [_told(argv) for argv in found]

    def soon(self, count: int) -> list[str]:
        """Wait for so many, and return them."""
        until(lambda: len(self._all()) >= self._seen + count)
        return self.since()

    def _all(self) -> list[list[str]]:
        return [argv for argv in self._node.programs() if argv[:2] != ["zpool", "status"]]


def _told(argv: list[str]) -> str:
    """Say `zfs create /data`, `runc start`: program and command, and which of the jail's datasets."""
    program, *words = argv
    while program == "runc" and words[0].startswith("--"):  # its own options, each with a value
        del words[:2]
    command = words[0]
    below = words[-1].partition("edge-2/")[2] if program == "zfs" else ""
    return f"{program} {command} {'/' * bool(below)}{below}".rstrip()


def restart(api: Client, name: str) -> None:
    api.done(api.call(api.jails.RestartJail, jails_pb2.RestartJailRequest(name=f"jails/{name}")))


def test_the_programs_of_create_upgrade_rollback_and_restart(api: Client, node: Node, spec: str, fresh: str) -> None:
    counted = Counted(node)
    api.create(fresh, spec)
    assert counted.since() == list(CREATE)
    api.deploy(fresh, "web/2")
    assert counted.since() == list(_CHANGE)
    api.upgrade(fresh, "tiny-2")
    assert counted.since() == list(_CHANGE)
    api.rollback(fresh)
    assert counted.since() == list(_CHANGE)
    restart(api, fresh)
    assert counted.since() == list(RESTART)
    api.deploy(fresh, "web/1")
    assert counted.soon(len(_CHANGE) + len(AFTERWARDS)) == [*_CHANGE, *AFTERWARDS]
    api.stop(fresh)
    assert counted.since() == list(STOP)
    api.start(fresh)
    assert counted.since() == list(START)
    assert (len(CREATE), len(_CHANGE), len(RESTART)) == (5, 5, 3)  # the goal


def test_a_network_of_its_own_takes_no_program_more(api: Client, node: Node, spec: str, fresh: str) -> None:
    counted = Counted(node)
    api.create(fresh, spec + f"network: {{mode: vnet, addresses: [{node.addresses[3]}]}}\n")
    assert counted.since() == list(CREATE)
    api.upgrade(fresh, "tiny-2")
    assert counted.since() == list(_CHANGE)
    api.rollback(fresh)
    assert counted.since() == list(_CHANGE)
    restart(api, fresh)
    assert counted.since() == list(RESTART)


def test_nothing_is_started_for_who_only_looks(api: Client, node: Node, spec: str, fresh: str) -> None:
    api.create(fresh, spec)
    counted = Counted(node)
    assert api.jail(fresh).used_bytes > 0
    api.all_jails()
    api.generations(fresh)
    api.deploy(fresh, "web/2", validate_only=True)
    assert counted.since() == []
