"""When the lines of a jail's log were written, as far as that is known: bounds that are true, also where nobody looked.

A jail's processes write to the file itself (on FreeBSD by way of daemon(8), which adds nothing), so that no daemon, and
no end of one, holds them up or loses a line. So lines carry no time. Instead the log's size is looked at, again and
again, and each time it has grown it is marked:

    0 ──────────────── 120 ────────────── 900 ──── size
    (10:00:00, 10:00:01]   (10:00:01, 10:14:30]    not looked at yet
                             the daemon was away

A mark may be dropped, or two made one: what they say then is wider, and still true.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import msgspec

LIMIT = 8192  # marks of one log: for more than two hours to the second of one that never rests; 300 KiB
TAIL = 4096  # bytes before a mark by which it is known whether the log is still the one that was marked


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What lies between the mark before this one and `end` was written after `after`, and by `by`: wall clock."""

    end: int  # bytes; where a line begins, but for lines without end
    after: float = 0.0  # 0: not known
    by: float
    tail: int = 0  # of the bytes before `end`, see `tail_of`


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What of a log is wanted."""

    lines: int | None = None  # at most so many from the end of what is there; None: all
    since: float = 0.0  # what was surely written before is left out; 0: nothing is
    until: float = 0.0  # what was surely written at this time or later is left out; 0: nothing is
    times: bool = False  # each piece with its times; a line comes when it has ended
    follow: bool = False  # go on with what comes, to `until` if that is given


class LogPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log. `after`, `by`: the lines that end in it did so between these; 0: not known, or not asked for."""

    data: bytes
    after: float = 0.0
    by: float = 0.0
    begin: int = 0  # where in the log it begins, if it has times


def tail_of(content: bytes) -> int:
    """Return what tells one log from another by what stands before a mark."""
    return zlib.crc32(content)


def encode(marks: Iterable[Mark]) -> bytes:
    """Return marks as they are kept: a line each."""
    return "".join(f"{m.end} {m.after:.3f} {m.by:.3f} {m.tail:x}\n" for m in marks).encode()


def decode(text: bytes) -> list[Mark]:
    """Read marks, in the order of the log. Lines that a crash has torn, or left in another order, are nothing lost."""
    found = []
    for line in text.split(b"\n"):
        try:
            end, after, by, tail = line.split(b" ")
            found.append(Mark(end=int(end), after=float(after), by=float(by), tail=int(tail, 16)))
        except ValueError:
            continue
    return sorted(found, key=lambda mark: mark.end)


def thinned(marks: Sequence[Mark]) -> list[Mark]:
    """Return half as many marks for the older half of a log."""
    middle = len(marks) // 4 * 2
    pairs = zip(marks[:middle:2], marks[1:middle:2], strict=True)
    return [*(msgspec.structs.replace(second, after=first.after) for first, second in pairs), *marks[middle:]]


def begin_of(marks: Iterable[Mark], since: float) -> int:
    """Return where that begins which may have been written at `since` or later."""
    begin = 0
    for mark in marks:
        if mark.by >= since:
            break
        begin = mark.end
    return begin


def end_of(marks: Sequence[Mark], until: float) -> int | None:
    """Return where that ends which may have been written before `until`; None: it may be all there is."""
    end = 0
    for mark in marks:
        if mark.after >= until:
            return end
        end = mark.end
    return None
