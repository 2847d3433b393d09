"""Which operating system a tree holds, read off the texts and the ELF file in it; nothing of the tree is ever run."""

from __future__ import annotations

import re
import shlex
import struct
from dataclasses import dataclass

from jaild.model.layers.records import Family

_USERLAND = re.compile(r"""^USERLAND_VERSION=["']?([^"'\s]+)["']?\s*$""", re.MULTILINE)
_PARAM_H = re.compile(r"^#define\s+__FreeBSD_version\s+([0-9]{6,7})\b", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z0-9._+-]+")
# e_machine of elf(5): name as `uname -p` on FreeBSD has it, and Debian for amd64.
_MACHINES = {3: "i386", 20: "powerpc", 21: "powerpc64", 40: "armv7", 62: "amd64", 183: "aarch64", 243: "riscv64"}
_PT_NOTE = 4
_NT_FREEBSD_ABI_TAG = 1


@dataclass(frozen=True, kw_only=True)
class OsVersion:
    """What a base says about itself."""

    family: Family
    version: str  # FreeBSD: 13.2-RELEASE-p1; Linux: VERSION_ID, or `rolling`
    abi: str  # FreeBSD:13:amd64, debian:12:amd64
    osreldate: int  # FreeBSD's __FreeBSD_version; 0 on Linux
    machine: str  # amd64, aarch64 ...


def freebsd(version: str, osreldate: int, machine: str) -> OsVersion:
    """Return what a FreeBSD tree is."""
    major = re.split(r"[.-]", version, maxsplit=1)[0]
    return OsVersion(
        family=Family.FREEBSD,
        version=version,
        abi=f"FreeBSD:{major}:{machine}",
        osreldate=osreldate,
        machine=machine,
    )


def linux(release: dict[str, str], machine: str) -> OsVersion | None:
    """Return what a Linux tree with this os-release(5) is; None if the file has no usable ID."""
    name, version = release.get("ID", ""), release.get("VERSION_ID", "") or "rolling"
    if not _WORD.fullmatch(name) or not _WORD.fullmatch(version):
        return None
    return OsVersion(
        family=Family.LINUX, version=version, abi=f"{name}:{version}:{machine}", osreldate=0, machine=machine
    )


def userland_version(text: str) -> str | None:
    """Return USERLAND_VERSION of the script bin/freebsd-version."""
    found = _USERLAND.search(text)
    return found[1] if found else None


def param_osreldate(text: str) -> int | None:
    """Return __FreeBSD_version of usr/include/sys/param.h."""
    found = _PARAM_H.search(text)
    return int(found[1]) if found else None


def os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release(5) file; lines that are none are left out, as that page asks."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # a quote without its partner
            continue
        found[key] = words[0] if words else ""
    return found


def elf_machine(data: bytes) -> str | None:
    """Return the machine that an ELF file is for, from its first bytes; None if it is no ELF file."""
    order = _order(data)
    if order is None:
        return None
    number = struct.unpack_from(order + "H", data, 18)[0]
    return _MACHINES.get(number, f"elf{number}")


def elf_osreldate(data: bytes) -> int | None:
    """Return __FreeBSD_version from an ELF file's note (name FreeBSD, type 1: elf(5), sys/elf_common.h)."""
    order = _order(data)
    if order is None:
        return None
    try:
        tags = [_abi_tag(data[offset : offset + size], order) for offset, size in _note_segments(data, order)]
    except (struct.error, IndexError, OverflowError):  # cut off, or an ELF file only by its first bytes
        return None
    return next((tag for tag in tags if tag is not None), None)


def _order(data: bytes) -> str | None:
    if len(data) < 64 or data[:4] != b"\x7fELF" or data[4] not in {1, 2} or data[5] not in {1, 2}:  # noqa: PLR2004 -- elf(5)
        return None
    return "<" if data[5] == 1 else ">"


def _note_segments(data: bytes, order: str) -> list[tuple[int, int]]:
    wide = data[4] == 2  # noqa: PLR2004 -- ELFCLASS64
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    found = []
    for number in range(count):
        at = start + number * size
        if struct.unpack_from(order + "I", data, at)[0] != _PT_NOTE:
            continue
        layout, first = ("Q", 8) if wide else ("I", 4)
        offset = struct.unpack_from(order + layout, data, at + first)[0]
        length = struct.unpack_from(order + layout, data, at + (32 if wide else 16))[0]
        found.append((offset, length))
    return found


def _abi_tag(notes: bytes, order: str) -> int | None:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(order + "III", notes, at)
        name = notes[at + 12 : at + 12 + name_size]
        content = at + 12 + -(-name_size // 4) * 4
        if name == b"FreeBSD\0" and kind == _NT_FREEBSD_ABI_TAG:
            return int(struct.unpack_from(order + "I", notes, content)[0])
        at = content + -(-size // 4) * 4
    return None
