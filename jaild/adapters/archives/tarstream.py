"""Reads the entries' headers off a stream in pax format, as bsdtar writes it, and can write them anew on the way.

The stream comes from our own bsdtar, never from outside: bsdtar understood whatever came in and says it again in this
one format, which has no ambiguity (libarchive's archive_write_set_format_pax.c): an entry is a header of its own with
records, if it has any, then the ustar header, then the content. Names are bytes; where they are no UTF-8, a record
`hdrcharset=BINARY` says so.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jaild.model import quantity
from jaild.model.errors import InternalError, InvalidArgumentError
from jaild.model.layers.archive import Dropped, Entry, EntryKind, Extra

_BLOCK = 512
_MAX_RECORDS = 8 << 20  # bytes; libarchive itself reads no more than 1 MiB of them, and writes attributes twice
_RECORDS = b"x"
_MAGIC = 257  # where a header says that it is one
_PATH, _LINK, _SIZE = b"path", b"linkpath", b"size"
_CHARSET, _BINARY = b"hdrcharset", b"BINARY"
_SPARSE_NAME, _SPARSE_SIZE = b"GNU.sparse.name", b"GNU.sparse.realsize"
_KINDS = {
    b"0": EntryKind.FILE,
    b"\0": EntryKind.FILE,
    b"1": EntryKind.HARDLINK,
    b"2": EntryKind.SYMLINK,
    b"3": EntryKind.CHARACTER_DEVICE,
    b"4": EntryKind.BLOCK_DEVICE,
    b"5": EntryKind.DIRECTORY,
    b"6": EntryKind.FIFO,
}
_ATTRIBUTES = (b"SCHILY.xattr.", b"LIBARCHIVE.xattr.")  # each attribute stands there in both ways
_NAMESPACES = {b"user": Extra.USER, b"security": Extra.SECURITY, b"trusted": Extra.TRUSTED, b"system": Extra.SYSTEM}
_FLAGS = b"SCHILY.fflags"
_ARCHIVE_BIT = b"uarch"  # ZFS on FreeBSD sets it on whatever is written (chflags(1)): it says nothing
_OTHERS = {
    _FLAGS: Extra.FLAGS,
    b"SCHILY.acl.access": Extra.POSIX_ACL,
    b"SCHILY.acl.default": Extra.POSIX_ACL,
    b"SCHILY.acl.ace": Extra.NFS4_ACL,
}

_Records = Sequence[tuple[bytes, bytes]]
Change = Callable[[Entry], Entry | None]  # an entry under its new names; None to leave it out


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry as it stands in the stream."""

    entry: Entry
    records: _Records
    header: bytes  # the ustar one
    raw: bytes  # all headers
    stored: int  # bytes of content in the stream
    sparse: bool  # the content begins with a map of where it is


class TarStream:
    """Takes the stream in pieces of any size and gives the entries back."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._records: _Records = ()
        self._raw = b""
        self._sparse: Entry | None = None  # whose map comes next
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether the archive's end mark was seen."""
        return self._complete

    def feed(self, data: bytes) -> list[Entry]:
        """Return the entries that `data` completes. Raises `InvalidArgumentError` (ARCHIVE_PATH_TOO_LONG)."""
        return [piece.entry for piece in self.pieces(data) if isinstance(piece, _Member)]

    def pieces(self, data: bytes) -> Iterator[_Member | bytes]:
        """Yield what `data` completes, headers and content, in order."""
        data = self._rest + data
        position = 0
        while not self._complete:
            if self._sparse is not None:
                block = data[position : position + _BLOCK]
                if len(block) < _BLOCK:
                    break
                if _is_no_map(block):
                    # libarchive writes a map with the first bytes of the content. Where there are none, since all
                    # of the file is a hole, it forgets it (findings/bsdtar-repacks-a-hole.sh).
                    yield (b"1\n%d\n0\n" % self._sparse.size).ljust(self._skip, b"\0")
                    self._skip = 0
                self._sparse = None
            step = min(self._skip, len(data) - position)
            if step:
                yield data[position : position + step]
            position += step
            self._skip -= step
            header = data[position : position + _BLOCK]
            if self._skip or len(header) < _BLOCK:
                break
            if header[0] == 0 and not header.strip(b"\0"):
                self._complete = True
            elif header[156:157] == _RECORDS:
                size = _number(header[124:136])
                end = position + _BLOCK + _padded(_bounded(size))
                if len(data) < end:
                    break
                self._raw = data[position:end]
                self._records = _parsed(self._raw[_BLOCK : _BLOCK + size])
                position = end
            else:
                member = _member(header, self._records, self._raw + header)
                self._records, self._raw = (), b""
                position += _BLOCK
                self._skip = _padded(member.stored)
                self._sparse = member.entry if member.sparse else None
                yield member
        self._rest = b"" if self._complete else data[position:]


