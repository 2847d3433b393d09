"""The connection to a daemon: its unix socket, or TCP with mutual TLS and nothing less."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import grpc
from google.longrunning import operations_pb2_grpc

from jaild.cli.client import contexts
from jaild.cli.client.settings import Settings
from jaild.v1 import (
    apps_pb2_grpc,
    base_making_pb2_grpc,
    bases_pb2_grpc,
    builds_pb2_grpc,
    changes_pb2_grpc,
    channels_pb2_grpc,
    evacuations_pb2_grpc,
    events_pb2_grpc,
    host_pb2_grpc,
    jails_pb2_grpc,
    migrations_pb2_grpc,
    promotions_pb2_grpc,
    rehearsals_pb2_grpc,
    rollouts_pb2_grpc,
    salvage_pb2_grpc,
    stats_pb2_grpc,
)

READ_SECONDS = 30.0  # reads answer from memory; more means that something is stuck

# A host that lost its power says nothing: while we watch, its silence tells. jaild's server permits such pings.
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
]


class Api:
    """A daemon's services. The stubs are generated without types."""

    def __init__(self, endpoint: str, open_channel: Callable[[], grpc.Channel]) -> None:
        self.endpoint = endpoint
        self._open = open_channel
        self._before: grpc.Channel | None = None
        self._use(open_channel())

    def reconnect(self) -> None:
        """Make the next calls over a new connection, for when one broke.

        In some versions gRPC's poll engine, the only one that FreeBSD has, never connects a channel again that once
        found nobody there (findings/grpc-poll-engine-never-reconnects.sh); a new one it does.
        """
        before, self._before = self._before, self._channel  # which a screen that is being drawn may be about to ask
        self._use(self._open())
        if before is not None:
            before.close()

    def close(self) -> None:
        """Hang up."""
        self._channel.close()
        if self._before is not None:
            self._before.close()

    def _use(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.apps: Any = apps_pb2_grpc.AppsStub(channel)
        self.base_making: Any = base_making_pb2_grpc.BaseMakingStub(channel)
        self.bases: Any = bases_pb2_grpc.BasesStub(channel)
        self.builds: Any = builds_pb2_grpc.BuildsStub(channel)
        self.channels: Any = channels_pb2_grpc.ChannelsStub(channel)
        self.changes: Any = changes_pb2_grpc.ChangesStub(channel)
        self.evacuations: Any = evacuations_pb2_grpc.EvacuationsStub(channel)
        self.events: Any = events_pb2_grpc.EventsStub(channel)
        self.host: Any = host_pb2_grpc.HostStub(channel)
        self.jails: Any = jails_pb2_grpc.JailsStub(channel)
        self.migrations: Any = migrations_pb2_grpc.MigrationsStub(channel)
        self.operations: Any = operations_pb2_grpc.OperationsStub(channel)
        self.promotions: Any = promotions_pb2_grpc.PromotionsStub(channel)
        self.rehearsals: Any = rehearsals_pb2_grpc.RehearsalsStub(channel)
        self.rollouts: Any = rollouts_pb2_grpc.RolloutsStub(channel)
        self.salvages: Any = salvage_pb2_grpc.SalvagesStub(channel)
        self.stats: Any = stats_pb2_grpc.StatsStub(channel)


@contextmanager
def connect(settings: Settings) -> Iterator[Api]:
    """Yield the API of the daemon that `settings` choose. Nothing is sent before the first call."""
    context = contexts.choose(settings, os.environ)
    settings.endpoint = context.address
    with closing(Api(context.address, _opener(context))) as api:
        yield api


def pages(method: Callable[..., Any], request: Any, field: str, limit: int = 0) -> list[Any]:
    """Return what a List method has in `field`, page by page; at most `limit` if that is not 0."""
    items: list[Any] = []
    while True:
        request.page_size = max(0, limit - len(items))
        answer = method(request, timeout=READ_SECONDS)
        items += getattr(answer, field)
        request.page_token = answer.next_page_token
        if not answer.next_page_token or (limit and len(items) >= limit):
            return items[:limit] if limit else items


def _opener(context: contexts.Context) -> Callable[[], grpc.Channel]:
    address = context.address
    if address.startswith("/"):
        address = f"unix://{address}"
    if address.startswith("unix:"):
        return partial(grpc.insecure_channel, address, options=_OPTIONS)
    if not (context.ca and context.cert and context.key):
        raise click.UsageError(
            f"{address} is not a unix socket, and TCP needs certificates:"
            " give them with `jailctl context add NAME --address ... --ca ... --cert ... --key ...`"
        )
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(context.ca), private_key=_read(context.key), certificate_chain=_read(context.cert)
    )
    options = list(_OPTIONS)
    if context.server_name:
        options.append(("grpc.ssl_target_name_override", context.server_name))
    return partial(grpc.secure_channel, address, credentials, options=options)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read the certificate file {path}: {error.strerror}") from error
