"""The gRPC server: all services, on a unix socket and, with mutual TLS only, on TCP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.longrunning import operations_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from jaild.evacuation.rpc import EvacuationsServicer
from jaild.host.rpc import HostServicer
from jaild.jails.rpc import JailsServicer
from jaild.jails.usage_rpc import StatsServicer
from jaild.layers.apps_rpc import AppsServicer
from jaild.layers.base_builds_rpc import BaseMakingServicer
from jaild.layers.builds_rpc import BuildsServicer
from jaild.layers.rpc import BasesServicer
from jaild.migration.rpc import ClonesServicer, MigrationsServicer, PeerServicer, RehearsalsServicer
from jaild.model import bounds
from jaild.model.access import Grant
from jaild.model.errors import UnavailableError
from jaild.peer.v1 import peer_pb2_grpc, rehearsal_pb2_grpc
from jaild.peer.v1 import salvage_pb2_grpc as peer_salvage_pb2_grpc
from jaild.peer.v1 import standby_pb2_grpc as peer_standby_pb2_grpc
from jaild.replication.failover_rpc import PromotionsServicer
from jaild.replication.rpc import StandbyServicer
from jaild.rpc.auth import Authenticator
from jaild.rpc.events import EventsServicer
from jaild.rpc.interceptor import Interceptor
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.operations import OperationsServicer
from jaild.rpc.tls import TlsFiles
from jaild.rpc.use_cases import UseCases
from jaild.salvage.rpc import PeerSalvageServicer, SalvagesServicer
from jaild.v1 import (
    apps_pb2_grpc,
    base_making_pb2_grpc,
    bases_pb2_grpc,
    builds_pb2_grpc,
    evacuations_pb2_grpc,
    events_pb2_grpc,
    host_pb2_grpc,
    jails_pb2_grpc,
    migrations_pb2_grpc,
    promotions_pb2_grpc,
    rehearsals_pb2_grpc,
    salvage_pb2_grpc,
    stats_pb2_grpc,
)

SERVICES = (
    "jaild.v1.Bases",
    "jaild.v1.BaseMaking",
    "jaild.v1.Apps",
    "jaild.v1.Builds",
    "jaild.v1.Jails",
    "jaild.v1.Migrations",
    "jaild.v1.Stats",
    "jaild.v1.Rehearsals",
    "jaild.v1.Host",
    "jaild.v1.Evacuations",
    "jaild.v1.Events",
    "jaild.v1.Promotions",
    "jaild.v1.Salvages",
    "jaild.peer.v1.Peer",
    "jaild.peer.v1.Standby",
    "jaild.peer.v1.Salvage",
    "jaild.peer.v1.Rehearsals",
    "google.longrunning.Operations",
)
_OPTIONS = (
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

    address: str
    tls: TlsFiles


class ApiServer:
    """Serves the use cases. `grants` say what a client certificate's name may do; the socket is for root alone."""

    def __init__(
        self, use_cases: UseCases, *, socket: Path, grants: Mapping[str, Grant] | None = None, tcp: Tcp | None = None
    ) -> None:
        self._use_cases = use_cases
        self._socket = socket
        self._tcp = tcp
        self._interceptor = Interceptor(Authenticator(grants or {}), use_cases.audit)
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
        self._server: grpc.aio.Server | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0 for none."""
        return self._port

    async def start(self) -> None:
        """Listen and answer. Raises `UnavailableError` (LISTEN_FAILED, TLS_FILE_UNREADABLE)."""
        server = grpc.aio.server(interceptors=(self._interceptor,), options=_OPTIONS)
        self._add_services(server)
        self._listen_on_socket(server)
        if self._tcp is not None:
            self._port = _listen(server, self._tcp.address, self._tcp.tls.server_credentials())
        self._server = server
        await server.start()
        for service in SERVICES:
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float) -> None:
        """Take no more calls, end the watches, give other calls `grace` seconds. Harmless when not started."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        self._interceptor.end_streams()
        await self._server.stop(grace)
        await self._interceptor.settle()
        self._server = None
        self._socket.unlink(missing_ok=True)

    def _add_services(self, server: grpc.aio.Server) -> None:
        cases = self._use_cases
        messages = OperationMessages(cases.bases, cases.releases, cases.jails, cases.migrations, cases.evacuations)
        bases_pb2_grpc.add_BasesServicer_to_server(BasesServicer(cases.bases, messages), server)
        base_making_pb2_grpc.add_BaseMakingServicer_to_server(BaseMakingServicer(cases.base_making, messages), server)
        apps_pb2_grpc.add_AppsServicer_to_server(AppsServicer(cases.releases, messages), server)
        builds_pb2_grpc.add_BuildsServicer_to_server(BuildsServicer(cases.builds, messages), server)
        jails_pb2_grpc.add_JailsServicer_to_server(JailsServicer(cases.jails, messages), server)
        migrations_pb2_grpc.add_MigrationsServicer_to_server(MigrationsServicer(cases.migrations, messages), server)
        stats_pb2_grpc.add_StatsServicer_to_server(StatsServicer(cases.stats), server)
        host_pb2_grpc.add_HostServicer_to_server(HostServicer(cases.host, cases.audit, cases.boot, messages), server)
        evacuations = EvacuationsServicer(cases.evacuations, cases.host, messages)
        evacuations_pb2_grpc.add_EvacuationsServicer_to_server(evacuations, server)
        events_pb2_grpc.add_EventsServicer_to_server(EventsServicer(cases.events, cases.operations, messages), server)
        operations_pb2_grpc.add_OperationsServicer_to_server(OperationsServicer(cases.operations, messages), server)
        rehearsals_pb2_grpc.add_RehearsalsServicer_to_server(RehearsalsServicer(cases.migrations, messages), server)
        clones = ClonesServicer(cases.incoming, cases.parties)
        rehearsal_pb2_grpc.add_RehearsalsServicer_to_server(clones, server)
        peer_pb2_grpc.add_PeerServicer_to_server(PeerServicer(cases.incoming, cases.parties), server)
        peer_standby_pb2_grpc.add_StandbyServicer_to_server(StandbyServicer(cases.replicas, cases.parties), server)
        promotions_pb2_grpc.add_PromotionsServicer_to_server(PromotionsServicer(cases.promotions, messages), server)
        salvage_pb2_grpc.add_SalvagesServicer_to_server(SalvagesServicer(cases.salvages, cases.files, messages), server)
        files = PeerSalvageServicer(cases.files, cases.parties)
        peer_salvage_pb2_grpc.add_SalvageServicer_to_server(files, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        shown = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(shown, server)

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
            remedy="see whether something else listens there, the folder exists, and a socket's path is short",
            resource=address,
        ) from error
