"""Texts as lines, and how these end. Versions of a text may differ in that alone, and it is no content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")
_LF, _CRLF = b"\n", b"\r\n"


@dataclass(frozen=True, kw_only=True)
class Text:
    """Lines without their ends. Of the two styles, None is what a text does not say, for want of lines."""

    lines: tuple[bytes, ...]
    end: bytes | None  # LF or CRLF
    closed: bool | None  # whether the last line has an end


def split(*texts: bytes) -> tuple[Text, ...]:
    """Return texts as lines that can be compared.

    If one of them has ends of both kinds, a return (CR) is content in all of them: no line of it is rewritten.
    """
    rows = [text.split(_LF) for text in texts]
    ends = [{_CRLF if line.endswith(b"\r") else _LF for line in row[:-1]} for row in rows]
    mixed = any(len(found) > 1 for found in ends)
    return tuple(_text(row, None if mixed else found) for row, found in zip(rows, ends, strict=True))


def _text(row: list[bytes], ends: set[bytes] | None) -> Text:
    lines = row if row[-1] else row[:-1]
    end = _LF if ends is None else next(iter(ends), None)
    if end == _CRLF:
        lines = [line.removesuffix(b"\r") for line in lines]
    return Text(lines=tuple(lines), end=end, closed=not row[-1] if lines else None)


def join(lines: Iterable[bytes], ancestor: Text, theirs: Text, mine: Text) -> bytes:
    """Return the text that the three were merged to, in mine's style, or in theirs if only that is another one."""
    end = _merged(ancestor.end, theirs.end, mine.end) or _LF
    found = list(lines)
    closed = _merged(ancestor.closed, theirs.closed, mine.closed)
    last = b"" if closed is False and found and found[-1] else end  # an empty last line is its end and nothing else
    return end.join(found) + last if found else b""


def _merged(ancestor: _T | None, theirs: _T | None, mine: _T | None) -> _T | None:
    untouched = mine is None or mine == ancestor
    return theirs if untouched and theirs is not None else mine if mine is not None else ancestor
