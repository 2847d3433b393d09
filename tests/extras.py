"""A tree whose files carry all that a file may, and what of it is there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from jaild.adapters.archives.tarstream import TarStream
from jaild.model.layers.archive import Extra
from tests.tars import bsdtar

CAPABILITY = "\x01\0\0\x02\0\x20" + 14 * "\0"  # CAP_NET_RAW, as Debian's ping has it
RECORDS: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    "ping": {"SCHILY.xattr.security.capability": CAPABILITY},
    "user": {"SCHILY.xattr.user.mime": "text/plain"},
    "trusted": {"SCHILY.xattr.trusted.origin": "here"},
    "other": {"SCHILY.xattr.nowhere.x": "1"},
    "acl": {"SCHILY.acl.access": "user::rw-,group::r--,other::r--,user:1:r--:1,mask::r--"},
    "flags": {"SCHILY.fflags": "nodump"},
    "archived": {"SCHILY.fflags": "uarch"},
    "both": {"SCHILY.xattr.user.x": "1", "SCHILY.fflags": "nodump"},
}


def archive(path: Path, *, without: str = "") -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as packed:
        for name, records in RECORDS.items():
            if name == without:
                continue
            info = tarfile.TarInfo(f"bin/{name}")
            info.pax_headers = dict(records)
            info.size = len(name)
            packed.addfile(info, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("bin/twin")
        link.type, link.linkname = tarfile.LNKTYPE, "bin/ping"
        packed.addfile(link)
    return path


def extras(tree: Path) -> dict[str, frozenset[Extra]]:
    """What each file in `bin` carries, as bsdtar reads it off the file system."""
    packed = TarStream().feed(bsdtar("-c", "--format=pax", "-f", "-", "-C", tree, "bin"))
    found = {entry.name.decode().removeprefix("bin/"): entry.extras for entry in packed}
    first = found["ping"] | found["twin"]  # of two names only the first one that is packed carries them
    return found | {"ping": first, "twin": first}
