"""What a file system keeps of an entry's extras, found by trying: a small file of each kind is unpacked and read back.

Properties do not tell: zfs-fuse has xattr=on and keeps none, acltype says nothing of a mounted file system's options,
and bsdtar is silent about an ACL that a file system refuses (libarchive's archive_acl: EOPNOTSUPP counts as done).
"""

from __future__ import annotations

import asyncio
import io
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from jaild.adapters.archives.tarstream import TarStream
from jaild.model.layers.archive import Extra
from jaild.ports.process import Processes

# An extra as a pax record. Harmless ones: a file with them can be removed again.
_SAMPLES: Mapping[Extra, tuple[str, str]] = {
    Extra.FLAGS: ("SCHILY.fflags", "nodump"),
    Extra.POSIX_ACL: ("SCHILY.acl.access", "user::rw-,group::r--,other::r--,user:1:r--:1,mask::r--"),
    Extra.NFS4_ACL: (
        "SCHILY.acl.ace",
        "owner@:rw-p--aARWcCos:-------:allow,user:1:r-------------:-------:allow:1,everyone@:r-----a-R-c--s:-------:allow",
    ),
    Extra.USER: ("SCHILY.xattr.user.jaild", "1"),
    # linux/capability.h, vfs_cap_data of revision 2: the kernel takes nothing else. It gives CAP_NET_RAW to no program.
    Extra.SECURITY: ("SCHILY.xattr.security.capability", "\x01\0\0\x02\0\x20" + 14 * "\0"),
    Extra.TRUSTED: ("SCHILY.xattr.trusted.jaild", "1"),
    Extra.SYSTEM: ("SCHILY.xattr.system.jaild", "1"),
    Extra.OTHER: ("SCHILY.xattr.other.jaild", "1"),
}


async def not_kept(
    processes: Processes, bsdtar: str, folder: Path, extras: frozenset[Extra], env: Mapping[str, str]
) -> frozenset[Extra]:
    """Return which of `extras` the file system of `folder` does not keep. Leaves nothing in it."""
    if not extras:
        return extras
    scratch = Path(tempfile.mkdtemp(prefix=".jaild-probe.", dir=folder))
    try:
        unpack = [bsdtar, "-x", "-p", "--numeric-owner", "-f", "-", "-C", str(scratch)]
        # What it cannot restore it says by its status; what it did is read back.
        await processes.run(unpack, stdin=_samples(extras), env=env, check=False)
        pack = [bsdtar, "-c", "--format=pax", "-f", "-", "-C", str(scratch), "."]
        packed = await processes.run(pack, env=env)
        kept = {entry.name.rpartition(b"/")[2].decode(): entry.extras for entry in TarStream().feed(packed.stdout)}
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, scratch))
    return frozenset(extra for extra in extras if extra not in kept.get(extra.name, ()))


def _samples(extras: frozenset[Extra]) -> bytes:
    store = io.BytesIO()
    with tarfile.open(fileobj=store, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for extra in sorted(extras):
            info = tarfile.TarInfo(extra.name)
            key, value = _SAMPLES[extra]
            info.pax_headers = {key: value}
            archive.addfile(info)
    return store.getvalue()
