"""libc's calls on a FreeBSD host that is told: arguments are read as the kernel reads them.

sys/kern/vfs_mount.c (vfs_buildopts, vfs_donmount, sys_unmount, vfs_setopts), sys/kern/vfs_syscalls.c (kern_getfsstat),
sys/kern/kern_jail.c (kern_jail_get, sys_jail_remove), sys/kern/kern_proc.c (sysctl_kern_proc).
"""

from __future__ import annotations

import ctypes
import errno
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaild.adapters.freebsd.kernel_calls import KernelCalls, Process
from jaild.adapters.freebsd.libc import Iovec
from jaild.adapters.freebsd.mount_calls import Statfs
from tests.fakes.freebsd_host import FreebsdHost
from tests.fakes.freebsd_mount_table import MountTable

_MNAMELEN = 1024
_FORCE, _BY_FSID = 0x00080000, 0x08000000
_OPTIONS = {"nullfs": {"target", "from", "nocache"}, "tmpfs": {"from", "size", "mode"}, "devfs": {"from", "ruleset"}}


@dataclass
class FakeLibc:
    """Implements `jaild.adapters.freebsd.libc.Libc`."""

    table: MountTable
    host: FreebsdHost = field(default_factory=FreebsdHost)
    version: int = 0x20140518  # of struct statfs
    process_size: int = 1088  # that struct kinfo_proc says it has
    came: int = 0  # mounts or processes that come while they are asked for, once
    told: list[dict[str, bytes]] = field(default_factory=list)  # of each nmount: values by name

    def nmount(self, options: ctypes.Array[Iovec], count: int, flags: int, /) -> int:
        assert (flags, count % 2) == (0, 0)
        texts = [ctypes.string_at(each.iov_base, each.iov_len) for each in options[:count]]
        values = dict(zip(texts[::2], texts[1::2], strict=True))
        assert all(name.endswith(b"\0") for name in values)
        self.told.append({name[:-1].decode(): value for name, value in values.items()})
        number, said = self._mount(self.told[-1])
        if said:
            answer = options[2 * list(values).index(b"errmsg\0") + 1]
            ctypes.memmove(answer.iov_base, said.encode() + b"\0", len(said) + 1)
        return _failed(number)

    def _mount(self, values: Mapping[str, bytes]) -> tuple[int, str]:
        """Mount; return an error's number and what is said beside it."""
        invalid = [name for name in ("fstype", "fspath") if not values.get(name, b"").endswith(b"\0")]
        kind = _text(values.get("fstype", b""))
        if invalid or kind not in _OPTIONS or kind in self.table.refused:
            return errno.EINVAL, f"Invalid {(*invalid, 'fstype')[0]}"
        if len(values["fspath"]) > _MNAMELEN:
            return errno.ENAMETOOLONG, ""
        if unknown := values.keys() - {"fstype", "fspath", "errmsg", "ro"} - _OPTIONS[kind]:
            return errno.EINVAL, f"mount option <{min(unknown)}> is unknown"
        source = values["target" if kind == "nullfs" else "from"]
        if not source.endswith(b"\0"):
            return errno.EINVAL, ""
        options = {name: _text(value) for name, value in values.items() if name in {"ro", "size", "mode", "ruleset"}}
        return self.table.add(kind, _text(source), _text(values["fspath"]), options), ""

    def unmount(self, name: bytes, flags: int, /) -> int:
        assert flags & _BY_FSID
        word, first, second = name.decode().split(":")
        assert word == "FSID"
        fsid = struct.pack("=2i", int(first), int(second)).hex()
        return _failed(self.table.take(fsid, force=bool(flags & _FORCE)))

    def getfsstat(self, table: ctypes.Array[Statfs] | None, size: int, mode: int, /) -> int:
        assert mode == 2, "it would wait for file systems that do not answer"
        if table is None:
            return len(self.table.mounts)
        for _ in range(self.came):
            self.table.mounts.append(self.table.mounts[0])
        self.came = 0
        fits = self.table.mounts[: size // ctypes.sizeof(Statfs)]
        for entry, mount in zip(table, fits, strict=False):
            entry.f_version = self.version
            entry.f_flags = 1 if "ro" in mount.options else 0
            entry.f_fsid[:] = struct.unpack("=2i", bytes.fromhex(mount.fsid or "0" * 16))
            entry.f_fstypename, entry.f_mntfromname = mount.kind.encode(), mount.source.encode()
            entry.f_mntonname = mount.target.encode()
        return len(fits)

    def jail_get(self, parameters: ctypes.Array[Iovec], count: int, flags: int, /) -> int:
        assert flags == 0x08, "or there would be none that is dying"
        texts = [ctypes.string_at(each.iov_base, each.iov_len) for each in parameters[:count]]
        places = {_text(name): parameters[2 * at + 1] for at, name in enumerate(texts[::2])}
        assert len(texts[1]) == 4
        last = int.from_bytes(texts[2 * list(places).index("lastjid") + 1], sys.byteorder)
        jail = next((each for jid, each in sorted(self.host.jails.items()) if jid > last), None)
        if jail is None:
            self._write(places["errmsg"], f"no jail after {last}\0".encode())
            return _failed(errno.ENOENT)
        for name in ("name", "path"):
            if not self._write(places[name], getattr(jail, name).encode() + b"\0"):
                return _failed(errno.EINVAL)
        assert places["dying"].iov_len == 4
        self._write(places["dying"], int(jail.dying).to_bytes(4, sys.byteorder))
        return jail.jid

    @staticmethod
    def _write(place: Iovec, value: bytes) -> bool:
        if len(value) > place.iov_len:
            return False
        ctypes.memmove(place.iov_base, value, len(value))
        return True

    def jail_remove(self, jid: int, /) -> int:
        if jid not in self.host.jails:
            return _failed(errno.EINVAL)
        self.host.remove(jid)
        return 0

    def sysctlbyname(
        self,
        name: bytes,
        value: ctypes.Array[ctypes.c_char] | None,
        size: ctypes.c_size_t,
        new: None,
        new_size: int,
        /,
    ) -> int:
        assert (new, new_size) == (None, 0)
        found = self._processes() if name == b"kern.proc.proc" else self._sysctl(name.decode())
        if found is None:
            return _failed(errno.ENOENT)
        if value is None:
            size.value = len(found)
            for _ in range(self.came):
                self.host.spawn(0, "came-meanwhile")
            self.came = 0
            return 0
        if len(found) > size.value:
            return _failed(errno.ENOMEM)
        size.value = len(found)
        ctypes.memmove(value, found, len(found))
        return 0

    def _sysctl(self, name: str) -> bytes | None:
        value = self.host.sysctls.get(name)
        if value is None or not value.isdigit():
            return None if value is None else value.encode() + b"\0"
        return int(value).to_bytes(4 if int(value) < 1 << 32 else 8, sys.byteorder)

    def _processes(self) -> bytes:
        found = [(0, 1, "init"), *((p.jid, p.pid, p.name) for p in self.host.running.values())]
        made = (
            Process(ki_structsize=self.process_size, ki_pid=pid, ki_comm=name.encode()[:19], ki_jid=jid)
            for jid, pid, name in found
        )
        return b"".join(map(bytes, made))

    def kernel(self) -> KernelCalls:
        """Return what asks this host by its calls."""
        return KernelCalls(self, lambda: [(0, name) for name, i in self.host.interfaces.items() if not i.jid])


def values_told(libc: FakeLibc) -> list[Mapping[str, bytes]]:
    """Return what each nmount was told, without what it answers in."""
    return [{name: value for name, value in values.items() if name != "errmsg"} for values in libc.told]


def _text(value: bytes) -> str:
    return value.removesuffix(b"\0").decode()


def _failed(number: int) -> int:
    ctypes.set_errno(number)
    return -1 if number else 0
