"""The Linux kernel's calls about mounts, by descriptors: what is mounted where cannot be led astray by a link.

mount(8) gets two paths and looks each up again after whoever checked them. Here a mount is made without a place
(open_tree(2), fsopen(2), fsmount(2)), gets its flags (mount_setattr(2)), and is put onto a folder that is held open
(move_mount(2)). All are there from Linux 5.12 on; their numbers are the same on every machine but alpha.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from jaild.model.errors import UnavailableError

_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442

_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_FROM_EMPTY_PATH, _MOVE_TO_EMPTY_PATH = 0x04, 0x40
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_SET_STRING, _CREATE = 1, 6
_PRIVATE = 1 << 18
_UMOUNT_NOFOLLOW = 8

READ_ONLY, NO_SUID, NO_DEVICES, NO_PROGRAMS = 1, 2, 4, 8  # MOUNT_ATTR_…


class _Attributes(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def bind(folder: int) -> int:
    """Return a descriptor of a new mount of an open folder, without what is mounted below; it has no place yet.

    Raises `OSError` as it comes, `UnavailableError` (RUNTIME_MISSING) on a kernel before 5.12: so do the others.
    """
    flags = _OPEN_TREE_CLONE | _AT_EMPTY_PATH | os.O_CLOEXEC
    return _call("open_tree", _OPEN_TREE, ctypes.c_int(folder), b"", ctypes.c_uint(flags))


def tmpfs(options: Mapping[str, str]) -> int:
    """Return a descriptor of a new tmpfs, mounted but with no place yet: it is gone when it is closed."""
    context = _call("fsopen", _FSOPEN, b"tmpfs", ctypes.c_uint(_FSOPEN_CLOEXEC))
    try:
        for name, value in {"source": "tmpfs", **options}.items():
            words = (name.encode(), value.encode(), ctypes.c_int(0))
            _call("fsconfig", _FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_SET_STRING), *words)
        nothing = (None, None, ctypes.c_int(0))
        _call("fsconfig", _FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_CREATE), *nothing)
        return _call("fsmount", _FSMOUNT, ctypes.c_int(context), ctypes.c_uint(_FSMOUNT_CLOEXEC), ctypes.c_uint(0))
    finally:
        os.close(context)


def place(mount: int, folder: int, flags: int) -> None:
    """Put a mount that has no place onto an open folder, with exactly `flags`, and private before and after."""
    _set(mount, flags, (READ_ONLY | NO_SUID | NO_DEVICES | NO_PROGRAMS) & ~flags)
    ends = (ctypes.c_int(mount), b"", ctypes.c_int(folder), b"")
    _call("move_mount", _MOVE_MOUNT, *ends, ctypes.c_uint(_MOVE_FROM_EMPTY_PATH | _MOVE_TO_EMPTY_PATH))
    # Again: on a shared mount, as the run folder's may be, it becomes a shared one (mount_namespaces(7)).
    _set(mount, 0, 0)


def number(descriptor: int) -> int:
    """Return the mount ID, as mountinfo shows it, of the mount that a descriptor is in."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return next(int(line.removeprefix("mnt_id:")) for line in lines if line.startswith("mnt_id:"))


def unmount(folder: int, name: str) -> None:
    """Unmount what is mounted on `name` in an open folder, if nobody uses it. Raises `OSError`: EBUSY, EINVAL.

    There is no umount2 by descriptor. This path leads by the descriptor into the folder, and a link there is not
    followed; a descriptor of the mount itself would be what keeps it busy.
    """
    path = f"/proc/self/fd/{folder}/{name}"
    if _libc().umount2(os.fsencode(path), ctypes.c_int(_UMOUNT_NOFOLLOW)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"umount2: {os.strerror(code)}", name)


def _set(mount: int, flags: int, cleared: int) -> None:
    wanted = _Attributes(attr_set=flags, attr_clr=cleared, propagation=_PRIVATE)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    arguments = (ctypes.c_int(mount), b"", ctypes.c_uint(_AT_EMPTY_PATH), ctypes.byref(wanted), size)
    _call("mount_setattr", _MOUNT_SETATTR, *arguments)


def _call(name: str, code: int, *arguments: object) -> int:
    result = int(_libc().syscall(ctypes.c_long(code), *arguments))
    if result >= 0:
        return result
    failed = ctypes.get_errno()
    if failed == errno.ENOSYS:
        raise UnavailableError(
            "RUNTIME_MISSING",
            f"this kernel ({os.uname().release}) has no {name}(2)",
            hint="run Linux 5.12 or later: jaild mounts by descriptors",
        )
    raise OSError(failed, f"{name}: {os.strerror(failed)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
