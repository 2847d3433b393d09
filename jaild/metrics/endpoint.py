"""GET /metrics over HTTP/1.1, and nothing else: bounded in bytes, seconds and connections, whoever asks.

    a free place ─► accept ─► TLS handshake ─► request (h11) ─► who is it? ─► answer, close
         ▲              └──────────── all of it within `seconds` ──────────────┘    │
         └──────────────────────────────────────────────────────────────────────────┘

A client that is slow, or says nothing, costs its place and the bytes of one answer until its time is over. Each
connection takes the certificate that is in force when it comes, so that a new one needs no new socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

import h11
import structlog

from jaild.engine.supervisor import Supervisor
from jaild.metrics.listener import Listener
from jaild.model.access import Grant
from jaild.model.errors import UnavailableError
from jaild.rpc.policy import METRICS

PATH = "/metrics"
_TASK = "metrics endpoint"
_CONNECTIONS = 16  # at once; more wait in the kernel's queue
_HEAD = 16 << 10  # bytes of a request

Answer = tuple[bytes, Mapping[str, str]]  # what is exposed, and its headers
Expose = Callable[[Mapping[str, str]], Awaitable[Answer]]  # takes the request's headers, names in small letters


class Endpoint:
    """Listens by its own setting, for Prometheus and what reads its formats."""

    def __init__(
        self,
        listener: Listener,
        grants: Mapping[str, Grant],
        supervisor: Supervisor,
        expose: Expose,
        *,
        seconds: float = 10.0,
    ) -> None:
        """Make one that gives each connection so many seconds; Prometheus's own scrape_timeout if it is not said."""
        self._listener = listener
        self._grants = grants
        self._supervisor = supervisor
        self._expose = expose
        self._seconds = seconds
        self._context: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self._free = asyncio.Semaphore(_CONNECTIONS)
        self._connections: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self._log = structlog.get_logger("jaild.metrics")

    @property
    def port(self) -> int:
        """The port that it listens on; 0 for none, as of a unix socket."""
        if self._socket is None or self._listener.path is not None:
            return 0
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Listen and answer. `UnavailableError` (LISTEN_FAILED, TLS_FILE_UNREADABLE, TLS_FILE_UNUSABLE)."""
        tls = self._listener.tls
        self._context = tls.server_context() if tls is not None else None
        try:
            self._socket = _listening(self._listener)
        except OSError as error:
            raise UnavailableError(
                "LISTEN_FAILED",
                f"cannot listen on {self._listener.address} for metrics: {error}",
                hint="see whether something else listens there, and the address is this host's",
                resource=self._listener.address,
            ) from error
        self._socket.setblocking(False)
        self._log.info("metrics", port=self.port, tls=tls is not None)
        self._supervisor.retry(_TASK, self._accept, lasting=True)

    def replace(self, grants: Mapping[str, Grant], context: ssl.SSLContext | None) -> None:
        """Ask these grants, and show this certificate (None: the one in force), from the next connection on."""
        self._grants = grants
        self._context = context or self._context

    async def stop(self) -> None:
        """Listen no more; what is being answered is cut off. Harmless when not started."""
        await self._supervisor.end(_TASK)
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self) -> None:
        loop, listening = asyncio.get_running_loop(), self._socket
        while listening is not None:
            await self._free.acquire()
            try:
                connection, _ = await loop.sock_accept(listening)
            except BaseException:  # no file descriptor is left, say: the supervisor lets a moment pass
                self._free.release()
                raise
            task = self._supervisor.once(f"metrics connection {next(self._numbers)}", partial(self._serve, connection))
            self._connections.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._free.release()

    async def _serve(self, connection: socket.socket) -> None:
        transport: asyncio.Transport | None = None
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=_HEAD)
        # What a client does to its connection is no news: it ends.
        with contextlib.suppress(TimeoutError, OSError, EOFError), contextlib.closing(connection):
            try:
                async with asyncio.timeout(self._seconds):
                    protocol = asyncio.StreamReaderProtocol(reader)
                    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._context)
                    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                    await self._answer(reader, writer)
                    writer.close()
                    await writer.wait_closed()  # all of it is sent, or the time is over
            finally:
                if transport is not None:
                    transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        try:
            while (event := http.next_event()) is h11.NEED_DATA:
                http.receive_data(await reader.read(_HEAD))
        except h11.RemoteProtocolError as error:
            _write(writer, http, error.error_status_hint, b"no HTTP request that is understood\n")
            return
        if not isinstance(event, h11.Request):
            return  # it hung up
        if self._context is not None and not self._is_granted(writer.get_extra_info("peercert")):
            refusal = b"this needs a certificate whose name has the role metrics in jaild's configuration\n"
            _write(writer, http, 403, refusal)
        elif event.target.partition(b"?")[0] != PATH.encode():
            _write(writer, http, 404, b"there is " + PATH.encode() + b" only\n")
        elif event.method != b"GET":
            _write(writer, http, 405, b"GET only\n", {"Allow": "GET"})
        else:
            asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            body, headers = await self._expose(asked)
            _write(writer, http, 200, body, headers)

    def _is_granted(self, certificate: Mapping[str, Any] | None) -> bool:
        """Say whether the first of a certificate's names that has a grant has a role that may read metrics."""
        grants = (self._grants[name] for name in _names(certificate or {}) if name in self._grants)
        grant = next(grants, None)
        return grant is not None and not METRICS.isdisjoint(grant.roles)


def _listening(listener: Listener) -> socket.socket:
    if (path := listener.path) is None:
        host, port = listener.place
        return socket.create_server((host, port), family=socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0])
    if path.is_socket():
        path.unlink()  # the last daemon's: two of one host exclude each other before they come so far
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(str(path))
        path.chmod(0o666)  # who may reach it, its folder says
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def _names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names in a certificate as `ssl` tells it, the common name first: as gRPC does for the API."""
    for part in certificate.get("subject", ()):
        yield from (value for key, value in part if key == "commonName")
    yield from (value for _, value in certificate.get("subjectAltName", ()))


def _write(
    writer: asyncio.StreamWriter,
    http: h11.Connection,
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
) -> None:
    told = {"Content-Type": "text/plain; charset=utf-8"} | dict(headers or {})
    told |= {"Content-Length": str(len(body)), "Connection": "close"}
    if http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    response = h11.Response(status_code=status, headers=list(told.items()))
    for part in (response, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(http.send(part) or b"")
