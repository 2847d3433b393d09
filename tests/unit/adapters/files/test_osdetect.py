from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from jaild.adapters.files.osdetect import detect, read_inside
from jaild.model.errors import InvalidArgumentError
from jaild.model.layers import osversion
from jaild.model.layers.records import Family

SCRIPT = '#!/bin/sh\nset -e\nUSERLAND_VERSION="13.2-RELEASE-p1"\n: ${LOADER_DIR:=$ROOT/boot}\nexit 1\n'
PARAM_H = "/* doc: __FreeBSD_version */\n#undef __FreeBSD_version\n#define __FreeBSD_version 1302001\t/* Master */\n"
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n# comment\nBROKEN="\nnonsense\n'


def elf(machine: int = 62, note: bytes | None = None, *, wide: bool = True, order: str = "<") -> bytes:
    """An ELF header, with one note segment at its end."""
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    size = 64 if wide else 52
    entry = 56 if wide else 32
    start = size + entry
    content = note or b""
    if wide:
        head = struct.pack(order + "HHIQQQIHHHHHH", 2, machine, 1, 0, size, 0, 0, size, entry, 1, 0, 0, 0)
        segment = struct.pack(order + "IIQQQQQQ", 4, 4, start, 0, 0, len(content), len(content), 4)
    else:
        head = struct.pack(order + "HHIIIIIHHHHHH", 2, machine, 1, 0, size, 0, 0, size, entry, 1, 0, 0, 0)
        segment = struct.pack(order + "IIIIIIII", 4, start, 0, 0, len(content), len(content), 4, 4)
    return ident + head + segment + content


def abi_note(osreldate: int, order: str = "<") -> bytes:
    other = struct.pack(order + "III", 5, 4, 1) + b"Linux\0\0\0" + b"....", struct.pack(order + "III", 8, 4, 2)
    return (
        other[0] + other[1] + b"FreeBSD\0" + b"...." + struct.pack(order + "III8sI", 8, 4, 1, b"FreeBSD\0", osreldate)
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def put(root: Path, path: str, content: bytes | str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)


def test_a_freebsd_tree_tells_its_version_by_its_texts(root: Path) -> None:
    put(root, "bin/freebsd-version", SCRIPT)
    put(root, "usr/include/sys/param.h", PARAM_H)
    put(root, "bin/sh", elf(note=abi_note(1300000)))
    assert detect(root) == osversion.OsVersion(
        family=Family.FREEBSD, version="13.2-RELEASE-p1", abi="FreeBSD:13:amd64", osreldate=1302001, machine="amd64"
    )


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_without_headers_the_note_of_bin_sh_tells_the_release_date(root: Path, *, wide: bool, order: str) -> None:
    put(root, "bin/freebsd-version", SCRIPT)
    put(root, "bin/sh", elf(183, abi_note(1302001, order), wide=wide, order=order))
    found = detect(root)
    assert (found.osreldate, found.abi) == (1302001, "FreeBSD:13:aarch64")


def test_a_linux_tree_is_read_through_its_own_symlinks(root: Path) -> None:
    put(root, "usr/lib/os-release", DEBIAN)
    (root / "etc").mkdir()
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "bin").symlink_to("/usr/bin")
    put(root, "usr/bin/dash", elf())
    (root / "usr/bin/sh").symlink_to("dash")
    found = detect(root)
    assert (found.family, found.version, found.abi, found.osreldate) == (Family.LINUX, "12", "debian:12:amd64", 0)


def test_a_linux_without_version_is_rolling(root: Path) -> None:
    put(root, "usr/lib/os-release", "ID=arch\n")
    put(root, "bin/sh", elf())
    assert detect(root).abi == "arch:rolling:amd64"


def test_a_symlink_never_leads_out_of_the_tree(root: Path) -> None:
    outside = root.parent / "outside"
    outside.write_text("host's")
    (root / "absolute").symlink_to(outside)
    (root / "above").symlink_to("../../../../.." + str(outside))
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    for path in ("absolute", "above", "up/outside", "../outside", "loop", "fifo", "none/x"):
        assert read_inside(root, path) is None
    put(root, "inside", "ours")
    assert read_inside(root, "up/../inside") == b"ours"


@pytest.mark.parametrize(
    ("files", "looked_for"),
    [
        ({}, "ELF"),
        ({"bin/sh": b"#!/bin/sh"}, "ELF"),
        ({"bin/sh": elf()}, "os-release"),
        ({"bin/sh": elf(), "etc/os-release": b"NAME=x"}, "os-release"),
        ({"bin/sh": elf(), "etc/os-release": b"ID='a b/c'"}, "os-release"),
        ({"bin/sh": elf(), "bin/freebsd-version": b"echo"}, "USERLAND_VERSION"),
        ({"bin/sh": elf(), "bin/freebsd-version": SCRIPT.encode()}, "param.h"),
    ],
)
def test_what_is_no_base_is_refused_with_what_was_looked_for(
    root: Path, files: dict[str, bytes], looked_for: str
) -> None:
    for path, content in files.items():
        put(root, path, content)
    with pytest.raises(InvalidArgumentError) as caught:
        detect(root)
    assert caught.value.reason == "NOT_A_BASE"
    assert looked_for in caught.value.message


def test_a_damaged_program_has_no_release_date() -> None:
    good = bytearray(elf(note=abi_note(1302001)))
    far = bytes(good[:32]) + b"\xff" * 8 + bytes(good[40:])
    for data in (b"", bytes(good[:63]), bytes(good[:70]), far, bytes(good[:-40])):
        assert osversion.elf_osreldate(data) is None
