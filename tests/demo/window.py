"""`python -m tests.demo.window PORT < SOCKET`: hands connections of a listening socket on to a port of this host.

The socket, its stdin, is of the namespace that made it. So what listens on a demo's host can be looked at from the
machine, which has no way into that host's network.
"""

from __future__ import annotations

import asyncio
import socket
import sys

_PIECE = 1 << 16  # bytes


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:  # one of both hung up: so does the other
        pass
    finally:
        writer.close()


async def _main(port: int) -> None:
    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # nobody listens there yet, or any more
            writer.close()
            return
        await asyncio.gather(_copy(reader, here), _copy(there, writer))

    server = await asyncio.start_server(hand_on, sock=socket.socket(fileno=sys.stdin.fileno()))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
