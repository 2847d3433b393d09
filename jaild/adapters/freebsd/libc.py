"""FreeBSD's system calls about mounts, jails and sysctls, by ctypes: how they are called, and told names and values.

The layouts that callers rely on are the same in FreeBSD 13 to 15, on amd64 and arm64.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

ERRMSG = 255  # bytes that mount(8) has for what the kernel says beside an error's number; libjail has 1024

if TYPE_CHECKING:
    Text = ctypes.Array[ctypes.c_char]
_CALLS = ("nmount", "unmount", "getfsstat", "jail_get", "jail_remove", "sysctlbyname")


class Iovec(ctypes.Structure):
    """struct iovec (15.1: sys/sys/_iovec.h:43)."""

    _fields_ = (("iov_base", ctypes.c_void_p), ("iov_len", ctypes.c_size_t))


class Libc(Protocol):
    """What is called. All return -1 on an error, whose number ctypes.get_errno() has in the same thread."""

    def nmount(self, options: ctypes.Array[Iovec], count: int, flags: int, /) -> int:
        """Mount by pairs of names and values, all with their NUL; `errmsg` is written to."""

    def unmount(self, name: bytes, flags: int, /) -> int:
        """Unmount a path, or FSID:number:number."""

    def getfsstat(self, table: ctypes.Array[Any] | None, size: int, mode: int, /) -> int:
        """Fill `table`, of `size` bytes; return how many mounts there are in it, without a table how many there are."""

    def jail_get(self, parameters: ctypes.Array[Iovec], count: int, flags: int, /) -> int:
        """Write a jail's parameters over the values of `parameters`; return its jid."""

    def jail_remove(self, jid: int, /) -> int:
        """Kill all that runs in a jail, and remove it."""

    def sysctlbyname(self, name: bytes, value: Text | None, size: ctypes.c_size_t, new: None, new_size: int, /) -> int:
        """Write a value, and into `size` how many bytes it has; without `value` how many it may have."""


def libc() -> Libc | None:
    """Return this system's; None where it has not these calls."""
    found = ctypes.CDLL(None, use_errno=True)
    if not all(hasattr(found, name) for name in _CALLS):
        return None
    found.nmount.argtypes = (ctypes.POINTER(Iovec), ctypes.c_uint, ctypes.c_int)
    found.unmount.argtypes = (ctypes.c_char_p, ctypes.c_int)
    found.getfsstat.argtypes = (ctypes.c_void_p, ctypes.c_long, ctypes.c_int)
    found.jail_get.argtypes = (ctypes.POINTER(Iovec), ctypes.c_uint, ctypes.c_int)
    found.jail_remove.argtypes = (ctypes.c_int,)
    size = ctypes.POINTER(ctypes.c_size_t)
    found.sysctlbyname.argtypes = (ctypes.c_char_p, ctypes.c_void_p, size, ctypes.c_void_p, ctypes.c_size_t)
    return found


def vector(texts: Sequence[Text]) -> ctypes.Array[Iovec]:
    """Return names and values, by turns, as the kernel takes them. `texts` must be kept for as long as this is used."""
    return (Iovec * len(texts))(*(Iovec(ctypes.addressof(text), len(text)) for text in texts))
