"""The file of an export: a tar whose sections stand in parts, with the checksums of all at its end.

    jail.json | config.tar.zst.000000 | layers/0.zfs.zst.000000 ... | datasets/data.zfs.zst.000000 ... | checksums.json

A tar needs the size of an entry before its content, and a stream's is not known: so a section is cut into parts, of
`Header.part` bytes each but the last, and `cat datasets/data.zfs.zst.* | zstd -d` is what was written. Without the
checksums the file is not whole. Each byte of it counts: contents by SHA-256, a header is the only one that its entry
can have, what is between is zero. Both ways memory is bounded by a part, a header, and what is told of each section.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from jaild.model import bounds, quantity
from jaild.model.errors import DataLossError, InvalidArgumentError, JaildError
from jaild.model.exports import header as headers
from jaild.model.exports.header import Header, damaged

HEADER, CHECKSUMS = "jail.json", "checksums.json"
_BLOCK = 512
_AGE = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")  # age-encryption.org/v1: how its files begin


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a section, put together from its parts."""

    sha256: str
    bytes: int


class Checksums(msgspec.Struct, frozen=True, kw_only=True):
    """What `checksums.json` holds."""

    header: str  # sha256 of jail.json
    sections: dict[str, Sum]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Where a section lies in the file."""

    offset: int  # of the header of its first part
    size: int  # bytes, put together

    def ranges(self, part: int) -> Iterator[tuple[int, int]]:
        """Yield where the contents of its parts are: position and size."""
        for number, start in enumerate(range(0, self.size, part)):
            yield self.offset + (number + 1) * _BLOCK + start, min(part, self.size - start)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """An export that is whole."""

    header: Header
    sections: Mapping[str, Section]
    size: int  # of the file, bytes


# -- writing


class Writer:
    """Writes one; what its methods return is the file, piece by piece."""

    def __init__(self, header: Header) -> None:
        self._text = msgspec.json.format(msgspec.json.encode(header))
        self._mtime = int(header.taken)
        self._sums: dict[str, Sum] = {}

    def begin(self) -> bytes:
        """Return its begin, the header."""
        return self._entry(HEADER, self._text)

    def section(self, name: str) -> _SectionWriter:
        """Begin a section; all parts of one come before the next one's."""
        return _SectionWriter(name, self._mtime, self._sums)

    def end(self) -> bytes:
        """Return its end: the checksums of what was written."""
        sums = Checksums(header=hashlib.sha256(self._text).hexdigest(), sections=self._sums)
        return self._entry(CHECKSUMS, msgspec.json.format(msgspec.json.encode(sums))) + bytes(2 * _BLOCK)

    def _entry(self, name: str, content: bytes) -> bytes:
        return _head(name, len(content), self._mtime) + content + bytes(-len(content) % _BLOCK)


class _SectionWriter:
    def __init__(self, name: str, mtime: int, sums: dict[str, Sum]) -> None:
        self._name = name
        self._mtime = mtime
        self._sums = sums
        self._digest = hashlib.sha256()
        self._number = self._size = 0

    def part(self, content: bytes) -> Iterator[bytes]:
        """Yield the next part: its header, and the content with what fills it up, which only the last one needs."""
        self._digest.update(content)
        yield _head(f"{self._name}.{self._number:06}", len(content), self._mtime)
        yield content
        yield bytes(-len(content) % _BLOCK)
        self._number += 1
        self._size += len(content)
        self._sums[self._name] = Sum(sha256=self._digest.hexdigest(), bytes=self._size)


