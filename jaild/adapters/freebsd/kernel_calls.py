"""The kernel asked by jail_get(2), jail_remove(2), sysctlbyname(3), if_nameindex(3), each in a thread of its own."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from jaild.adapters.freebsd import libc as freebsd_libc
from jaild.adapters.freebsd.kernel import Jail, System
from jaild.adapters.freebsd.libc import Libc, vector
from jaild.adapters.freebsd.mount_calls import MountCalls
from jaild.adapters.system.own_thread import in_own_thread
from jaild.model.errors import FailedPreconditionError, InternalError, UnavailableError

if TYPE_CHECKING:
    from jaild.adapters.freebsd.libc import Text

_DYING = 0x08  # JAIL_DYING: also those (15.1: sys/sys/jail.h:103)
_NAME, _PATH = 256, 1024  # MAXHOSTNAMELEN, MAXPATHLEN (15.1: sys/sys/param.h)
_TEXTS = frozenset({"kern.osrelease", "hw.machine_arch"})  # all other values that are asked for are numbers
_PROCESSES = "kern.proc.proc"  # sysctl(3), KERN_PROC_PROC: all of them, without their threads


class Process(ctypes.Structure):
    """The parts of struct kinfo_proc (15.1: sys/sys/user.h:125) that are read; KINFO_PROC_SIZE, 1088 bytes."""

    _fields_ = (
        ("ki_structsize", ctypes.c_int),
        ("_1", ctypes.c_char * 68),
        ("ki_pid", ctypes.c_int32),
        ("_2", ctypes.c_char * 371),
        ("ki_comm", ctypes.c_char * 20),
        ("_3", ctypes.c_char * 125),
        ("ki_jid", ctypes.c_int),
        ("_4", ctypes.c_char * 492),
    )


def system(calls: Libc) -> System:
    """Return a host that is asked by system calls."""
    return System(MountCalls(calls), KernelCalls(calls))


class KernelCalls:
    """Implements `jaild.adapters.freebsd.kernel.Kernel`."""

    def __init__(self, calls: Libc, interfaces: Callable[[], Iterable[tuple[int, str]]] = socket.if_nameindex) -> None:
        self._calls = calls
        self._interfaces = interfaces

    async def jails(self) -> list[Jail]:
        """Ask for one after the other, in the order of their numbers."""
        return await in_own_thread(self._jails, "jail_get")

    async def remove_jail(self, jid: int) -> None:
        """Call jail_remove(2)."""
        await in_own_thread(partial(self._remove, jid), f"jail_remove {jid}")

    async def processes(self, jid: int) -> dict[int, str]:
        """Look for them among all."""
        return (await self.all_processes()).get(jid, {})

    async def all_processes(self) -> dict[int, dict[int, str]]:
        """Read kern.proc.proc. `UnavailableError` (RUNTIME_MISSING) if it has another form than is known here."""
        return await in_own_thread(self._processes, _PROCESSES)

    async def values(self, *names: str) -> Mapping[str, str]:
        """Call sysctlbyname(3) for each."""
        return await in_own_thread(partial(self._values, names), "sysctl")

    async def interfaces(self) -> frozenset[str]:
        """Call if_nameindex(3)."""
        return frozenset(name for _, name in await in_own_thread(self._interfaces, "if_nameindex"))

    def _jails(self) -> list[Jail]:
        found: list[Jail] = []
        while (jail := self._jail_after(found[-1].jid if found else 0)) is not None:
            found.append(jail)
        return found

    def _jail_after(self, last: int) -> Jail | None:
        """Return the jail with the next number; None if there is none (15.1: sys/kern/kern_jail.c:2578)."""
        number = ctypes.create_string_buffer(last.to_bytes(4, sys.byteorder), 4)
        name, path = ctypes.create_string_buffer(_NAME), ctypes.create_string_buffer(_PATH)
        dying, said = ctypes.create_string_buffer(4), ctypes.create_string_buffer(freebsd_libc.ERRMSG)
        values: dict[bytes, Text] = {b"lastjid": number, b"name": name, b"path": path, b"dying": dying, b"errmsg": said}
        texts = [text for key, value in values.items() for text in (ctypes.create_string_buffer(key), value)]
        jid = self._calls.jail_get(vector(texts), len(texts), _DYING)
        if jid >= 0:
            return Jail(jid=jid, name=os.fsdecode(name.value), path=os.fsdecode(path.value), dying=any(bytes(dying)))
        if (cause := ctypes.get_errno()) != errno.ENOENT:
            raise _failed("jail_get", cause, os.fsdecode(said.value))
        return None

    def _remove(self, jid: int) -> None:
        if self._calls.jail_remove(jid) != 0:
            cause = ctypes.get_errno()
            if cause == errno.EINVAL:  # there is no such jail (15.1: sys/kern/kern_jail.c, sys_jail_remove)
                raise FailedPreconditionError(
                    "RUN_NOT_RUNNING", f"there is no jail {jid}", hint="start it first", resource=str(jid)
                )
            raise _failed(f"jail_remove of {jid}", cause)

    def _processes(self) -> dict[int, dict[int, str]]:
        data = self._value(_PROCESSES) or b""
        size = ctypes.sizeof(Process)
        if len(data) % size or not data or Process.from_buffer_copy(data).ki_structsize != size:
            raise UnavailableError(
                "RUNTIME_MISSING",
                f"{_PROCESSES} has another form than is known here: {len(data)} bytes",
                hint="put `system_calls: false` into the daemon's configuration",
            )
        found: dict[int, dict[int, str]] = {}
        for process in (Process * (len(data) // size)).from_buffer_copy(data):
            found.setdefault(process.ki_jid, {})[process.ki_pid] = os.fsdecode(process.ki_comm)
        return found

    def _values(self, names: Iterable[str]) -> Mapping[str, str]:
        read = ((name, self._value(name)) for name in names)
        return {name: _text(name, value) for name, value in read if value is not None}

    def _value(self, name: str) -> bytes | None:
        """Return a value as the kernel has it; None if there is none of the name."""
        asked = name.encode("ascii")
        size = ctypes.c_size_t(0)
        while self._calls.sysctlbyname(asked, None, size, None, 0) == 0:
            size.value += size.value // 8  # it may grow until it is asked for
            value = ctypes.create_string_buffer(max(size.value, 1))
            if self._calls.sysctlbyname(asked, value, size, None, 0) == 0:
                return value.raw[: size.value]
            if ctypes.get_errno() != errno.ENOMEM:  # it has grown by more than that
                break
        if (cause := ctypes.get_errno()) != errno.ENOENT:
            raise _failed(f"sysctl {name}", cause)
        return None


def _text(name: str, value: bytes) -> str:
    if name in _TEXTS:
        return os.fsdecode(value.rstrip(b"\0"))
    return str(int.from_bytes(value, sys.byteorder))


def _failed(what: str, number: int, said: str = "") -> InternalError:
    text = os.strerror(number)
    return InternalError(
        "CALL_FAILED",
        f"{what}: {text}{f': {said}' if said else ''}",
        hint="the daemon must be root, and not in a jail; else try again with `system_calls: false`",
        detail={"errno": errno.errorcode.get(number, str(number)), "stderr": text},
    )
