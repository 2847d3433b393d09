"""Two hosts that may move jails to each other: networks of their own, joined; mutual TLS; either may be killed."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import FailedPreconditionError, UnavailableError
from jaild.v1 import jails_pb2
from tests.demo import freebsd_machine
from tests.demo.hosts import ADDRESSES, BRIDGE, NAMESPACES, Topology, two_hosts
from tests.e2e.node import CHECKOUT, Node, host_id, hosted
from tests.e2e.relay import Relay

PORT = 7443
_RELAYED = 7444
JAIL = "10.77.0.101/24"  # an address of the jails'
OTHER = "10.77.0.102/24"
_STATE = jails_pb2.Jail


@dataclass(frozen=True)
class Pair:
    alpha: Node
    beta: Node
    set_link: Callable[[Node, str], object]

    def link(self, node: Node, state: str) -> None:
        """Set a host's link to the other one `up` or `down`; its own jails reach each other."""
        self.set_link(node, state)

    def settled(self, jail: str) -> bool:
        """Whether no operation is under way, no copy is on its way, and the jail runs somewhere."""
        everywhere = [node.api.all_jails() for node in (self.alpha, self.beta)]
        shown = [jails[jail] for jails in everywhere if jail in jails]
        states = {found.state for found in shown}
        quiet = not any(found.operation for found in shown)
        return quiet and _STATE.STATE_RUNNING in states <= {_STATE.STATE_RUNNING, _STATE.STATE_MOVED}

    def others(self, node: Node) -> Node:
        return self.beta if node is self.alpha else self.alpha

    def owners(self, jail: str) -> list[str]:
        """The hosts whose record of the jail says that it is theirs and active."""
        ids = {host_id(node): node for node in (self.alpha, self.beta)}
        found = []
        for node in (self.alpha, self.beta):
            shown = node.api.all_jails().get(jail)
            if shown is not None:
                running = shown.state in {_STATE.STATE_RUNNING, _STATE.STATE_STOPPED, _STATE.STATE_FAILED}
                mine = shown.owner in {node.name, host_id(node)}
                assert running == mine, f"{node.name} shows {jail} as {shown} ({ids})"
                found += [node.name] if running else []
        return found

    def running_on(self, jail: str) -> list[str]:
        """The hosts on which the jail has processes, whatever anybody says."""
        return [node.name for node in (self.alpha, self.beta) if node.jail_processes(jail)]


def reaches(here: Node, jail: str, there: Node) -> bool:
    """Whether a migration would be begun: a connection to a host that was dead is made again after a while.

    And another one, which a killed daemon goes on with, is over.
    """
    try:
        here.api.migrate(jail, there.name, validate_only=True)
    except UnavailableError:
        return False
    except FailedPreconditionError as error:
        if error.reason != "JAIL_MIGRATING":
            raise
        return False
    return True


@contextmanager
def paired(pool_size: str = "2G", code: Path = CHECKOUT) -> Iterator[Pair]:
    if sys.platform.startswith("freebsd"):
        with _on_one_machine(pool_size) as pair:
            yield pair
        return
    with joined(pool_size=pool_size, code=code) as (nodes, topology):
        yield Pair(
            **nodes,
            set_link=lambda node, state: getattr(topology, node.name).run(["ip", "link", "set", "uplink", state]),
        )


@contextmanager
def _on_one_machine(pool_size: str) -> Iterator[Pair]:
    """Run both on FreeBSD, which has no hosts of namespaces: what they say to each other goes by a relay."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jaild-e2e-ca-")))
        machines = stack.enter_context(freebsd_machine.one_machine())
        addresses = {name: ADDRESSES[name] for name in ("alpha", "beta")}
        routes = {(address, _RELAYED): (address, PORT) for address in addresses.values()}
        relay = stack.enter_context(Relay(routes).running())
        nodes = {}
        for name, config in asyncio.run(_configs(addresses, folder, machines.bridge, _RELAYED)).items():
            nodes[name] = stack.enter_context(hosted(Node(name, config=config, pool_size=pool_size)))
        yield Pair(**nodes, set_link=lambda _, state: {"up": relay.up, "down": relay.down}[state]())


@contextmanager
def joined(
    more: Mapping[str, str] | None = None, pool_size: str = "2G", code: Path = CHECKOUT
) -> Iterator[tuple[dict[str, Node], Topology]]:
    """Run alpha, beta and `more` (names with addresses), each a peer of every other, with the jaild in `code`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jaild-e2e-ca-")))
        topology = stack.enter_context(two_hosts("jtest", more))
        hosts = {"alpha": topology.alpha, "beta": topology.beta, **topology.more}
        configs = asyncio.run(_configs({name: host.address for name, host in hosts.items()}, folder, BRIDGE, PORT))
        nodes = {}
        for name, host in hosts.items():
            # The network only: whoever looks at processes from outside sees those of all hosts.
            enter = ("nsenter", f"--net={NAMESPACES / host.namespace}", "--")
            node = Node(name, config=configs[name], enter=enter, pool_size=pool_size, code=code)
            nodes[name] = stack.enter_context(hosted(node))
        yield nodes, topology


async def _configs(
    addresses: Mapping[str, str], folder: Path, bridge: str, peers_port: int
) -> dict[str, dict[str, Any]]:
    authority = CertificateAuthority(ProcessRunner(), folder)
    files = {name: await authority.issue(name, [address]) for name, address in addresses.items()}
    tls = {
        name: {"certificate": str(told.certificate), "key": str(told.key), "authority": str(told.authority)}
        for name, told in files.items()
    }
    return {
        name: {
            "network": {"bridge": bridge},
            "listen": {"address": f"{address}:{PORT}", "tls": tls[name]},
            "grants": {other: {"roles": ["peer"]} for other in addresses if other != name},
            "peers": {
                other: {"address": f"{place}:{peers_port}", "tls": tls[name]}
                for other, place in addresses.items()
                if other != name
            },
        }
        for name, address in addresses.items()
    }
