"""The index of a tree: libraries with the versions that can be known, files with their sha256."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.files import contents
from jaild.model import bounds
from jaild.model.contents.index import Indexed, Library
from jaild.model.contents.versions import Ecosystem
from jaild.model.errors import CancelledError
from jaild.model.layers.libraries import ElfFile, Libraries
from tests.unit.adapters.files.test_packagedbs import put
from tests.unit.model.contents.test_dpkg import STATUS


def elf(path: str, soname: str) -> ElfFile:
    return ElfFile(path=path, machine="EM_X86_64", bits=64, soname=soname)


def indexed(root: Path, libraries: Libraries | None = None, prefix: str = "/") -> Indexed:
    return contents.index(root, prefix=prefix, libraries=libraries or Libraries(), stopped=threading.Event())


def test_a_library_has_the_version_of_its_package_or_of_its_files_name(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/dpkg/status", STATUS)
    put(tmp_path, "var/lib/dpkg/info/libssl3:amd64.list", "/lib/x/libssl.so.3\n")  # /lib is a link to usr/lib now
    files = (
        elf("/usr/lib/x/libssl.so.3", "libssl.so.3"),
        elf("/opt/libfoo.so.1.2.3", "libfoo.so.1"),
        elf("/o/a", "liba.so.1"),
        elf("/usr/bin/run", ""),
    )
    links = {"/o/liba.so.1": "/o/liba.so.1.7", "/o/liba.so.1.7": "/o/a"}
    found = indexed(tmp_path, Libraries(files=files, links=links))
    assert found.contents.libraries == (
        Library(soname="liba.so.1", path="/o/a", version="1.7"),
        Library(soname="libfoo.so.1", path="/opt/libfoo.so.1.2.3", version="1.2.3"),
        Library(
            soname="libssl.so.3",
            path="/usr/lib/x/libssl.so.3",
            version="3.0.11-1~deb12u2",
            package="libssl3",
            ecosystem=Ecosystem.DPKG,
        ),
    )


def test_files_have_their_sha256_by_the_path_in_the_jail_and_links_where_they_lead(tmp_path: Path) -> None:
    put(tmp_path, "bin/run", "x")
    (tmp_path / "bin/go").symlink_to("run")
    (tmp_path / "lib").symlink_to("/usr/lib")
    os.mkfifo(tmp_path / "bin/pipe")
    odd = os.fsdecode(b"odd\xff")
    put(tmp_path, odd, "y")
    found = indexed(tmp_path, prefix="/usr/local").files
    assert found.files == {
        "/usr/local/bin/run": hashlib.sha256(b"x").hexdigest(),
        "/usr/local/odd\\xff": hashlib.sha256(b"y").hexdigest(),
    }
    assert found.links == {"/usr/local/bin/go": "/usr/local/bin/run", "/usr/local/lib": "/usr/lib"}
    msgspec.json.encode(found)


def test_what_is_too_much_is_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(tmp_path, f"f{number}", "0123456789")
    monkeypatch.setattr(bounds, "CONTENT_BYTES", 15)
    found = indexed(tmp_path)
    assert [bool(digest) for digest in found.files.files.values()] == [True, True, False, False, False]
    assert len(found.contents.problems) == 1
    monkeypatch.setattr(bounds, "CONTENT_FILES", 3)
    found = indexed(tmp_path)
    assert len(found.files.files) == 3
    assert len(found.contents.problems) == 2


def test_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    put(tmp_path, "f", "x")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(CancelledError):
        contents.index(tmp_path, prefix="/", libraries=Libraries(), stopped=stopped)
