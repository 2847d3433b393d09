"""A real receiver of webhooks: Python's own HTTP server in a thread, by TLS if it has a certificate."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jaild.rpc.tls import TlsFiles

SECRET = b"0123456789abcdef0123456789abcdef"


@dataclass
class Received:
    """What came, and how it is answered."""

    port: int = 0
    path: str = ""
    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many events were taken."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.events) >= count, seconds), [
                event["kind"] for event in self.events
            ]


class _Handler(BaseHTTPRequestHandler):
    received: Received

    def do_POST(self) -> None:
        """Check the signature as docs/operators.md says, and take the event down."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = dict(part.split("=") for part in self.headers["Jaild-Signature"].split(","))
        signed = hmac.new(SECRET, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        told = self.received
        status = told.status if hmac.compare_digest(signed, parts["v1"]) else 403
        with told.came:  # before the answer: who asks then finds it
            told.path = self.path
            if status < 300:
                told.events.append(json.loads(body))
                told.times.append(int(parts["t"]))
                told.keys.append(self.headers["Idempotency-Key"])
            told.came.notify_all()
        self.send_response(status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(told.body)))
        self.end_headers()
        self.wfile.write(told.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving(tls: TlsFiles | None = None, port: int = 0) -> Iterator[Received]:
    """Listen on a loopback address."""
    received = Received()
    handler = type("Handler", (_Handler,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        received.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
