"""incus on the lab's machines, as Debian has it: a server on each, and a container that moves by the known recipe.

    copy ── copy --refresh ── stop ── copy --refresh ── start there

Process 1 is the lab's agent, so the servers are started by hand; there is no bridge: the container has no network.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

from tests.lab.machine import Machine, MachineError
from tests.tars import Item, file, folder, pack

_SERVER = "/usr/libexec/incus/incusd"
_LOG = "/var/log/incusd.log"
_PORT = 8444  # jaild has the usual one
_PRESEED = """
config: {{core.https_address: "{address}:{port}"}}
storage_pools: [{{name: default, driver: zfs, config: {{source: tank/incus}}}}]
profiles: [{{name: default, devices: {{root: {{type: disk, path: /, pool: default}}}}}}]
"""
_METADATA = b"architecture: x86_64\ncreation_date: 1700000000\n"
NAME = "kv"
_LONGEST = 1800.0  # seconds for one command
# In one shell, so that no command waits for the wire. The times are this machine's alone.
_MOVE = """set -e
date +%s.%N; incus stop "$1" >&2
date +%s.%N; incus copy --refresh "$1" "$2:$1" >&2
date +%s.%N; incus start "$2:$1" >&2
date +%s.%N"""


def write_image(path: Path, userland: Iterable[Item]) -> Path:
    """Write an image of that userland, as `incus image import` takes it."""
    below = (replace(item, name=f"rootfs/{item.name!s}") for item in userland)
    return pack(path, file("metadata.yaml", _METADATA), folder("rootfs"), *below)


class IncusError(Exception):
    """incus did not do what the recipe needs."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """One by the recipe. Seconds."""

    copy: float  # while it runs: everything
    refresh: float  # while it runs: what changed meanwhile
    stop: float
    last: float  # the refresh while it is stopped
    start: float
    command: float  # of it, what a command takes that does nothing: three of them are in the downtime

    @property
    def downtime(self) -> float:
        """From the request to stop until the start returned."""
        return self.stop + self.last + self.start

    def document(self) -> dict[str, float]:
        """As JSON has it."""
        return {name: round(value, 3) for name, value in {**asdict(self), "downtime": self.downtime}.items()}


class Incus:
    """Servers on machines by name, whose addresses are known; `prepare` once."""

    def __init__(self, machines: Mapping[str, Machine], addresses: Mapping[str, str]) -> None:
        self._machines = machines
        self._addresses = addresses

    def prepare(self, image: Path) -> None:
        """Start the servers, make them known to each other, and give them an image."""
        for name, machine in self._machines.items():
            # An emulated clock falls behind; a certificate of one machine would not be valid yet on the other.
            machine.must("date", "--utc", "--set", f"@{time.time():.3f}")
            self._incus(name, "remote", "generate-certificate")
            self._serve(name, machine)
        for name in self._machines:
            for other in self._machines:
                if other != name:
                    token = self._incus(other, "config", "trust", "add", name, "--quiet").split()[-1]
                    self._incus(name, "remote", "add", other, token)
        for name, machine in self._machines.items():
            machine.must("dd", "of=/tmp/image.tar", "status=none", stdin=image.read_bytes())
            self._incus(name, "image", "import", "/tmp/image.tar", "--alias", "userland")

    def launch(self, host: str, ballast: int) -> None:
        """Start the container with so many bytes of random data in it."""
        self._incus(host, "launch", "--quiet", "userland", NAME)
        words = ("dd", "if=/dev/urandom", "of=/var/ballast", "bs=1048576", f"count={ballast >> 20}", "conv=fsync")
        self._incus(host, "exec", NAME, "--", *words)

    def move(self, source: str, target: str) -> Move:
        """Move it by the recipe; what stays on the source is deleted afterwards."""
        empty = self._seconds(source, "list", "--format", "csv", f"{target}:")
        copy = self._seconds(source, "copy", "--stateless", NAME, f"{target}:{NAME}")
        refresh = self._seconds(source, "copy", "--refresh", NAME, f"{target}:{NAME}")
        said = self._machines[source].must("sh", "-c", _MOVE, "sh", NAME, target, timeout=_LONGEST).split()
        times = [float(word) for word in said]
        state = self._incus(target, "list", NAME, "--format", "csv", "--columns", "s").strip()
        if state != "RUNNING" or len(times) != 4:
            raise IncusError(f"{NAME} on {target} is {state}; {said}")
        self._incus(source, "delete", NAME)
        stop, last, start = (after - before for before, after in pairwise(times))
        return Move(copy=copy, refresh=refresh, stop=stop, last=last, start=start, command=empty)

    def log(self, host: str) -> str:
        """Return the end of a server's log."""
        return self._machines[host].run("tail", "-n", "40", _LOG).text

    def _serve(self, name: str, machine: Machine) -> None:
        starter = ("start-stop-daemon", "--start", "--background", "--output", _LOG, "--exec", _SERVER)
        machine.must("env", "INCUS_SECURITY_APPARMOR=false", *starter, "--", "--group", "incus-admin")
        self._incus(name, "admin", "waitready", "--timeout", "600")
        machine.must("zfs", "create", "-o", "mountpoint=none", "tank/incus")
        preseed = _PRESEED.format(address=self._addresses[name], port=_PORT)
        machine.must("incus", "admin", "init", "--preseed", stdin=preseed.encode(), timeout=_LONGEST)

    def _incus(self, host: str, *words: str) -> str:
        try:
            return self._machines[host].must("incus", *words, timeout=_LONGEST).decode()
        except MachineError as error:
            raise IncusError(f"{error}\n--- {_LOG} of {host}\n{self.log(host)}") from error

    def _seconds(self, host: str, *words: str) -> float:
        began = time.monotonic()
        self._incus(host, *words)
        return time.monotonic() - began
