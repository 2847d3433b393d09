"""A virtual machine with kernel OpenZFS, under qemu's software emulation (so it runs where there is no KVM).

off ──start──> up ──cut_power──> off: the disks keep what the machine had written, its root is as new
                └──cut_link / restore_link: the network between two machines, not the wire
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaild.ports.process import Completed
from tests.lab.image import Image
from tests.lab.initrd import initrd
from tests.lab.network import Link, entering, network
from tests.lab.processes import LabProcesses
from tests.lab.wire import Wire
from tests.patience import patient

DISK_SIZE = 4 << 30  # bytes, sparse
VDEV = "/dev/vdb1"  # for pools: given a whole disk, `zpool create` partitions it and waits for a udev
MEMORY = 1024  # MiB
# With two, one now and then meets code that the other is patching (static branches, by int3) and the kernel dies:
# seen at boot, "Oops: int3" in hrtimer_start_range_ns, once in some forty boots.
PROCESSORS = 1
# qemu 7.2 now and then returns from cmpxchg16b with flags that are none: the kernel's slab allocator then dies of a
# double fault (seen at boot, EFLAGS=411e4a62). Without cx16 it takes a lock; without la57 page walks are shorter.
_CPU = "max,cx16=off,la57=off"
_BOOT_DEADLINE = 180.0  # seconds; about 12 on two idle cores
_TAIL = 4000  # characters of the console in an error


class MachineError(Exception):
    """A machine did not do what it should; with the end of its console."""


class Machine:
    """`folder` keeps its disk and console; sockets are in a folder of their own, whose path is short."""

    def __init__(
        self, image: Image, folder: Path, name: str, *, link: Link | None = None, libraries: Path | None = None
    ) -> None:
        self._image = image
        self._libraries = libraries
        self._folder = folder
        self._name = name
        self._link = link
        self._qemu: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None
        self._wire: Wire | None = None

    @property
    def disk(self) -> Path:
        """The data disk; its one partition is `VDEV` in the machine."""
        return self._folder / f"{self._name}.disk"

    @property
    def processes(self) -> LabProcesses:
        """What runs programs in it, for adapters; valid until the power is cut."""
        return LabProcesses(self._up())

    def start(self) -> float:
        """Boot; return the seconds until the agent answered."""
        began = time.monotonic()
        self.power_on()
        self.wait_up()
        return time.monotonic() - began

    def power_on(self) -> None:
        """Start to boot. Only from the main thread: the machine ends with the thread that started it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self.disk.exists():
            _make_disk(self.disk)
        self._sockets = Path(tempfile.mkdtemp(prefix="jaild-lab-"))
        (self._sockets / "initrd").write_bytes(initrd(self._image))
        self._qemu = subprocess.Popen(
            self._argv(self._sockets), stdin=subprocess.DEVNULL, stderr=(self._folder / f"{self._name}.qemu").open("wb")
        )
        self._wire = self._wired(self._sockets / "wire")

    def wait_up(self) -> None:
        """Wait until the agent answers."""
        if not self._up().wait_up(patient(_BOOT_DEADLINE)):
            raise self._failed("did not come up")

    def run(self, *argv: str, stdin: bytes | None = None, timeout: float = 120.0) -> Completed:
        """Run a program in it; its status is for the caller to judge. Also from inside an event loop, which waits."""
        asked = self.processes.run(argv, stdin=stdin, timeout=patient(timeout), check=False)
        with ThreadPoolExecutor(1) as elsewhere:  # an event loop of its own
            return elsewhere.submit(asyncio.run, asked).result()

    def must(self, *argv: str, stdin: bytes | None = None, timeout: float = 120.0) -> bytes:
        """Run a program in it that must end with status 0; return its stdout."""
        done = self.run(*argv, stdin=stdin, timeout=timeout)
        if done.status != 0:
            raise self._failed(f"{' '.join(argv)}: status {done.status}: {done.error_text}")
        return done.stdout

    def copy_in(self, archive: bytes, folder: str) -> None:
        """Unpack a tar archive in a folder of the machine, made if it is not there."""
        self.must("mkdir", "-p", folder)
        self.must("tar", "--extract", "--directory", folder, stdin=archive)

    def copy_out(self, folder: str) -> bytes:
        """Return a folder of the machine as a tar archive."""
        return self.must("tar", "--create", "--directory", folder, ".")

    def cut_power(self) -> None:
        """Take the power away at once. What the machine had not yet written to its disk is lost."""
        if self._qemu is not None:
            self._qemu.send_signal(signal.SIGKILL)
            self._qemu.wait()
        if self._wire is not None:
            self._wire.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets)
        self._qemu = self._wire = self._sockets = None

    def cut_link(self) -> None:
        """Unplug the network cable."""
        self._monitor("set_link", {"name": "link", "up": False})

    def restore_link(self) -> None:
        """Plug it in again."""
        self._monitor("set_link", {"name": "link", "up": True})

    def console(self) -> str:
        """Return what the machine has printed since its last start."""
        path = self._folder / f"{self._name}.console"
        return path.read_text(errors="replace") if path.exists() else ""

    def _up(self) -> Wire:
        if self._wire is None:
            raise MachineError(f"{self._name} has no power")
        return self._wire

    def _argv(self, sockets: Path) -> list[str]:
        # no_timer_check: a starved qemu brings no tick while the kernel tests the IO-APIC for one, and it panics.
        append = f"console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off no_timer_check lab.name={self._name}"
        network = ["-nic", "none"]
        if self._link is not None:
            append += f" lab.address={self._link.address}"
            mac = f"52:54:00:0a:09:{int(self._link.address.partition('/')[0].rpartition('.')[2]):02x}"
            network = ["-netdev", f"tap,id=net,ifname={self._link.tap},script=no,downscript=no"]
            network += ["-device", f"virtio-net-pci,netdev=net,id=link,mac={mac},romfile="]
        argv = ["setpriv", "--pdeathsig", "KILL", *(entering(self._link.namespace) if self._link else [])]
        argv += ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot"]
        argv += ["-display", "none", "-accel", "tcg,thread=multi"]
        argv += ["-cpu", _CPU, "-smp", str(PROCESSORS), "-m", str(MEMORY)]
        argv += ["-kernel", str(self._image.kernel), "-initrd", str(sockets / "initrd"), "-append", append]
        argv += ["-drive", f"file={self._image.root},if=virtio,format=raw,snapshot=on"]  # as new at every start
        argv += ["-drive", f"file={self.disk},if=virtio,format=raw,cache=writeback,discard=unmap"]
        if self._libraries is not None:
            argv += ["-drive", f"file={self._libraries},if=virtio,format=raw,readonly=on"]
        argv += ["-serial", f"file:{self._folder / self._name}.console"]
        argv += ["-chardev", f"socket,id=wire,path={sockets / 'wire'},server=on,wait=off"]
        argv += ["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=wire,name=lab"]
        argv += ["-qmp", f"unix:{sockets / 'qmp'},server=on,wait=off"]
        return [*argv, *network]

    def _wired(self, path: Path) -> Wire:
        """Connect as soon as qemu listens: it binds the socket and then listens, and tells nobody of either."""
        assert self._qemu is not None
        while True:
            try:
                return Wire(path)
            except (FileNotFoundError, ConnectionRefusedError):
                if self._qemu.poll() is not None:
                    raise self._failed("qemu does not start") from None
            time.sleep(0.01)

    def _monitor(self, command: str, arguments: dict[str, object]) -> None:
        """Ask qemu (QEMU QMP Reference Manual: greeting, capabilities, then commands, a JSON object on each line)."""
        if self._sockets is None:
            raise MachineError(f"{self._name} has no power")
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._sockets / "qmp"))
            with monitor.makefile("rw") as lines:
                lines.readline()
                for asked in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    lines.write(json.dumps(asked) + "\n")
                    lines.flush()
                    while "event" in (answer := json.loads(lines.readline())):
                        pass
                    if "return" not in answer:
                        raise self._failed(f"{command}: {answer}")

    def _failed(self, what: str) -> MachineError:
        said = (self._folder / f"{self._name}.qemu").read_text(errors="replace")
        return MachineError(f"{self._name} {what}\n{said}\n--- console\n{self.console()[-_TAIL:]}")


