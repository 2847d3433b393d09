"""Events as messages of syslog, RFC 5424 (implements `jaild.ports.sinks.Sink`).

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
from collections.abc import Iterator
from typing import get_args

import msgspec

from jaild.model.errors import UnavailableError
from jaild.model.operation import clipped
from jaild.model.sinks.records import Notice
from jaild.model.sinks.settings import Facility, Severity, Syslog

_LARGE, _SMALL = 8192, 2048  # bytes of a message: what syslogds take; what all should (RFC 5424, 6.1)
_KIND = 32  # characters of a MSGID
_SHORTER = (2048, 1024, 512, 128)  # bytes of an event's text


class SyslogSink:
    """One receiver."""

    def __init__(self, settings: Syslog) -> None:
        self._settings = settings

    async def deliver(self, notice: Notice) -> None:
        """Send it. `UnavailableError` (SINK_UNREACHABLE); by a local socket or UDP sent is not yet kept."""
        scheme, host, port, path = self._settings.place
        try:
            async with asyncio.timeout(self._settings.timeout):
                if scheme == "tcp":
                    await _stream(host, port, message(self._settings, notice, _LARGE))
                elif scheme == "udp":
                    await self._datagram(notice, await _address(host, port))
                else:
                    await self._datagram(notice, (socket.AF_UNIX, path))
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that no resolver is asked
            why = f"no end within {self._settings.timeout:g} s" if isinstance(error, TimeoutError) else str(error)
            raise UnavailableError(
                "SINK_UNREACHABLE",
                f"{self._settings.address}: {why}",
                hint="see whether a syslog daemon takes messages there",
            ) from error

    async def _datagram(self, notice: Notice, where: tuple[socket.AddressFamily, object]) -> None:
        loop = asyncio.get_running_loop()
        family, address = where
        with socket.socket(family, socket.SOCK_DGRAM) as it:
            it.setblocking(False)
            await loop.sock_connect(it, address)  # type: ignore[arg-type]  # a path is one, too
            try:
                await loop.sock_sendall(it, message(self._settings, notice, _LARGE))
            except OSError as error:
                if error.errno != errno.EMSGSIZE:  # FreeBSD: net.local.dgram.maxdgram
                    raise
                await loop.sock_sendall(it, message(self._settings, notice, _SMALL))


async def _address(host: str, port: int) -> tuple[socket.AddressFamily, object]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return found[0][0], found[0][4]


async def _stream(host: str, port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"%d %b" % (len(said), said))
        writer.write_eof()
        await writer.drain()
        while await reader.read(_SMALL):
            pass
    finally:
        writer.transport.abort()


def message(settings: Syslog, notice: Notice, limit: int) -> bytes:
    """Return the message, with a shorter text if it would have more than `limit` bytes."""
    facilities, severities = get_args(Facility), get_args(Severity)
    priority = facilities.index(settings.facility) * 8 + severities.index(settings.severity)
    kind = "".join(letter for letter in notice.kind if "!" <= letter <= "~")[:_KIND] or "-"
    data = f'[meta sequenceId="{notice.sequence & 0x7FFFFFFF}"]'
    head = f"<{priority}>1 {notice.time} {notice.host or '-'} jaild {os.getpid()} {kind} {data} ".encode()
    found = (head + each.json() for each in _ever_shorter(notice))
    return next((each for each in found if len(each) <= limit), head[:limit])


def _ever_shorter(notice: Notice) -> Iterator[Notice]:
    yield notice
    for size in _SHORTER:
        short = clipped(notice.message, size)
        whole = {"clipped": f"jailctl events --after {notice.sequence - 1}"}
        yield msgspec.structs.replace(notice, message=short, detail=whole)
