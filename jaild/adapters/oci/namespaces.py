"""Network namespaces with names, as ip-netns(8) keeps them: what one makes or enters, its thread is in from then on.

So each is for a thread of its own (`jaild.adapters.system.own_thread`), which ends with it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/run/netns")

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of linux/sched.h
_BIND, _WITH_ALL_BELOW, _SHARED, _DETACH = 0x1000, 0x4000, 1 << 20, 2  # MS_BIND, MS_REC, MS_SHARED, MNT_DETACH
_OWN = b"/proc/thread-self/ns/net"


def make(name: str) -> int:
    """Make a namespace, with this thread in it, and return a descriptor of it. Raises `OSError`: EEXIST."""
    _prepare()
    path = FOLDER / name
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
    _call("unshare", _NEW_NETWORK)
    _call("mount", _OWN, os.fsencode(path), b"none", ctypes.c_ulong(_BIND), None)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def enter(path: Path) -> None:
    """Put this thread into a namespace: one of `FOLDER`, or that of a process."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", descriptor, _NEW_NETWORK)
    finally:
        os.close(descriptor)


def remove(name: str) -> None:
    """Take a namespace's name away, and with it the namespace if nothing runs in it. No error if there is none."""
    path = FOLDER / name
    try:
        _call("umount2", os.fsencode(path), _DETACH)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOENT}:  # EINVAL: what a crash left of `make`, no mount yet
            raise
    with suppress(FileNotFoundError):
        path.unlink()


def _prepare() -> None:
    """Have what is mounted and unmounted below the folder told to other mount namespaces, as ip-netns(8) does.

    Else a copy of the mount, in the namespace of a service that was started meanwhile, would keep each alive.
    """
    FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder, shared = os.fsencode(FOLDER), ctypes.c_ulong(_SHARED | _WITH_ALL_BELOW)
    try:
        _call("mount", b"", folder, b"none", shared, None)
    except OSError as error:
        if error.errno != errno.EINVAL:  # it is no mount point
            raise
        _call("mount", folder, folder, b"none", ctypes.c_ulong(_BIND | _WITH_ALL_BELOW), None)
        _call("mount", b"", folder, b"none", shared, None)


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
