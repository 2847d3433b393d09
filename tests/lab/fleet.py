"""Two machines with a daemon each on kernel OpenZFS, joined by a network, and a client (`tests.demo.fleet.Fleet`).

alpha: qemu, tank/jaild       beta: qemu, tank/jaild
       10.9.0.1:8443  <── peers, mutual TLS ──>  10.9.0.2:8443
               ^                                  ^
               └── client 10.9.0.254, a namespace of this machine: jailctl, and the writer
"""

from __future__ import annotations

import asyncio
import io
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import ClassVar

import msgspec
import yaml

from jaild.model.errors import JaildError
from jaild.rpc.tls import TlsFiles
from tests.demo.callers import Callers
from tests.demo.fleet import SOURCE_HOST, TARGET_HOST, Answer, Result, Who
from tests.demo.hosts import CHECKOUT
from tests.demo.remote import RemoteWriter
from tests.demo.story import Setting
from tests.lab.agent import CONFIG, LOG, MODULES
from tests.lab.asker import Asker
from tests.lab.image import Image
from tests.lab.machine import VDEV, Machine, MachineError, booting
from tests.lab.network import Network, address, network
from tests.lab.program import libraries
from tests.patience import patient

STATE = PurePosixPath(CONFIG.parent)
ROOT = "tank/jaild"
KEY = STATE / "customers.key"  # of encrypted jails, where a test has put it
# Under emulation a process takes about ten times as long to start as on the machine itself.
SETTING = Setting(address=address(100), readiness_deadline=20.0, patience=60.0, max_downtime="60s", small_jails=0)
_NUMBERS = {SOURCE_HOST: 1, TARGET_HOST: 2}  # the last part of their addresses
_READY = 180.0  # seconds for a daemon to answer after its machine is up
_PAUSE = 0.3  # seconds between two questions whether it answers


class LabFleet:
    """The running fleet. `lab_fleet` makes and ends it."""

    CRASH: ClassVar = "its power is cut"

    def __init__(
        self, image: Image, joined: Network, folder: Path, stack: ExitStack, *, libzfs: Path | None = None
    ) -> None:
        self._libzfs = libzfs
        disk = libraries(image)
        self.machines = {
            name: Machine(image, folder, name, link=joined.link(name, number), libraries=disk)
            for name, number in _NUMBERS.items()
        }
        addresses = {name: address(number) for name, number in _NUMBERS.items()}
        self._callers = Callers(joined, folder, addresses, stack)
        paths = {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
        argv = joined.argv([sys.executable, "-m", "tests.lab.asker"])
        self._asker = Asker(argv, self._callers.environment | paths)
        stack.callback(self._asker.close)

    def look(self, host: str, *words: str) -> Answer:
        """Ask a host as its operator for something that changes nothing: quick, one at a time."""
        return self._asker.ask("--context", f"{Who.OPERATOR}@{host}", "-o", "json", *words)

    def jailctl(self, who: Who, host: str, *words: str) -> Answer:
        """Run jailctl on the client's machine, which sees this machine's files."""
        return self._callers.jailctl(who, host, *words)

    def open_writer(self, address: str) -> RemoteWriter:
        """Start a client that writes."""
        return self._callers.open_writer(address)

    def furnish(self) -> None:
        """Give running machines a pool and a daemon each; return when both answer."""
        files = asyncio.run(self._callers.certificates())
        for name, machine in self.machines.items():
            # -o cachefile=none: the root file system forgets it anyway, the boot looks for pools on the disks.
            machine.must("zpool", "create", "-O", "atime=off", "-o", "cachefile=none", "tank", VDEV)
            machine.must("zfs", "create", "-o", f"mountpoint={STATE}", "tank/state")
            machine.must("zfs", "create", "-o", "mountpoint=/jaild", ROOT)
            machine.copy_in(self._settings(name, files[name]), str(STATE))
            if self._libzfs is not None:
                machine.copy_in(_packed(_modules(self._libzfs)), str(MODULES))
        self._callers.add_contexts(files)
        for name in self.machines:
            self.await_ready(name)

    def await_ready(self, host: str) -> float:
        """Wait until a host's daemon answers; return the seconds that it took. `AssertionError` with its log if not."""
        began = time.monotonic()
        while time.monotonic() < began + patient(_READY):
            if self.look(host, "host", "show").result is Result.OK:
                return time.monotonic() - began
            time.sleep(_PAUSE)
        raise AssertionError(f"the daemon of {host} does not answer:\n{self.log(host)}")

    def crash(self, host: str) -> None:
        """Take a host's power away, and give it back; return when its daemon answers again."""
        self.machines[host].cut_power()
        self.machines[host].start()
        self.await_ready(host)

    def log(self, host: str) -> str:
        """Return what tells of a host's trouble: its console, its network, and the end of its daemon's log."""
        machine = self.machines[host]
        found = [machine.console()[-2000:]]
        try:
            commands = (("ip", "address"), ("ip", "neigh"), ("tail", "-n", "60", str(LOG)))
            found += [machine.run(*argv, timeout=20.0).text for argv in commands]
        except (MachineError, JaildError, ConnectionError) as error:
            found.append(f"it does not answer on its wire: {error}")
        return "\n".join(found)

    def _settings(self, name: str, files: TlsFiles) -> bytes:
        kept: dict[str, Path] = msgspec.structs.asdict(files)
        inside = msgspec.structs.replace(files, **{field: STATE / path.name for field, path in kept.items()})
        told = self._callers.configuration(name, inside) | {
            "dataset": ROOT,
            "state": str(STATE / "state"),
            "logs": str(STATE / "log"),
            "run": "/run/jaild",
            "socket": "/run/jaild.sock",
            "network": {"bridge": "br0"},
            "keys": {"customers": {"file": str(KEY)}},
            "zfs": "cli" if self._libzfs is None else "libzfs",
        }
        entries = {path.name: path.read_bytes() for path in kept.values()}
        return _packed(entries | {CONFIG.name: yaml.safe_dump(told).encode()})


def _modules(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _packed(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def lab_fleet(image: Image, folder: Path, *, libzfs: Path | None = None) -> Iterator[LabFleet]:
    """Boot and furnish two machines; they, their disks and their network are gone afterwards.

    `libzfs`: the folder of py-libzfs, if their daemons shall use it, as those do that are installed on FreeBSD.
    """
    with ExitStack() as stack:
        joined = stack.enter_context(network())
        fleet = LabFleet(image, joined, folder, stack, libzfs=libzfs)
        stack.enter_context(booting(list(fleet.machines.values())))
        fleet.furnish()
        yield fleet
