"""Health checks over the network, by plain sockets.

Also a program, with nothing but the standard library, that makes one check from inside a jail's network:
`python probe.py JID tcp|http ADDRESS PORT PATH TIMEOUT` prints what is wrong, or nothing.
"""

from __future__ import annotations

import asyncio
import sys

_STATUS_LINE_PARTS = 2
_GOOD = range(200, 400)
_DONE = range(200, 300)
_BODILESS = frozenset({"GET", "HEAD"})
_LONGEST_LINE = 4096  # bytes


class SocketProbe:
    """`jaild.ports.probe.HostProbe` on asyncio's streams."""

    async def tcp(self, address: str, port: int, timeout: float) -> str:
        """Open a connection and close it again."""
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(address, port)
        except (OSError, TimeoutError) as error:
            return f"tcp {address}:{port}: {_text(error, timeout)}"
        writer.close()
        return ""

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:
        """GET `path` by HTTP/1.0; only the status line is read."""
        return await self._request("GET", address, port, path, _GOOD, timeout)

    async def call(self, method: str, address: str, port: int, path: str, status: int | None, timeout: float) -> str:
        """Make a request by HTTP/1.0; only the status line is read, and no redirection is followed."""
        good = _DONE if status is None else range(status, status + 1)
        return await self._request(method, address, port, path, good, timeout)

    @staticmethod
    async def _request(method: str, address: str, port: int, path: str, good: range, timeout: float) -> str:
        host = f"[{address}]" if ":" in address else address
        what = f"http://{host}:{port}{path}"
        if method != "GET":
            what = f"{method} {what}"
        told = f"Host: {host}\r\nUser-Agent: jaild\r\n" + ("" if method in _BODILESS else "Content-Length: 0\r\n")
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(address, port)
                try:
                    writer.write(f"{method} {path} HTTP/1.0\r\n{told}\r\n".encode())
                    line = await _first_line(reader)
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            return f"{what}: {_text(error, timeout)}"
        parts = line.split(maxsplit=2)
        if len(parts) < _STATUS_LINE_PARTS or not parts[0].startswith("HTTP/") or not parts[1].isdecimal():
            return f"{what}: answered {line[:80]!r}, which is not HTTP"
        return "" if int(parts[1]) in good else f"{what}: answered {line[:80]!r}"


async def _first_line(reader: asyncio.StreamReader) -> str:
    """Return what comes before the first newline, and no more than a status line can be: a service sends anything."""
    line = b""
    while b"\n" not in line and len(line) < _LONGEST_LINE and (piece := await reader.read(_LONGEST_LINE - len(line))):
        line += piece
    return line.partition(b"\n")[0].decode("latin-1").strip()


def _text(error: Exception, timeout: float) -> str:
    return f"no answer within {timeout:g} s" if isinstance(error, TimeoutError) else str(error)


def main(jid: str, kind: str, address: str, port: str, path: str, timeout: str) -> None:
    """Make one check in the jail `jid` (FreeBSD), or where the process is if that is empty."""
    if jid:
        _attach(int(jid))
    probe = SocketProbe()
    if kind == "http":
        check = probe.http(address, int(port), path, float(timeout))
    else:
        check = probe.tcp(address, int(port), float(timeout))
    sys.stdout.write(asyncio.run(check))


def _attach(jid: int) -> None:
    """Enter a jail for good (jail_attach(2)): its network, and its root, in which there may be no Python."""
    # What is imported only when it is needed could not be found any more.
    import ctypes  # noqa: PLC0415
    import encodings.idna  # noqa: F401, PLC0415

    system = ctypes.CDLL(None, use_errno=True)
    if system.jail_attach(jid) != 0:
        sys.exit(f"jail_attach({jid}): error {ctypes.get_errno()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
