"""The network of the lab's machines: a switch in a namespace of its own, with a tap for each machine.

    jlab-<pid>:  br0 (10.9.0.254: clients run here, at this machine's speed) ── tap "alpha", tap "beta" …

The namespace goes with the run; `sweep` removes those of runs that were killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.demo.hosts import NAMESPACES
from tests.demo.programs import run

PREFIX = "10.9.0"
PREFIX_LENGTH = 24
CLIENT = f"{PREFIX}.254"
_NAME = "jlab-"


@dataclass(frozen=True)
class Link:
    """A machine's end of the network."""

    address: str  # with the prefix's length, as `ip address` takes it
    namespace: Path
    tap: str


@dataclass(frozen=True)
class Network:
    """A running one."""

    namespace: str

    def link(self, name: str, number: int) -> Link:
        """Make the end of the machine `name`, whose address ends with `number`."""
        run(["ip", "-n", self.namespace, "tuntap", "add", "dev", name, "mode", "tap"])
        run(["ip", "-n", self.namespace, "link", "set", name, "master", "br0", "up"])
        return Link(f"{address(number)}/{PREFIX_LENGTH}", NAMESPACES / self.namespace, name)

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` as a client on the network."""
        return [*entering(NAMESPACES / self.namespace), *map(str, argv)]


def address(number: int) -> str:
    """The address of a machine or a jail."""
    return f"{PREFIX}.{number}"


def entering(namespace: Path) -> list[str]:
    """What a command begins with that runs in the network of a namespace, and only that."""
    return ["nsenter", f"--net={namespace}", "--"]


@contextmanager
def network() -> Iterator[Network]:
    """Make one, after sweeping those of dead runs."""
    sweep()
    name = f"{_NAME}{os.getpid()}-{sum(1 for _ in NAMESPACES.glob(f'{_NAME}{os.getpid()}-*'))}"
    run(["ip", "netns", "add", name])
    try:
        run(["ip", "-n", name, "link", "set", "lo", "up"])
        run(["ip", "-n", name, "link", "add", "br0", "type", "bridge"])
        run(["ip", "-n", name, "address", "add", f"{CLIENT}/{PREFIX_LENGTH}", "dev", "br0"])
        run(["ip", "-n", name, "link", "set", "br0", "up"])
        yield Network(name)
    finally:
        run(["ip", "netns", "delete", name])


def sweep() -> None:
    """Remove the namespaces of runs that are no more."""
    for path in NAMESPACES.glob(f"{_NAME}*"):
        if not Path(f"/proc/{path.name.removeprefix(_NAME).partition('-')[0]}").exists():
            run(["ip", "netns", "delete", path.name])
