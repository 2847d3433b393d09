"""Mounting by nmount(2), unmount(2) and getfsstat(2), by ctypes.

What mount(8), mount_nullfs(8) and umount(8) do around them and is left out: mount(8) has mountd(8) read its exports
again, and umount(8) begins with sync(2). Neither is needed for jails' trees.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jaild.adapters.files.errors import explain
from jaild.adapters.freebsd import errors
from jaild.adapters.freebsd.libc import ERRMSG, Libc, vector
from jaild.adapters.freebsd.mounts import Mounted, NewMount
from jaild.adapters.system.own_thread import in_own_thread
from jaild.model.errors import JaildError, UnavailableError

if TYPE_CHECKING:
    from jaild.adapters.freebsd.libc import Text

# sys/mount.h
_STATFS_VERSION = 0x20140518  # from FreeBSD 12 on
_NOWAIT = 2
_FORCE, _BY_FSID = 0x00080000, 0x08000000
_MFSNAMELEN, _MNAMELEN = 16, 1024
_SPARE = 16  # mounts that may come between asking how many there are and asking for them


class Statfs(ctypes.Structure):
    """struct statfs (15.1: sys/sys/mount.h:91), 2344 bytes; two spare fields got names in 15, at their places."""

    _fields_ = (
        ("f_version", ctypes.c_uint32),
        ("f_type", ctypes.c_uint32),
        ("f_flags", ctypes.c_uint64),
        ("f_bsize", ctypes.c_uint64),
        ("f_iosize", ctypes.c_uint64),
        ("f_blocks", ctypes.c_uint64),
        ("f_bfree", ctypes.c_uint64),
        ("f_bavail", ctypes.c_int64),
        ("f_files", ctypes.c_uint64),
        ("f_ffree", ctypes.c_int64),
        ("f_syncwrites", ctypes.c_uint64),
        ("f_asyncwrites", ctypes.c_uint64),
        ("f_syncreads", ctypes.c_uint64),
        ("f_asyncreads", ctypes.c_uint64),
        ("f_spare", ctypes.c_uint64 * 10),
        ("f_namemax", ctypes.c_uint32),
        ("f_owner", ctypes.c_uint32),
        ("f_fsid", ctypes.c_int32 * 2),
        ("f_charspare", ctypes.c_char * 80),
        ("f_fstypename", ctypes.c_char * _MFSNAMELEN),
        ("f_mntfromname", ctypes.c_char * _MNAMELEN),
        ("f_mntonname", ctypes.c_char * _MNAMELEN),
    )


class MountCalls:
    """Implements `jaild.adapters.freebsd.mounts.Mounting`: each call in a thread of its own."""

    def __init__(self, calls: Libc) -> None:
        self._calls = calls

    async def table(self) -> list[Mounted]:
        """Return what getfsstat(2) tells; `UnavailableError` (RUNTIME_MISSING) if it tells it in another form."""
        return await in_own_thread(self._table, "getfsstat")

    async def mount(self, new: NewMount) -> None:
        """Have the kernel mount it: it loads the module of the file system if it is not loaded yet."""
        await in_own_thread(partial(self._mount, new), f"mount {new.target}")

    async def unmount(self, mount: Mounted, *, force: bool = False) -> None:
        """Have the kernel unmount it, by its fsid."""
        await in_own_thread(partial(self._unmount, mount, _FORCE if force else 0), f"unmount {mount.target}")

    def _table(self) -> list[Mounted]:
        count = self._calls.getfsstat(None, 0, _NOWAIT)
        while count >= 0:
            table = (Statfs * (count + _SPARE))()
            count = self._calls.getfsstat(table, ctypes.sizeof(table), _NOWAIT)
            if 0 <= count < len(table):  # a full one may have left out some
                return [_read(entry) for entry in table[:count]]
        number = ctypes.get_errno()
        raise explain(OSError(number, f"getfsstat: {os.strerror(number)}"), Path("/"))

    def _mount(self, new: NewMount) -> None:
        said = ctypes.create_string_buffer(ERRMSG)
        texts = values_of(new, said)
        if self._calls.nmount(vector(texts), len(texts), 0) != 0:
            raise _mount_refused(ctypes.get_errno(), said.value.decode("utf-8", "replace"), new)

    def _unmount(self, mount: Mounted, flags: int) -> None:
        name = str(mount.target)
        if mount.fsid:
            name, flags = "FSID:{}:{}".format(*struct.unpack("=2i", bytes.fromhex(mount.fsid))), flags | _BY_FSID
        if self._calls.unmount(os.fsencode(name), flags) != 0:
            number = ctypes.get_errno()
            text = f"unmount of {mount.target} failed: {os.strerror(number)}"
            if number == errno.EBUSY:
                raise _told(errors.busy(text, str(mount.target)), text)
            raise _told(explain(OSError(number, text), mount.target), text)


def values_of(new: NewMount, said: Text) -> list[Text]:
    """Return names and values by turns, as nmount(2) is told them; in `said`, the last, it answers.

    All end with NUL, which the kernel looks for. A layer's path goes without links, as mount_nullfs(8) gives it: the
    mount table shows what was given.
    """
    of_source = ("target", os.path.realpath(new.source)) if new.kind == "nullfs" else ("from", new.source)
    told = {**new.options, "fstype": new.kind, "fspath": str(new.target), of_source[0]: of_source[1]}
    words = (word for pair in told.items() for word in pair)
    return [*(ctypes.create_string_buffer(os.fsencode(word)) for word in (*words, "errmsg")), said]


def _read(entry: Statfs) -> Mounted:
    if entry.f_version != _STATFS_VERSION:
        raise UnavailableError(
            "RUNTIME_MISSING",
            f"the mount table has another form than is known here: version {entry.f_version:#x}",
            hint="put `system_calls: false` into the daemon's configuration",
        )
    return Mounted(
        source=os.fsdecode(entry.f_mntfromname),
        target=Path(os.fsdecode(entry.f_mntonname)),
        kind=os.fsdecode(entry.f_fstypename),
        fsid=bytes(entry.f_fsid).hex() if any(entry.f_fsid) else "",
    )


def _mount_refused(number: int, said: str, new: NewMount) -> JaildError:
    text = f"nmount of {new.kind} {new.source} on {new.target}: {os.strerror(number)}{f': {said}' if said else ''}"
    target = str(new.target)
    if number == errno.ENOENT:
        missing = new.kind == "nullfs" and not Path(new.source).is_dir()
        return _told(errors.source_missing(text, target) if missing else errors.target_missing(text, target), text)
    if number in {errno.EBUSY, errno.EDEADLK}:  # mounted on already: over it, or the same layer once more
        return _told(errors.busy(text, target), text)
    return _told(explain(OSError(number, text), new.target), text)


def _told(error: JaildError, text: str) -> JaildError:
    error.detail["stderr"] = text
    return error
