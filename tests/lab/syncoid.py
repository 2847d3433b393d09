"""syncoid on the lab's machines, as Debian has it: over ssh with its defaults, which are lzop, mbuffer and pv."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.demo.programs import run
from tests.lab.machine import Machine

_LONGEST = 1800.0  # seconds for one command
_EMPTY = "tank/empty"
_COPY = "tank/by-syncoid"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One dataset."""

    bytes: int  # of the stream, as `zfs send -n` tells
    seconds: float  # of the whole command
    empty: float  # of the same for a dataset with nothing in it: its connections, and what it asks

    @property
    def rate(self) -> float:
        """Bytes a second while it sends."""
        return self.bytes / max(self.seconds - self.empty, 1e-3)


class Syncoid:
    """On machines by name, whose addresses are known; `prepare` once."""

    def __init__(self, machines: Mapping[str, Machine], addresses: Mapping[str, str]) -> None:
        self._machines = machines
        self._addresses = addresses

    def prepare(self, folder: Path) -> None:
        """Let each machine's root in at the other by a key, made in `folder`."""
        key = folder / "id_ed25519"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        known = "Host *\n  StrictHostKeyChecking accept-new\n"
        files = {"id_ed25519": key.read_bytes(), "authorized_keys": key.with_suffix(".pub").read_bytes()}
        for machine in self._machines.values():
            machine.must("mkdir", "-p", "-m", "700", "/root/.ssh", "/run/sshd")
            for name, content in {**files, "config": known.encode()}.items():
                machine.must("dd", f"of=/root/.ssh/{name}", "status=none", stdin=content)
                machine.must("chmod", "600", f"/root/.ssh/{name}")
            machine.must("/usr/sbin/sshd")
            machine.must("zfs", "create", "-o", "mountpoint=none", _EMPTY)

    def send(self, source: str, target: str, dataset: str) -> Sent:
        """Send all of a dataset to a new one; copy and snapshot are gone afterwards."""
        empty = self._seconds(source, target, _EMPTY)
        seconds = self._seconds(source, target, dataset, keep=True)
        snapshot = self._snapshots(source, dataset)[-1]
        told = self._machines[source].must("zfs", "send", "-nP", snapshot).decode().split()
        self._forget(source, target, dataset)
        return Sent(bytes=int(told[told.index("size") + 1]), seconds=seconds, empty=empty)

    def _seconds(self, source: str, target: str, dataset: str, *, keep: bool = False) -> float:
        began = time.monotonic()
        to = f"root@{self._addresses[target]}:{_COPY}"
        self._machines[source].must("syncoid", "--quiet", dataset, to, timeout=_LONGEST)
        seconds = time.monotonic() - began
        if not keep:
            self._forget(source, target, dataset)
        return seconds

    def _forget(self, source: str, target: str, dataset: str) -> None:
        for snapshot in self._snapshots(source, dataset):
            self._machines[source].must("zfs", "destroy", snapshot)
        self._machines[target].must("zfs", "destroy", "-r", _COPY)

    def _snapshots(self, host: str, dataset: str) -> list[str]:
        """Return those of a dataset that are syncoid's."""
        said = self._machines[host].must("zfs", "list", "-H", "-t", "snapshot", "-o", "name", "-d", "1", dataset)
        return [name for name in said.decode().split() if "@syncoid_" in name]
