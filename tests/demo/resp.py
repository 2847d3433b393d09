"""Redis's protocol over a plain socket: one command, one reply."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

Reply = int | bytes | None | list["Reply"]


class ReplyError(Exception):
    """The server answered with an error: `LOADING ...`, `NOAUTH ...`."""


class BrokenReplyError(Exception):
    """The connection ended within a reply, or what came is not the protocol."""


def encode(*words: str | bytes | int) -> bytes:
    """A command as an array of bulk strings."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Connection:
    """A connection to a server; `with` closes it."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._stream = connected.makefile("rb")

    @classmethod
    def open(cls, host: str, port: int, *, connect_timeout: float, reply_timeout: float) -> Self:
        """Connect. Seconds; a timeout or a refusal is an `OSError`."""
        connected = socket.create_connection((host, port), timeout=connect_timeout)
        connected.settimeout(reply_timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connected)

    def command(self, *words: str | bytes | int) -> Reply:
        """Send a command and wait for its reply. Raises `ReplyError`, `BrokenReplyError` or `OSError`."""
        self._socket.sendall(encode(*words))
        return self._reply()

    def _reply(self) -> Reply:
        line = self._stream.readline()
        if not line.endswith(b"\r\n"):
            raise BrokenReplyError(f"connection ended after {line!r}")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        raise BrokenReplyError(f"not a reply: {line!r}")

    def _bulk(self, size: int) -> bytes | None:
        if size < 0:
            return None
        body = self._stream.read(size + 2)
        if len(body) != size + 2:
            raise BrokenReplyError(f"connection ended after {len(body)} of {size + 2} bytes")
        return body[:-2]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()
