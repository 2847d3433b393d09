"""Gets a zfs-fuse going again that waits for what does not come (Linux only).

    poll of all mounts ──> one is readable ──> read it ──> let another thread poll ──> serve the request
                                                └── the request is gone: waits, and everybody else waits for it

zfs-fuse 0.7 reads with its lock held, from a file that blocks. When who asked was killed before his request was read,
no mount of the pool answers any more until somebody asks something of that very mount (seen with zfs-fuse 0.7.0-25 on
Linux 6.18: 17 times in 60 rounds of five changes of a jail). So whenever one of its threads stays in that read, each
mount is asked something. Making the files non-blocking is no way out: it then serves its last request a second time.

A mount is asked by its device number where the kernel has ustat(2). By path the question may not get there: the kernel
asks each mount on the way whether the name is still right, and those wait like everybody (seen: once in 80 migrations).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import select
import threading
from pathlib import Path

_PAUSE = 0.1  # seconds between looks (half a ms each): nothing tells when it waits
_READING = b"fuse_dev_do_read"  # the kernel function that waits for a request (/proc/PID/wchan, proc(5))
USTAT = {"x86_64": 136}.get(platform.machine())  # its number; newer architectures have none
_ESCAPE = re.compile(r"\\([0-7]{3})")


class FuseWaker:
    """Watches the zfs-fuse `pid` of `pool` in a thread of its own, until either process ends."""

    def __init__(self, pid: int, pool: str) -> None:
        self._pid = pid
        self._pool = pool
        self._asking: dict[str, threading.Thread] = {}  # by device

    def start(self) -> None:
        """Begin. Not a task: the event loop itself may be waiting for the pool."""
        threading.Thread(target=self._watch, name=f"wake zfs-fuse {self._pid}", daemon=True).start()

    def _watch(self) -> None:
        try:
            process = os.pidfd_open(self._pid)
        except ProcessLookupError:
            return
        try:
            before: frozenset[str] = frozenset()
            while not select.select([process], [], [], _PAUSE)[0]:
                now = reading(self._pid)
                if before & now:
                    self._ask_all()
                before = now
        finally:
            os.close(process)

    def _ask_all(self) -> None:
        """Ask each mount, all at once: those that have nothing to do with it wait as everybody does."""
        self._asking = {device: thread for device, thread in self._asking.items() if thread.is_alive()}
        try:
            table = Path(f"/proc/{self._pid}/mountinfo").read_text("utf-8", "surrogateescape")
        except OSError:
            return  # it ended: there is nothing to wake
        for device, point in mount_points(table, self._pool).items():
            if device not in self._asking:
                self._asking[device] = threading.Thread(target=_ask, args=(device, point), daemon=True)
                self._asking[device].start()


def reading(pid: int) -> frozenset[str]:
    """Return the threads of a process that wait for a request of a mount."""
    found = set()
    # By system calls: a hundred threads are looked at ten times a second, also while their pool serves a stream.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended: there is nothing to wake
        for thread in (each.name for each in os.scandir(f"/proc/{pid}/task")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread of it did
                if _function(f"/proc/{pid}/task/{thread}/wchan") == _READING:
                    found.add(thread)
    return frozenset(found)


def _function(file: str) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 128)  # more than the name of any function
    finally:
        os.close(descriptor)


def mount_points(mountinfo: str, pool: str) -> dict[str, str]:
    """Return the device of each mounted dataset of a zfs-fuse's pool, with one place where it is mounted.

    From the text of mountinfo (proc(5)). A dataset may be mounted in many jails too.
    """
    found: dict[str, str] = {}
    for line in mountinfo.splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, source = filesystem.split(" ")[:2]
        if kind.startswith("fuse") and source.partition("/")[0] == pool:
            device, point = mount.split(" ")[2], mount.split(" ")[4]
            found.setdefault(device, _ESCAPE.sub(lambda match: chr(int(match[1], 8)), point))
    return found


def _ask(device: str, point: str) -> None:
    if USTAT is not None:
        major, _, minor = device.partition(":")
        ask_device(os.makedev(int(major), int(minor)))
        return
    with contextlib.suppress(OSError):  # unmounted meanwhile; the answer is of no interest
        os.statvfs(point)


def ask_device(number: int) -> bool:
    """Ask the file system of a device something; return whether it answered. Needs `ustat(2)`, see `USTAT`."""
    answer = ctypes.create_string_buffer(64)  # struct ustat has 32 bytes
    return bool(ctypes.CDLL(None).syscall(USTAT, ctypes.c_uint(number), answer) == 0)