def _head(name: str, size: int, mtime: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, mtime
    return info.tobuf(tarfile.USTAR_FORMAT)


# -- reading


class Reader:
    """Checks one as it comes, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = bytearray()  # what is not looked at yet; less than a block, or a text, after each `feed`
        self._position = 0  # in the file, of what is looked at next
        self._left = 0  # bytes of a part's content that are to come
        self._padding = 0  # zeros after them
        self._header: Header | None = None
        self._header_sum = ""
        self._expected: list[str] = []  # sections that are still to begin
        self._current = ""
        self._number = 0  # of the part that comes next
        self._digest = hashlib.sha256()
        self._short = False  # the last part was shorter than the others: no other one follows
        self._sections: dict[str, Section] = {}
        self._sums: dict[str, Sum] = {}
        self._told: Checksums | None = None
        self._zeros = 0  # of the end
        self._begun = False

    @property
    def header(self) -> Header | None:
        """The header, as soon as it was there."""
        return self._header

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        `DataLossError` (EXPORT_DAMAGED), `InvalidArgumentError` (NOT_AN_EXPORT, EXPORT_ENCRYPTED),
        `FailedPreconditionError` (EXPORT_TOO_NEW).
        """
        self._rest += piece
        view = memoryview(self._rest)
        at = 0
        try:
            while step := self._step(view[at:]):
                at += step
                self._position += step
        finally:
            view.release()
        del self._rest[:at]

    def finish(self) -> Contents:
        """Return what is in it. `DataLossError` (EXPORT_TRUNCATED) if its end is missing."""
        if self._told is None or self._zeros != 2 * _BLOCK or self._rest or self._header is None:
            if not self._begun and self._header is None:
                raise _no_export("its begin is missing")
            raise DataLossError(
                "EXPORT_TRUNCATED",
                "the export ends too early: its checksums are missing; nothing was made of it",
                hint="compare its size with the one at its origin, and bring it again",
            )
        return Contents(header=self._header, sections=self._sections, size=self._position)

    def _step(self, there: memoryview) -> int:
        """Look at the first bytes of what is there; return how many are done with, 0 if more must come first."""
        if self._left:
            return self._content(there)
        if self._padding:
            zeros = bytes(there[: self._padding])
            if zeros.count(0) != len(zeros):
                raise damaged("there is something between two entries")
            self._padding -= len(zeros)
            return len(zeros)
        if self._told is not None:
            return self._end(there)
        if len(there) < _BLOCK:
            if not self._begun and bytes(there[:1]):
                _require_not_encrypted(bytes(there))
            return 0
        info = self._info(bytes(there[:_BLOCK]))
        if info.name in {HEADER, CHECKSUMS}:
            return self._text(info, there)
        self._begin_part(info)
        return _BLOCK

    def _info(self, block: bytes) -> tarfile.TarInfo:
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeError) as error:
            if not self._begun:
                _require_not_encrypted(block)
                raise _no_export("it does not begin as one") from error
            raise damaged(f"the header at {self._position} cannot be read") from error
        if not self._begun and info.name != HEADER:
            raise _no_export(f"its first entry is not {HEADER}")
        self._begun = True
        if _head(info.name, info.size, int(info.mtime)) != block:  # tar itself does not look at each byte
            raise damaged(f"the header at {self._position} is not as it was written")
        return info

    def _text(self, info: tarfile.TarInfo, there: memoryview) -> int:
        if not 0 <= info.size <= bounds.EXPORT_TEXT:
            raise damaged(f"{info.name} has {quantity.size(info.size)}")
        whole = _BLOCK + info.size + -info.size % _BLOCK
        if len(there) < whole:
            return 0
        text = bytes(there[_BLOCK : _BLOCK + info.size])
        if any(there[_BLOCK + info.size : whole]):
            raise damaged("there is something between two entries")
        if info.name == HEADER:
            self._take_header(text)
        else:
            self._take_checksums(text)
        return whole

    def _take_header(self, text: bytes) -> None:
        if self._header is not None:
            raise damaged("it has two headers")
        self._header = headers.decode(text)
        self._header_sum = hashlib.sha256(text).hexdigest()
        self._expected = list(self._header.sections())

    def _begin_part(self, info: tarfile.TarInfo) -> None:
        if self._header is None:
            raise damaged("it has no header")
        goes_on = self._number and not self._short and info.name == f"{self._current}.{self._number:06}"
        if not goes_on:
            if not self._expected or info.name != f"{self._expected[0]}.000000":
                raise damaged(f"{info.name} is not what comes next")
            self._current, self._number = self._expected.pop(0), 0
            self._digest = hashlib.sha256()
            self._sections[self._current] = Section(offset=self._position, size=0)
        if not 0 < info.size <= self._header.part:
            raise damaged(f"{info.name} has {quantity.size(info.size)}")
        self._short = info.size < self._header.part
        self._number += 1
        self._left, self._padding = info.size, -info.size % _BLOCK
        before = self._sections[self._current]
        self._sections[self._current] = Section(offset=before.offset, size=before.size + info.size)

    def _content(self, there: memoryview) -> int:
        size = min(self._left, len(there))
        self._digest.update(there[:size])
        self._left -= size
        if not self._left:
            of = self._sections[self._current].size
            self._sums[self._current] = Sum(sha256=self._digest.hexdigest(), bytes=of)
        return size

    def _take_checksums(self, text: bytes) -> None:
        if self._header is None or self._expected:
            raise damaged("a section is missing")
        try:
            told = msgspec.json.decode(text, type=Checksums)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise damaged(f"its checksums cannot be read: {error}") from error
        if told.header != self._header_sum:
            raise damaged("its header is not what was written")
        for name, there in self._sums.items():
            if told.sections.get(name) != there:
                raise damaged(f"{name} is not what was written")
        if told.sections.keys() != self._sums.keys():
            raise damaged("a section is missing")
        self._told = told

    def _end(self, there: memoryview) -> int:
        size = len(there)
        if any(there) or self._zeros + size > 2 * _BLOCK:
            raise damaged("something follows its end")
        self._zeros += size
        return size


def _require_not_encrypted(block: bytes) -> None:
    if block.startswith(_AGE):
        raise InvalidArgumentError(
            "EXPORT_ENCRYPTED",
            "the export is encrypted, and no daemon has the key",
            hint="decrypt it on the way: age -d -i KEY FILE | jailctl jail import NAME -",
        )


def _no_export(why: str) -> JaildError:
    return InvalidArgumentError(
        "NOT_AN_EXPORT", f"it is no export of a jail: {why}", hint="give what `jailctl jail export` has written"
    )
