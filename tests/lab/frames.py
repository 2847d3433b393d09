"""What the lab's wire carries; the agent in the machine has this very file (so: only the standard library).

    host                             agent
     START channel {argv, ...}  ──>
     STDIN, empty at the end    ──>   <── ROOM: bytes of stdin that the program took
     KILL                       ──>   <── STDOUT, STDERR, each empty at its end of file
     ROOM: bytes consumed       ──>   <── EXIT status | FAILED why

Both sides always read, and send at most `WINDOW` bytes of a stream that the other has not taken yet: so a program that
reads nothing holds up nobody else, and a KILL always gets through.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum

WINDOW = 4 << 20  # bytes
PIECE = 1 << 20  # bytes in a frame at most
_HEAD = struct.Struct(">BIiI")  # kind, channel, number, length


class Kind(IntEnum):
    """The kinds of frames."""

    HELLO = 0  # host: are you up? agent: yes
    START = 1  # JSON: argv, cwd, env, output
    STDIN = 2
    STDIN_GONE = 3  # the program closed it
    KILL = 4
    ROOM = 5  # number: bytes
    STDOUT = 6
    STDERR = 7
    EXIT = 8  # number: status; -N for signal N
    FAILED = 9  # JSON: errno, filename: it could not be started


def packed(kind: Kind, channel: int, data: bytes = b"", number: int = 0) -> bytes:
    """Return a frame."""
    return _HEAD.pack(kind, channel, number, len(data)) + data


def unpack(read: Callable[[int], bytes]) -> tuple[Kind, int, bytes, int]:
    """Return the next frame; `read(n)` returns n bytes or raises `EOFError`."""
    kind, channel, number, size = _HEAD.unpack(read(_HEAD.size))
    return Kind(kind), channel, read(size) if size else b"", number