def _make_disk(path: Path) -> None:
    """Make a sparse disk with one partition from the first MiB to the end, in a table as old as the PC."""
    first, last = 2048, DISK_SIZE // 512
    entry = struct.pack("<8sII", bytes([0, 0, 0, 0, 0xBF, 0, 0, 0]), first, last - first)
    with path.open("wb") as disk:
        disk.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
        disk.truncate(DISK_SIZE)


@contextlib.contextmanager
def running(machine: Machine) -> Iterator[Machine]:
    """Run a machine; it and its disk are gone afterwards."""
    with booting([machine]):
        yield machine


@contextlib.contextmanager
def booting(machines: Sequence[Machine]) -> Iterator[None]:
    """Run machines, booted side by side; they and their disks are gone afterwards."""
    with contextlib.ExitStack() as stack:
        for machine in machines:
            stack.callback(machine.disk.unlink, missing_ok=True)
            stack.callback(machine.cut_power)
            machine.power_on()
        for machine in machines:
            machine.wait_up()
        yield


@contextlib.contextmanager
def running_pair(image: Image, folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Run two machines, 10.9.0.1 `one` and 10.9.0.2 `two`, joined by a network of their own."""
    with network() as joined:
        one, two = (Machine(image, folder, name, link=joined.link(name, n)) for n, name in enumerate(("one", "two"), 1))
        with booting((one, two)):
            yield one, two
