"""What bytes cost from one host to another and nothing else: a TLS socket, or a stream of `grpc.aio`.

`python -m tests.bench.barestream KIND ROLE ADDRESS PORT CERTIFICATE KEY AUTHORITY`, where KIND is `tls` or `grpc`:

    drain    listens, and throws away what comes
    out      listens, and writes what comes to stdout
    in       connects, and sends what it reads from stdin
    BYTES    connects, and sends so many

On stderr it says `ready` when it listens or is connected, and at the end the seconds from the first byte to the last,
and those of processor time between.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

PIECE = 1 << 20  # bytes, as jaild's chunks
_METHOD = "/bare.Stream/Send"


@dataclass(frozen=True, kw_only=True)
class End:
    """One end of a connection."""

    role: str
    address: str
    port: int
    certificate: str
    key: str
    authority: str

    @property
    def listens(self) -> bool:
        """Whether bytes come to it."""
        return self.role in {"drain", "out"}

    def pieces(self) -> Iterator[memoryview]:
        """Return what is to be sent; each piece is good until the next is asked for."""
        if self.role == "in":
            _enlarge(0)
            yield from filled(lambda room: os.readv(0, [room]))
            return
        left, random = int(self.role), memoryview(os.urandom(PIECE))
        while left:
            yield random[: min(left, PIECE)]
            left -= min(left, PIECE)

    def take(self, piece: memoryview) -> None:
        """Do with bytes that came what is wanted."""
        while self.role == "out" and piece:
            piece = piece[os.write(1, piece) :]


class Watch:
    """Seconds, and seconds of processor time, since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def tell(self) -> None:
        """Say them."""
        say(f"{time.perf_counter() - self._began[0]} {time.process_time() - self._began[1]}")


def say(what: str) -> None:
    """Say it to who measures: stdout is for bytes."""
    print(what, file=sys.stderr, flush=True)  # noqa: T201


def filled(read: Callable[[memoryview], int]) -> Iterator[memoryview]:
    """Return whole pieces, and what is left before the end, all in one buffer."""
    buffer, size, read_last = memoryview(bytearray(PIECE)), 0, 1
    while read_last:
        size += (read_last := read(buffer[size:]))
        if size == PIECE or not read_last:
            if size:
                yield buffer[:size]
            size = 0


def _enlarge(pipe: int) -> None:
    """Give a pipe the size that jaild's have."""
    with suppress(OSError):  # it is none
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIECE)


def serve_tls(end: End) -> None:
    """Take what one sender sends, and say when that was all."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(end.certificate, end.key)
    with socket.create_server((end.address, end.port)) as listener:
        say("ready")
        connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as stream:
        watch: Watch | None = None
        for piece in filled(stream.recv_into):
            watch = watch or Watch()
            end.take(piece)
        stream.unwrap()  # the sender waits for it
        (watch or Watch()).tell()


def send_tls(end: End) -> None:
    """Send, and wait until the other side has it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # what it costs to check is once, not a byte
    with context.wrap_socket(socket.create_connection((end.address, end.port))) as stream:
        say("ready")
        watch: Watch | None = None
        for piece in end.pieces():
            watch = watch or Watch()
            stream.sendall(piece)
        stream.unwrap()
        (watch or Watch()).tell()


class _Taking(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Takes one stream."""

    def __init__(self, end: End) -> None:
        self._end = end
        self.taken = asyncio.Event()

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        """Return the one method."""
        return grpc.stream_unary_rpc_method_handler(self._take)

    async def _take(self, pieces: AsyncIterator[bytes], _context: Any) -> bytes:
        size, watch = 0, None
        async for piece in pieces:
            watch = watch or Watch()
            size += len(piece)
            self._end.take(memoryview(piece))
        (watch or Watch()).tell()
        self.taken.set()
        return str(size).encode()


async def serve_grpc(end: End) -> None:
    """Take one stream."""
    key, certificate = Path(end.key).read_bytes(), Path(end.certificate).read_bytes()
    server, taking = grpc.aio.server(options=(("grpc.max_receive_message_length", 8 << 20),)), _Taking(end)
    server.add_generic_rpc_handlers((taking,))
    server.add_secure_port(f"{end.address}:{end.port}", grpc.ssl_server_credentials([(key, certificate)]))
    await server.start()
    say("ready")
    await taking.taken.wait()
    await server.stop(10)


async def send_grpc(end: End) -> None:
    """Send in one stream. Reading stdin keeps the loop waiting: there is nothing else for it to do."""
    credentials = grpc.ssl_channel_credentials(Path(end.authority).read_bytes())
    async with grpc.aio.secure_channel(f"{end.address}:{end.port}", credentials) as channel:
        method: Any = channel.stream_unary  # the stubs want serializers, which may be left out
        call, size, watch = method(_METHOD)(), 0, None
        await call.wait_for_connection()
        say("ready")
        for piece in end.pieces():
            watch = watch or Watch()
            size += len(piece)
            await call.write(bytes(piece))
        await call.done_writing()
        if int(await call) != size:
            raise ConnectionError("the other side did not get all")
        (watch or Watch()).tell()


def main(kind: str, end: End) -> None:
    """Be one end."""
    if end.role == "out":
        _enlarge(1)
    if kind == "tls":
        (serve_tls if end.listens else send_tls)(end)
    else:
        asyncio.run((serve_grpc if end.listens else send_grpc)(end))


if __name__ == "__main__":
    _, given, what, where, number, *files = sys.argv
    main(
        given,
        End(role=what, address=where, port=int(number), certificate=files[0], key=files[1], authority=files[2]),
    )
