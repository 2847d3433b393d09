"""Headers of rpm's database: what of a package stands in them.

Format: https://rpm-software-management.github.io/rpm/manual/format_header.html, without the magic, as the database has
them: two 32-bit numbers (how many entries, how many bytes of data), the entries (tag, type, offset, count), the data.
"""

from __future__ import annotations

import posixpath
import struct
from dataclasses import dataclass

from jaild.model.contents.index import Package
from jaild.model.contents.versions import Ecosystem
from jaild.model.errors import InvalidArgumentError

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_DIRECTORIES, _BASENAMES, _FOLDERS = 1116, 1117, 1118  # DIRINDEXES, BASENAMES, DIRNAMES
_INT32, _STRING, _STRING_ARRAY, _I18N = 4, 6, 8, 9
_ENTRIES = 65_536  # HEADER_TAGS_MAX of rpm
_FILES = 200_000
_LONGEST = 256
_LONGEST_FOLDER = 1024  # one folder stands before each of its files
_HEAD = struct.Struct(">II")
_ENTRY = struct.Struct(">IIII")


@dataclass(frozen=True)
class Header:
    """One package, with the files that it brought."""

    package: Package
    files: tuple[str, ...] = ()


def read(blob: bytes) -> Header | None:
    """Read a header; None for what is no package (a key). `InvalidArgumentError` (PACKAGE_HEADER) if it is damaged."""
    try:
        return _read(blob)
    except (struct.error, ValueError, LookupError) as error:
        raise InvalidArgumentError(
            "PACKAGE_HEADER", f"an entry of rpm's database cannot be read: {error}", hint="rebuild it: rpm --rebuilddb"
        ) from error


def _read(blob: bytes) -> Header | None:
    count, size = _HEAD.unpack_from(blob)
    begin = _HEAD.size + count * _ENTRY.size
    if count > _ENTRIES or begin + size > len(blob):
        raise ValueError("it is longer than it is")
    data = memoryview(blob)[begin : begin + size]
    entries = {
        tag: (kind, offset, number) for tag, kind, offset, number in _ENTRY.iter_unpack(blob[_HEAD.size : begin])
    }
    name = _text(data, entries, _NAME)
    if not name or name == "gpg-pubkey":
        return None
    version, release = _text(data, entries, _VERSION), _text(data, entries, _RELEASE)
    epoch = _numbers(data, entries, _EPOCH)
    built_from = _text(data, entries, _SOURCE).removesuffix(".src.rpm").rsplit("-", 2)
    package = Package(
        name=name,
        version=(f"{epoch[0]}:" if epoch else "") + version + (f"-{release}" if release else ""),
        ecosystem=Ecosystem.RPM,
        arch=_text(data, entries, _ARCH),
        source=built_from[0] if built_from[0] != name else "",
    )
    folders, names = _texts(data, entries, _FOLDERS), _texts(data, entries, _BASENAMES)
    if max(map(len, folders), default=0) > _LONGEST_FOLDER:
        raise ValueError("a folder in it has too long a name")
    of = _numbers(data, entries, _DIRECTORIES)
    return Header(package, tuple(posixpath.join(folders[at], each) for at, each in zip(of, names, strict=True)))


_Entries = dict[int, tuple[int, int, int]]


def _text(data: memoryview, entries: _Entries, tag: int) -> str:
    return (_texts(data, entries, tag) or ("",))[0][:_LONGEST]


def _texts(data: memoryview, entries: _Entries, tag: int) -> tuple[str, ...]:
    kind, offset, count = entries.get(tag, (0, 0, 0))
    if kind not in {_STRING, _STRING_ARRAY, _I18N}:
        return ()
    if count > _FILES or offset > len(data):
        raise ValueError("a list in it is longer than it is")
    found = bytes(data[offset:]).split(b"\0", count)[:count]
    if len(found) < count:
        raise ValueError("a text in it has no end")
    return tuple(each.decode("utf-8", "backslashreplace") for each in found)


def _numbers(data: memoryview, entries: _Entries, tag: int) -> tuple[int, ...]:
    kind, offset, count = entries.get(tag, (0, 0, 0))
    if kind != _INT32:
        return ()
    if count > _FILES:
        raise ValueError("a list in it is longer than it is")
    return struct.unpack_from(f">{count}I", data, offset)
