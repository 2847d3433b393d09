"""The line between a host and its registry: it can be cut in the middle of a blob, and can hold one up."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_LARGE = 2 << 20  # bytes: what is done to blobs is done to such
_PIECE = 16 << 10
_OF_A_LINK = {"connection", "transfer-encoding", "keep-alive"}


class Line(ThreadingHTTPServer):
    """Hands all on. `cuts`: so many large blobs break off half-way."""

    daemon_threads = True

    def __init__(self, to: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.to = to
        self.cuts = 0
        self.asked: Counter[str] = Counter()  # blobs, by the last part of their path
        self.held = threading.Event()  # one is
        self._goes_on = threading.Event()
        self._goes_on.set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold large blobs up half-way until the block ends."""
        self.held.clear()
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()

    def half_way(self) -> bool:
        """Do what is done in the middle of a blob; return whether it goes on."""
        if self.cuts:
            self.cuts -= 1
            return False
        if not self._goes_on.is_set():
            self.held.set()
            self._goes_on.wait()
        return True


@contextmanager
def line(to: str) -> Iterator[Line]:
    with Line(to) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Line
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._hand_on()

    def do_GET(self) -> None:
        self._hand_on()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its own
        """Say nothing."""

    def _hand_on(self) -> None:
        self.close_connection = True
        link = http.client.HTTPConnection(self.server.to)
        link.request(self.command, self.path, headers={**self.headers, "Connection": "close"})
        answer = link.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_A_LINK:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        size = int(answer.getheader("Content-Length") or 0)
        large = "/blobs/" in self.path and size > _LARGE and self.command == "GET"
        if "/blobs/" in self.path and self.command == "GET":
            self.server.asked[self.path.rpartition(":")[2]] += 1
        sent = 0
        try:
            while piece := answer.read(_PIECE):
                self.wfile.write(piece)
                sent += len(piece)
                if large and sent > size // 2:
                    large = False
                    if not self.server.half_way():
                        break
        except OSError:  # whoever asked is gone
            pass
        finally:
            link.close()
