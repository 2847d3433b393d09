"""What tests of reactions share: templates/salt as it is copied, where alerts go, a pool that degrades."""

from __future__ import annotations

import json
import queue
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.node import CHECKOUT, Node
from tests.salt.bench import SECONDS, Bench

TEMPLATES = CHECKOUT / "templates/salt"


def configured(name: str) -> dict[str, Any]:
    """The master's configuration that a template is."""
    return dict(yaml.safe_load((TEMPLATES / "master.d" / name).read_text()))


def copied(bench: Bench) -> None:
    """Put the states, orchestrations and reactions into the master's file_roots."""
    shutil.copytree(TEMPLATES / "jaild", bench.states / "jaild")


class Alerts:
    """A webhook."""

    def __init__(self, url: str, told: queue.Queue[str]) -> None:
        self.url = url
        self._told = told

    def next(self) -> str:
        """Wait for one; return its text."""
        return self._told.get(timeout=SECONDS)


@contextmanager
def webhook() -> Iterator[Alerts]:
    """Listen on the loopback interface."""
    told: queue.Queue[str] = queue.Queue()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.put(json.loads(body)["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Alerts(f"http://127.0.0.1:{server.server_port}/", told)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def degraded(node: Node) -> Iterator[None]:
    """Make the host's pool a mirror and take one side of it away."""
    first = node.folder / "vdevs/pool.img"
    second = Path(f"{first}.second")
    with second.open("wb") as file:
        file.truncate(first.stat().st_size)
    try:
        node.run("zpool", "attach", node.pool, str(first), str(second))
        node.run("zpool", "offline", node.pool, str(second))
        assert "DEGRADED" in node.run("zpool", "status", node.pool)
        yield
    finally:
        node.run("zpool", "detach", node.pool, str(second))
        second.unlink()
