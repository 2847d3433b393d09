"""Three embedded hosts with their minions and one master: each host a peer of the others, all with the same layers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from jaild.v1 import evacuations_pb2
from tests.e2e import trees
from tests.e2e.node import Node
from tests.salt.bench import Bench

GAMMA = "10.77.0.13"
RELEASES = ("web/1", "web/2", "web/sick")


@dataclass(frozen=True)
class Hosts:
    """alpha, beta and gamma, in networks of their own that are joined: jails migrate from each to each."""

    alpha: Node
    beta: Node
    gamma: Node

    @property
    def all(self) -> tuple[Node, ...]:
        return self.alpha, self.beta, self.gamma

    def named(self, name: str) -> Node:
        return next(node for node in self.all if node.name == name)

    def owner(self, jail: str) -> Node:
        """The host whose jail it is, as all say that have it."""
        shown = [node.api.all_jails().get(jail) for node in self.all]
        (name,) = {found.owner for found in shown if found is not None}
        return self.named(name)

    def running_on(self, jail: str) -> list[str]:
        """The hosts on which the jail has processes, whatever anybody says."""
        return [node.name for node in self.all if node.jail_processes(jail)]

    def clear(self) -> None:
        """Delete all jails and copies, and let all hosts take jails."""
        for node in self.all:
            node.api.call(node.api.evacuations.UndrainHost, evacuations_pb2.UndrainHostRequest())
            for name in node.api.names_of_jails():
                node.api.delete(name)


@dataclass(frozen=True)
class Fleet:
    """The hosts, and Salt on them: each has a minion of its name."""

    hosts: Hosts
    bench: Bench


def network(number: int) -> str:
    """YAML of an address that the hosts' jails reach each other by; 1 to 100."""
    return f"{{mode: vnet, addresses: [10.77.0.{100 + number}/24]}}"


def spread(hosts: Hosts) -> None:
    """Bring alpha's base and releases to the others as a migration does, so that they are the same to ZFS.

    Imported on each host by itself they would not be (another guid), and no jail could move.
    """
    names = [release.replace("/", "-") for release in RELEASES]
    for name, release in zip(names, RELEASES, strict=True):
        hosts.alpha.api.create(name, trees.spec("tiny-1", release), stopped=True)
    for here, there in pairwise(hosts.all):
        for name in names:
            here.api.migrate(name, there.name)
    hosts.clear()
