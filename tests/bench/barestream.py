"""What bytes cost from one host to another and nothing else: a TLS socket, or a stream of `grpc.aio`.

`python -m tests.bench.barestream KIND ADDRESS PORT CERTIFICATE KEY AUTHORITY` listens, says `ready` on stdout, and
reads to the end. With BYTES more it sends so many to one that listens. Both print at the end the seconds from the first
byte to the last, and those of processor time between them. KIND is `tls` or `grpc`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

PIECE = 1 << 20  # bytes, as jaild's chunks
_DONE = b"."
_METHOD = "/bare.Stream/Send"


@dataclass(frozen=True, kw_only=True)
class End:
    """One end of a connection."""

    address: str
    port: int
    certificate: str
    key: str
    authority: str


class Watch:
    """Seconds, and seconds of processor time, since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def tell(self) -> None:
        """Print them."""
        print(time.perf_counter() - self._began[0], time.process_time() - self._began[1], flush=True)  # noqa: T201


def serve_tls(end: End) -> None:
    """Read what one sender sends, and say when that was all."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(end.certificate, end.key)
    with socket.create_server((end.address, end.port)) as listener:
        print("ready", flush=True)  # noqa: T201
        connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True) as stream:
        left = int.from_bytes(stream.recv(8), "big")
        watch, buffer = Watch(), bytearray(PIECE)
        while left:
            read = stream.recv_into(buffer)
            if not read:
                raise ConnectionError(f"the sender ended {left} bytes early")
            left -= read
        stream.sendall(_DONE)
        watch.tell()


def send_tls(end: End, size: int) -> None:
    """Send `size` bytes, and wait until the other side has them."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # what it costs to check is once, not a byte
    piece = os.urandom(PIECE)
    with context.wrap_socket(socket.create_connection((end.address, end.port))) as stream:
        watch = Watch()
        stream.sendall(size.to_bytes(8, "big"))
        for _ in range(size // PIECE):
            stream.sendall(piece)
        stream.sendall(piece[: size % PIECE])
        if stream.recv(1) != _DONE:
            raise ConnectionError("the other side did not get all")
        watch.tell()


class _Taking(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Takes one stream."""

    def __init__(self) -> None:
        self.taken = asyncio.Event()

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        """Return the one method."""
        return grpc.stream_unary_rpc_method_handler(self._take)

    async def _take(self, pieces: AsyncIterator[bytes], _context: Any) -> bytes:
        size, watch = len(await anext(pieces)), Watch()
        async for piece in pieces:
            size += len(piece)
        watch.tell()
        self.taken.set()
        return str(size).encode()


async def serve_grpc(end: End) -> None:
    """Take one stream."""
    key, certificate = Path(end.key).read_bytes(), Path(end.certificate).read_bytes()
    server, taking = grpc.aio.server(options=(("grpc.max_receive_message_length", 8 << 20),)), _Taking()
    server.add_generic_rpc_handlers((taking,))
    server.add_secure_port(f"{end.address}:{end.port}", grpc.ssl_server_credentials([(key, certificate)]))
    await server.start()
    print("ready", flush=True)  # noqa: T201
    await taking.taken.wait()
    await server.stop(10)


async def send_grpc(end: End, size: int) -> None:
    """Send `size` bytes in one stream."""
    credentials = grpc.ssl_channel_credentials(Path(end.authority).read_bytes())
    piece = os.urandom(PIECE)
    async with grpc.aio.secure_channel(f"{end.address}:{end.port}", credentials) as channel:
        method: Any = channel.stream_unary  # the stubs want serializers, which may be left out
        call = method(_METHOD)()
        await call.wait_for_connection()
        watch = Watch()
        for _ in range(size // PIECE):
            await call.write(piece)
        await call.write(piece[: size % PIECE])
        await call.done_writing()
        if int(await call) != size:
            raise ConnectionError("the other side did not get all")
        watch.tell()


def main(kind: str, end: End, size: int | None) -> None:
    """Be one end."""
    match kind, size:
        case "tls", None:
            serve_tls(end)
        case "tls", int():
            send_tls(end, size)
        case _, None:
            asyncio.run(serve_grpc(end))
        case _, int():
            asyncio.run(send_grpc(end, size))


if __name__ == "__main__":
    _, given, where, number, *files = sys.argv
    main(
        given,
        End(address=where, port=int(number), certificate=files[0], key=files[1], authority=files[2]),
        int(files[3]) if files[3:] else None,
    )
