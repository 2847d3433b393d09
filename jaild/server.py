"""The gRPC server: all services, on a unix socket and, with mutual TLS only, on TCP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import msgspec
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from jaild.model import bounds
from jaild.model.access import Grant
from jaild.model.errors import UnavailableError
from jaild.rpc.auth import CertificateAuthenticator, SocketAuthenticator
from jaild.rpc.interceptor import Audit, Interceptor
from jaild.rpc.services import Services
from jaild.rpc.tls import ListenerTls, Pem, TlsFiles

OPTIONS = (
    (
        "grpc.max_receive_message_length",
        bounds.STREAM_MESSAGE,
    ),  # the interceptor refuses smaller ones where they are no chunks
    ("grpc.absolute_max_metadata_size", bounds.METADATA),
    ("grpc.max_concurrent_streams", bounds.CALLS),
    ("grpc.max_send_message_length", 64 << 20),  # a page of 1000 jails
    ("grpc.so_reuseport", 0),  # a second daemon on the same port must fail, not share it
    # Peers and watching clients ping, so that a dead host is noticed; without this they would be thrown out for it.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


class Tcp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to listen besides the socket: `host:port`, port 0 for any free one."""

    address: str  # host:port
    tls: TlsFiles


class ApiServer:
    """Serves what the rooms have registered.

    `grants` say what a client certificate's name may do; the socket is for root alone. Each listener is a gRPC server
    of its own, so that who calls is known by where the call came in: the address of a connection is no proof, and on
    FreeBSD a unix socket's is garbage in some builds of gRPC.
    """

    def __init__(
        self,
        services: Services,
        audit: Audit,
        *,
        socket: Path,
        grants: Mapping[str, Grant] | None = None,
        tcp: Tcp | None = None,
    ) -> None:
        self._services = services
        self._socket = socket
        self._tcp = tcp
        self.on_socket = Interceptor(SocketAuthenticator(), audit)
        self._certificates = CertificateAuthenticator(grants or {})
        self.on_tcp = Interceptor(self._certificates, audit)
        self._tls: ListenerTls | None = None
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
        self._servers: tuple[grpc.aio.Server, ...] = ()
        self._port = 0

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0 for none."""
        return self._port

    async def start(self) -> None:
        """Listen and answer. Raises `UnavailableError` (LISTEN_FAILED, TLS_FILE_UNREADABLE, TLS_FILE_UNUSABLE)."""
        servers = [self._server(self.on_socket)]
        self._listen_on_socket(servers[0])
        if self._tcp is not None:
            servers.append(self._server(self.on_tcp))
            self._tls = ListenerTls(self._tcp.tls.read())
            self._port = _listen(servers[1], self._tcp.address, self._tls.credentials())
        self._servers = tuple(servers)
        for server in servers:
            await server.start()
        for service in self._services.names:
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    def replace(self, grants: Mapping[str, Grant], pem: Pem | None) -> None:
        """Ask these grants from the next call on; by TCP, show this certificate from the next connection on."""
        self._certificates.replace(grants)
        if self._tls is not None and pem is not None:
            self._tls.replace(pem)

    async def stop(self, grace: float) -> None:
        """Take no more calls, end the watches, give other calls `grace` seconds. Harmless when not started."""
        if not self._servers:
            return
        await self._health.enter_graceful_shutdown()
        for interceptor in (self.on_socket, self.on_tcp):
            interceptor.end_streams()
        await asyncio.gather(*(server.stop(grace) for server in self._servers))
        for interceptor in (self.on_socket, self.on_tcp):
            await interceptor.settle()
        self._servers = ()
        self._socket.unlink(missing_ok=True)

    def _server(self, interceptor: Interceptor) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=(interceptor,), options=OPTIONS)
        self._services.add_all_to(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        shown = (
            *self._services.names,
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            reflection.SERVICE_NAME,
        )
        reflection.enable_server_reflection(shown, server)
        return server

    def _listen_on_socket(self, server: grpc.aio.Server) -> None:
        umask = os.umask(0o177)  # so that it is never there with wider permissions, not even for a moment
        try:
            _listen(server, f"unix:{self._socket}", None)
        finally:
            os.umask(umask)


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise UnavailableError(
            "LISTEN_FAILED",
            f"cannot listen on {address}: {error}",
            hint="see whether something else listens there, the folder exists, and a socket's path is short",
            resource=address,
        ) from error
