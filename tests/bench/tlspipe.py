"""How fast bytes go through a TLS socket and nothing else.

`python -m tests.bench.tlspipe ADDRESS PORT CERTIFICATE KEY` listens, says `ready` on stdout, and reads to the end.
`python -m tests.bench.tlspipe ADDRESS PORT BYTES` sends so many, and prints how many seconds it took until the other
side had them.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time

PIECE = 1 << 20  # bytes, as jaild's chunks
_DONE = b"."


def serve(address: str, port: int, certificate: str, key: str) -> None:
    """Read what one sender sends, and say when that was all."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with socket.create_server((address, port)) as listener:
        print("ready", flush=True)  # noqa: T201
        connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True) as stream:
        left = int.from_bytes(stream.recv(8), "big")
        buffer = bytearray(PIECE)
        while left:
            read = stream.recv_into(buffer)
            if not read:
                raise ConnectionError(f"the sender ended {left} bytes early")
            left -= read
        stream.sendall(_DONE)


def send(address: str, port: int, size: int) -> float:
    """Return the seconds that `size` bytes take."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # what it costs to check is once, not a byte
    piece = os.urandom(PIECE)
    with context.wrap_socket(socket.create_connection((address, port))) as stream:
        began = time.perf_counter()
        stream.sendall(size.to_bytes(8, "big"))
        for _ in range(size // PIECE):
            stream.sendall(piece)
        stream.sendall(piece[: size % PIECE])
        if stream.recv(1) != _DONE:
            raise ConnectionError("the other side did not get all")
        return time.perf_counter() - began


if __name__ == "__main__":
    match sys.argv[1:]:
        case [address, port, size]:
            print(send(address, int(port), int(size)))  # noqa: T201
        case [address, port, certificate, key]:
            serve(address, int(port), certificate, key)
