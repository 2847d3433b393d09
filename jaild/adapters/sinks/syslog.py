"""Events and lines of jails' logs as messages of syslog, RFC 5424 (implements `jaild.ports.sinks.Sink`).

    <29>1 2026-11-30T15:04:05.123456Z alpha jaild 4711 jail.exited [meta sequenceId="812"] {"host":"alpha", ...}

Python's own handler (`logging.handlers`) writes neither time nor host and blocks. A local socket and UDP take whole
messages as datagrams and say nothing of them. On TCP each message has its length in front (RFC 6587), and syslog has
no answer there either; but a receiver closes its side only after it has read to our end, so that is waited for.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import get_args

import msgspec

from jaild.model import syslog
from jaild.model.errors import UnavailableError
from jaild.model.operation import clipped
from jaild.model.sinks.records import Notice, rfc3339
from jaild.model.sinks.settings import Syslog
from jaild.model.syslog import Facility, Line, Severity

_LARGE, _SMALL = 8192, 2048  # bytes of a message: what syslogds take; what all should (RFC 5424, 6.1)
_HEAD = 512  # bytes, more than what stands before a line: host, tag, uid and the rest
_KIND = 32  # characters of a MSGID
_SHORTER = (2048, 1024, 512, 128)  # bytes of an event's text


class SyslogSink:
    """One receiver."""

    def __init__(self, settings: Syslog) -> None:
        self._settings = settings

    async def deliver(self, notice: Notice) -> None:
        """Send it. `UnavailableError` (SINK_UNREACHABLE); by a local socket or UDP sent is not yet kept."""
        large, small = (message(self._settings, notice, limit) for limit in (_LARGE, _SMALL))
        await send(self._settings.address, [large], self._settings.timeout, shorter=[small])


async def send(address: str, said: Sequence[bytes], timeout: float, *, shorter: Sequence[bytes] = ()) -> None:
    """Send messages over one connection, in order. `UnavailableError` (SINK_UNREACHABLE): some may have come.

    `shorter`: the same, for a local socket that takes no longer ones.
    """
    try:
        async with asyncio.timeout(timeout):
            scheme, host, port, path = syslog.place(address)
            if scheme == "tcp":
                await _stream(host, port, b"".join(b"%d %b" % (len(each), each) for each in said))
            elif scheme == "udp":
                await _datagrams(await _address(host, port), said, shorter)
            else:
                await _datagrams((socket.AF_UNIX, path), said, shorter)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no resolver is asked
        why = f"no end within {timeout:g} s" if isinstance(error, TimeoutError) else str(error)
        raise UnavailableError(
            "SINK_UNREACHABLE",
            f"{address}: {why}",
            hint="see whether a syslog daemon takes messages there",
        ) from error


async def _datagrams(
    where: tuple[socket.AddressFamily, object], said: Sequence[bytes], shorter: Sequence[bytes]
) -> None:
    loop = asyncio.get_running_loop()
    family, address = where
    with socket.socket(family, socket.SOCK_DGRAM) as it:
        it.setblocking(False)
        await loop.sock_connect(it, address)  # type: ignore[arg-type]  # a path is one, too
        for large, small in zip_longest(said, shorter):
            try:
                await loop.sock_sendall(it, large)
            except OSError as error:
                if error.errno != errno.EMSGSIZE or small is None:  # FreeBSD: net.local.dgram.maxdgram
                    raise
                await loop.sock_sendall(it, small)


async def _address(host: str, port: int) -> tuple[socket.AddressFamily, object]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return found[0][0], found[0][4]


async def _stream(host: str, port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(said)
        writer.write_eof()
        await writer.drain()
        while await reader.read(_SMALL):
            pass
    finally:
        writer.transport.abort()


def message(settings: Syslog, notice: Notice, limit: int) -> bytes:
    """Return the message, with a shorter text if it would have more than `limit` bytes."""
    priority = _priority(settings.facility, settings.severity)
    kind = "".join(letter for letter in notice.kind if "!" <= letter <= "~")[:_KIND] or "-"
    data = f'[meta sequenceId="{notice.sequence & 0x7FFFFFFF}"]'
    head = f"<{priority}>1 {notice.time} {notice.host or '-'} jaild {os.getpid()} {kind} {data} ".encode()
    found = (head + each.json() for each in _ever_shorter(notice))
    return next((each for each in found if len(each) <= limit), head[:limit])


def text_of(address: str) -> int:
    """Return how many bytes of text a message has at most that is sent there: what all should take, or by TCP do."""
    return (_LARGE if syslog.place(address)[0] == "tcp" else _SMALL) - _HEAD


def line_message(line: Line) -> bytes:
    """Return a line of a jail's log as a message."""
    head = f"<{_priority(line.facility, line.severity)}>1 {rfc3339(line.time)} {line.host or '-'} {line.tag}"
    return f'{head} {line.jail or "-"} - [meta sequenceId="{line.position & 0x7FFFFFFF}"] '.encode() + line.text


def _priority(facility: Facility, severity: Severity) -> int:
    return get_args(Facility).index(facility) * 8 + get_args(Severity).index(severity)


def _ever_shorter(notice: Notice) -> Iterator[Notice]:
    yield notice
    for size in _SHORTER:
        short = clipped(notice.message, size)
        whole = {"clipped": f"jailctl events --after {notice.sequence - 1}"}
        yield msgspec.structs.replace(notice, message=short, detail=whole)
