"""Reads the entries' headers off a stream in GNU tar format, as bsdtar writes it, and skips the contents.

The stream comes from our own bsdtar, never from outside: bsdtar understood whatever came in and says it again in this
one format, which has no ambiguity: long names stand whole before their entry ('L', 'K'), sparse files are written out,
and names are bytes (libarchive's archive_write_set_format_gnutar.c).
"""

from __future__ import annotations

from jaild.model.errors import InternalError, InvalidArgumentError
from jaild.model.layers.archive import Entry, EntryKind

_BLOCK = 512
_MAX_NAME = 64 << 10
_LONG_NAME, _LONG_LINK = b"L", b"K"
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


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base 256, for what octal digits cannot hold
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:])
    return int(field.strip(b" \0") or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


class TarStream:
    """Takes the stream in pieces of any size and gives the entries back."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._long: dict[bytes, bytes] = {}
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether the archive's end mark was seen."""
        return self._complete

    def feed(self, data: bytes) -> list[Entry]:
        """Return the entries that `data` completes. Raises `InvalidArgumentError` (ARCHIVE_PATH_TOO_LONG)."""
        found: list[Entry] = []
        data = self._rest + data
        position = 0
        while not self._complete:
            step = min(self._skip, len(data) - position)
            position += step
            self._skip -= step
            header = data[position : position + _BLOCK]
            if self._skip or len(header) < _BLOCK:
                break
            kind, size = header[156:157], _number(header[124:136])
            if header[0] == 0 and not header.strip(b"\0"):
                self._complete = True
            elif kind in {_LONG_NAME, _LONG_LINK}:
                end = position + _BLOCK + self._long_size(size)
                if len(data) < end:
                    break
                self._long[kind] = data[position + _BLOCK : position + _BLOCK + size].rstrip(b"\0")
                position = end
            else:
                found.append(self._entry(header, kind, size))
                position += _BLOCK
                self._skip = -(-size // _BLOCK) * _BLOCK
        self._rest = b"" if self._complete else data[position:]
        return found

    @staticmethod
    def _long_size(size: int) -> int:
        if size > _MAX_NAME:
            raise InvalidArgumentError(
                "ARCHIVE_PATH_TOO_LONG",
                f"an entry's name or link is {size} bytes long",
                remedy="pack the tree again without it: no file system takes such a name",
            )
        return -(-size // _BLOCK) * _BLOCK

    def _entry(self, header: bytes, kind: bytes, size: int) -> Entry:
        if kind not in _KINDS:
            raise InternalError(
                "ARCHIVE_LISTING", f"bsdtar listed an entry of type {kind!r}", remedy="report this, with the archive"
            )
        name = self._long.pop(_LONG_NAME, None)
        link = self._long.pop(_LONG_LINK, None)
        return Entry(
            name=_text(header[0:100]) if name is None else name,
            kind=_KINDS[kind],
            size=size,
            mode=_number(header[100:108]),
            link=_text(header[157:257]) if link is None else link,
        )
