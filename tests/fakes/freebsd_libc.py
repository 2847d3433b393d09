"""libc's calls about mounts on a FreeBSD host that is told: arguments are read as the kernel reads them.

sys/kern/vfs_mount.c (vfs_buildopts, vfs_donmount, sys_unmount), sys/kern/vfs_syscalls.c (kern_getfsstat).
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaild.adapters.freebsd.mount_calls import Iovec, Statfs
from tests.fakes.freebsd_mount_table import MountTable

_MNAMELEN = 1024
_FORCE, _BY_FSID = 0x00080000, 0x08000000
_OPTIONS = {"nullfs": {"target", "from", "nocache"}, "tmpfs": {"from", "size", "mode"}, "devfs": {"from", "ruleset"}}


@dataclass
class FakeLibc:
    """Implements `jaild.adapters.freebsd.mount_calls.Libc`."""

    table: MountTable
    version: int = 0x20140518
    came: int = 0  # mounts that come while the table is asked for, once
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


def values_told(libc: FakeLibc) -> list[Mapping[str, bytes]]:
    """Return what each nmount was told, without what it answers in."""
    return [{name: value for name, value in values.items() if name != "errmsg"} for values in libc.told]


def _text(value: bytes) -> str:
    return value.removesuffix(b"\0").decode()


def _failed(number: int) -> int:
    ctypes.set_errno(number)
    return -1 if number else 0
