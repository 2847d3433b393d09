"""The demo's window: what listens on a host's loopback address is reached by a socket of another namespace."""

from __future__ import annotations

import asyncio
import socket
import sys

from tests.demo.hosts import CHECKOUT


async def test_a_window_hands_connections_on_both_ways_and_hangs_up_where_nobody_listens() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    inside = server.sockets[0].getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as seen:
        outside = seen.getsockname()[1]
        argv = (sys.executable, "-m", "tests.demo.window", str(inside))
        window = await asyncio.create_subprocess_exec(*argv, stdin=seen.fileno(), cwd=CHECKOUT)
    try:
        assert await _asked(outside) == b"HELLO\n"
        server.close()
        await server.wait_closed()
        assert await _asked(outside) == b""
        assert await _asked(outside) == b""  # it goes on
    finally:
        window.terminate()
        await window.wait()


async def _asked(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    try:
        return await reader.read()
    except ConnectionResetError:  # hung up before it read what was asked
        return b""
    finally:
        writer.close()