class TarRewriter:
    """Gives the stream back with other names, and without some extras."""

    def __init__(self, change: Change = lambda entry: entry, *, without: frozenset[Extra] = frozenset()) -> None:
        self._stream = TarStream()
        self._change = change
        self._without = without
        self._leaving_out = False
        self._ended = False
        self.dropped = Dropped()  # what entries lost, under their new names

    @property
    def complete(self) -> bool:
        """Whether the archive's end mark was seen."""
        return self._stream.complete

    def feed(self, data: bytes) -> bytes:
        """Return what `data` becomes. Raises what `TarStream.feed` raises, and what the change raises."""
        found = bytearray()
        for piece in self._stream.pieces(data):
            if isinstance(piece, _Member):
                found += self._header(piece)
            elif not self._leaving_out:
                found += piece
        if self._stream.complete and not self._ended:
            self._ended = True
            found += bytes(2 * _BLOCK)
        return bytes(found)

    def _header(self, member: _Member) -> bytes:
        entry = self._change(member.entry)
        self._leaving_out = entry is None
        if entry is None:
            return b""
        lost = entry.extras & self._without
        self.dropped.add(entry.name, lost)
        return member.raw if entry is member.entry and not lost else _written(member, entry, lost)


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base 256, for what octal digits cannot hold
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:])
    return int(field.strip(b" \0") or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _bounded(size: int) -> int:
    if size > _MAX_RECORDS:
        raise InvalidArgumentError(
            "ARCHIVE_PATH_TOO_LONG",
            f"names and attributes of an entry take {quantity.size(size)}",
            hint="pack the tree again without it: no file system takes them",
        )
    return size


def _parsed(data: bytes) -> _Records:
    records = []
    start = 0
    while start < len(data):
        space = data.index(b" ", start)
        end = start + int(data[start:space])
        key, _, value = data[space + 1 : end - 1].partition(b"=")  # a newline ends it
        records.append((key, value))
        start = end
    return records


def _extra(key: bytes, value: bytes) -> Extra | None:
    if key == _FLAGS and value == _ARCHIVE_BIT:
        return None
    for prefix in _ATTRIBUTES:
        if key.startswith(prefix):
            return _NAMESPACES.get(key.removeprefix(prefix).partition(b".")[0], Extra.OTHER)
    return _OTHERS.get(key)


def _member(header: bytes, records: _Records, raw: bytes) -> _Member:
    kind = _KINDS.get(header[156:157])
    if kind is None:
        raise InternalError(
            "ARCHIVE_LISTING",
            f"bsdtar listed an entry of type {header[156:157]!r}",
            hint="report this, with the archive",
        )
    said = dict(records)
    prefix, name = _text(header[345:500]), _text(header[0:100])
    stored = int(said[_SIZE]) if _SIZE in said else _number(header[124:136])
    entry = Entry(
        name=said.get(_SPARSE_NAME) or said.get(_PATH) or (prefix + b"/" + name if prefix else name),
        kind=kind,
        size=int(said.get(_SPARSE_SIZE, stored)),
        mode=_number(header[100:108]),
        link=said.get(_LINK, _text(header[157:257])),
        extras=frozenset(extra for item in said.items() if (extra := _extra(*item)) is not None),
    )
    sparse = _SPARSE_SIZE in said
    return _Member(entry=entry, records=records, header=header, raw=raw, stored=stored, sparse=sparse)


def _is_no_map(block: bytes) -> bool:
    """Tell that a block is the next header, or the archive's end: a map is of digits and newlines (GNU tar, PAX 1)."""
    return block[_MAGIC : _MAGIC + 5] == b"ustar" or not block.strip(b"\0")


def _written(member: _Member, entry: Entry, without: frozenset[Extra]) -> bytes:
    """Return the headers of an entry under its new names, which records say: they count more than the ustar header."""
    said = {key for key, _ in member.records}
    new = {_SPARSE_NAME if _SPARSE_NAME in said else _PATH: entry.name}
    if entry.link:
        new[_LINK] = entry.link
    charset = () if _is_text(entry.name + entry.link) and _CHARSET not in said else ((_CHARSET, _BINARY),)
    kept = (
        (key, value)
        for key, value in member.records
        if key not in new and key != _CHARSET and _extra(key, value) not in without
    )
    body = b"".join(_record(key, value) for key, value in (*charset, *new.items(), *kept))
    info = tarfile.TarInfo("PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(_padded(len(body)) - len(body)) + member.header


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3  # a space, an equals sign, a newline; and its own digits:
    length = size + len(str(size))
    length = size + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
