"""The configuration in an export: what was packed comes back, what leads elsewhere does not."""

from __future__ import annotations

import io
import tarfile

import pytest

from jaild.model.errors import DataLossError
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.exports.config import packed, unpacked

ETC: Tree = {
    "motd": Entry(kind=Kind.FILE, content=b"hello", mode=0o600, uid=5, gid=6, mtime=7 * 10**9),
    "ssh": Entry(kind=Kind.DIRECTORY, mode=0o755),
    "ssh/link": Entry(kind=Kind.LINK, mode=0o777, target="../../etc/motd"),
    "ssh/su": Entry(kind=Kind.FILE, mode=0o4755),
}


def test_what_was_packed_comes_back() -> None:
    assert unpacked(packed(ETC, {})) == (ETC, {})
    assert unpacked(packed({}, ETC)) == ({}, ETC)


def tar_of(name: str, kind: bytes = tarfile.REGTYPE, *before: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, its in (*before, (name, kind)):
            info = tarfile.TarInfo(path)
            info.type, info.linkname = its, "/etc"
            tar.addfile(info)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        tar_of("etc/../../x"),
        tar_of("/etc/x"),
        tar_of("var/x"),
        tar_of("etc"),
        tar_of("etc/a/b"),  # in no folder
        tar_of("etc/a", tarfile.BLKTYPE),
        tar_of("etc/a", tarfile.FIFOTYPE),
        tar_of("etc/a", tarfile.LNKTYPE),
        tar_of("etc/a/b", tarfile.REGTYPE, ("etc/a", tarfile.SYMTYPE)),  # through a link
        tar_of("etc/a", tarfile.REGTYPE, ("etc/a", tarfile.DIRTYPE)),
        b"no tar at all",
    ],
)
def test_what_is_no_configuration_is_refused(content: bytes) -> None:
    with pytest.raises(DataLossError) as refused:
        unpacked(content)
    assert refused.value.reason == "EXPORT_DAMAGED"
