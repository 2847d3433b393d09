"""What `make demo SHOW=1` has to look at: programs on the client's machine, seen from this one by a window each.

browser ──► 127.0.0.1:PORT ──► window ──► 127.0.0.1:PORT of the client ──► a program, which asks alpha and beta
           (this machine)     (its socket is of this machine, it runs on the client's)
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.demo.daemons import WATCHER, Daemons
from tests.demo.hosts import CHECKOUT, Host
from tests.demo.screen import Screen
from tests.patience import patient

_TEMPLATES = CHECKOUT / "templates" / "monitoring"
_PROMETHEUS, _WEB = 9090, 8420
_COMES = patient(30.0)  # seconds for a program to say where it is


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A program with a page, on `port` of its loopback address.

    `address` is a pattern of the page's address in what it says, where that has more than the port, such as a token.
    """

    name: str
    argv: Sequence[str | Path]
    port: int
    paths: Sequence[str] = ("/",)
    address: str = ""


def sights(daemons: Daemons, folder: Path) -> Iterator[Sight]:
    """Yield all of them. What they need to know lies in `folder`."""
    yield _prometheus(daemons, folder)
    yield _web()


class Sights:
    """Programs that run while it is entered, from `open` on."""

    def __init__(self, client: Host, folder: Path, screen: Screen) -> None:
        self._client = client
        self._folder = folder
        self._screen = screen
        self._stack = ExitStack()
        self._pages: list[tuple[str, str]] = []  # name, address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def open(self, daemons: Daemons) -> None:
        """Start all, and say where they are."""
        for sight in sights(daemons, self._folder):
            log = self._folder / f"{sight.name}.log"
            with log.open("wb") as said:
                program = self._client.start(sight.argv, env=daemons.environment, stdout=said, stderr=said)
            self._stack.callback(self._client.stop, program)
            with _listening(sight.port) as seen:
                window = self._client.start(
                    [sys.executable, "-m", "tests.demo.window", str(sight.port)], stdin=seen.fileno()
                )
                port = seen.getsockname()[1]
            self._stack.callback(self._client.stop, window)
            for path in sight.paths:
                address = _address(sight, log, path).replace(f":{sight.port}", f":{port}", 1)
                self._pages.append((sight.name, address))
                self._screen.say(f"{sight.name}: {address}")

    def show(self) -> None:
        """Say what there is, and stay until somebody wants an end."""
        self._screen.heading(0, "look", "both hosts stay up until Ctrl-C; then the story is told to its end")
        for name, address in self._pages:
            self._screen.fact(f"{name:<12} {address}")
        self._screen.fact(f"{'Grafana':<12} import {_TEMPLATES / 'grafana/jaild.json'} with this Prometheus")
        for host in ("alpha", "beta"):
            self._screen.fact(f"{host:<12} export JAILCTL_ADDRESS=unix://{self._folder / host}/jaild.sock")
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            self._screen.say("going on to the end")


def _listening(port: int) -> socket.socket:
    """Listen on this port of the loopback address, or any other where it is taken."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


def _address(sight: Sight, log: Path, path: str) -> str:
    if not sight.address:
        return f"http://127.0.0.1:{sight.port}{path}"
    end = time.monotonic() + _COMES
    while (found := re.search(sight.address, log.read_text())) is None:
        if time.monotonic() > end:
            raise RuntimeError(f"{sight.name} does not say where it is: {log.read_text()[-1000:]}")
        time.sleep(0.1)
    return found[0]


def _prometheus(daemons: Daemons, folder: Path) -> Sight:
    told = yaml.safe_load((_TEMPLATES / "prometheus" / "prometheus.yml").read_text())
    told["global"] = {"scrape_interval": "5s", "evaluation_interval": "5s"}
    told["rule_files"] = [str(_TEMPLATES / "prometheus" / "jaild.rules.yml")]
    (job,) = told["scrape_configs"]
    job["static_configs"] = [
        {"targets": [address], "labels": {"instance": name}} for name, address in daemons.metrics.items()
    ]
    own = daemons.files[WATCHER]
    job["tls_config"] = {
        "ca_file": str(own.authority),
        "cert_file": str(own.certificate),
        "key_file": str(own.key),
    }
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(told))
    argv = [
        *("prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder}/prometheus"),
        f"--web.listen-address=127.0.0.1:{_PROMETHEUS}",
    ]
    graph = "/graph?g0.expr=jaild_jail_state&g0.tab=1&g1.expr=rate(jaild_stream_bytes_total%5B1m%5D)&g1.tab=0"
    return Sight(name="Prometheus", argv=argv, port=_PROMETHEUS, paths=("/targets", "/alerts", graph))


def _web() -> Sight:
    jailctl = (sys.executable, "-c", "from jaild.cli.main import main; main()")
    argv = [*jailctl, "web", "operator@alpha", "operator@beta", "--port", str(_WEB), "--interval", "5s"]
    return Sight(name="Page", argv=argv, port=_WEB, address=r"http://127\.0\.0\.1:\d+/\?token=\S+")
