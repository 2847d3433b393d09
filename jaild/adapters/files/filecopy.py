"""One open file, or folder, made like another: content with its holes, owner, mode, time, extended attributes.

Extended attributes come where Python has calls for them (Linux; POSIX ACLs are among them, as system.posix_acl_*), and
where the file system keeps them. On FreeBSD they and ACLs do not. File flags never do: what is immutable in a layer is
to be changed in a copy.

Each change of an attribute is a transaction of the file system, whose number decides how long a tree takes: what is so
already is left.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Mapping

from jaild.model.errors import CancelledError

_PIECE = 1 << 20
_BLOCK = 64 << 10  # bytes: zeros of this length become a hole
_CAN_LIST = hasattr(os, "listxattr")
# Not what a security module says of a place (security.selinux).
_CARRIED = ("user.", "trusted.", "security.capability", "system.posix_acl_")


def write(original: int, copy: int, stopped: threading.Event) -> None:
    """Write the content into an empty file; zeros become holes. `stopped` set: `CancelledError`."""
    offset = end = 0
    while piece := os.pread(original, _PIECE, offset):
        if stopped.is_set():
            raise CancelledError("CANCELLED", "copying a tree was cancelled")
        for start in range(0, len(piece), _BLOCK):
            block = piece[start : start + _BLOCK]
            if block.count(0) != len(block):
                _write_all(copy, memoryview(block), offset + start)
                end = offset + start + len(block)
        offset += len(piece)
    if end != offset:  # it ends with a hole
        os.ftruncate(copy, offset)


def first_mode(uid: int, mode: int, least: int = 0o600) -> int:
    """Return the mode to make a file with, before it has its owner: its own if that gives nobody more until then."""
    is_mine = uid == os.geteuid() and mode >> 3 & 7 == mode & 7
    return mode & 0o777 | least if is_mine else least


def own(copy: int, uid: int, gid: int) -> None:
    """Give it owner and group."""
    has = os.fstat(copy)
    if (has.st_uid, has.st_gid) != (uid, gid):
        os.fchown(copy, uid, gid)


def own_link(name: str, folder: int, uid: int, gid: int) -> None:
    """Give a link in an open folder owner and group."""
    has = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if (has.st_uid, has.st_gid) != (uid, gid):
        os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)


def set_mode(copy: int, mode: int) -> None:
    """Give it its mode. After the owner: changing that takes setuid away."""
    if stat.S_IMODE(os.fstat(copy).st_mode) != mode:
        os.fchmod(copy, mode)


def dress(copy: int, original: int) -> None:
    """Give it owner, mode, time and extended attributes of the original. After the content, which changes time."""
    wanted = os.fstat(original)
    own(copy, wanted.st_uid, wanted.st_gid)
    _equip(copy, attributes(original))  # after the owner: changing that takes security.capability away
    set_mode(copy, stat.S_IMODE(wanted.st_mode))
    os.utime(copy, ns=(wanted.st_mtime_ns, wanted.st_mtime_ns))


def attributes(descriptor: int) -> Mapping[str, bytes]:
    """Return the extended attributes; none where the file system keeps none, or Python has no call for them."""
    if not _CAN_LIST:
        return {}
    try:
        names = [name for name in os.listxattr(descriptor) if name.startswith(_CARRIED)]
        return {name: os.getxattr(descriptor, name) for name in names}
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}


def _equip(copy: int, wanted: Mapping[str, bytes]) -> None:
    have = attributes(copy)
    for name in have.keys() - wanted.keys():
        os.removexattr(copy, name)
    for name, value in wanted.items():
        if have.get(name) == value:
            continue
        try:
            os.setxattr(copy, name, value)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # the dataset keeps none of this kind
                raise


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, offset)
        data, offset = data[done:], offset + done
