"""A daemon's API for programs in Python; jailctl is one of them. How it is used: docs/clients.md.

Messages and services are those of `jaild.v1` (proto/jaild/v1); each service is an attribute of `Api`, as gRPC's stub.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import code_pb2, error_details_pb2, status_pb2

from jaild.restraints import aio_restrained, restrained
from jaild.v1 import (
    apps_pb2_grpc,
    backups_pb2_grpc,
    base_making_pb2_grpc,
    bases_pb2_grpc,
    builds_pb2_grpc,
    changes_pb2_grpc,
    channels_pb2_grpc,
    common_pb2,
    contents_pb2_grpc,
    copies_pb2_grpc,
    evacuations_pb2_grpc,
    event_sinks_pb2_grpc,
    events_pb2_grpc,
    files_pb2_grpc,
    foreign_jails_pb2_grpc,
    histories_pb2_grpc,
    host_pb2_grpc,
    jails_pb2_grpc,
    keys_pb2_grpc,
    migrations_pb2_grpc,
    promotions_pb2_grpc,
    rollouts_pb2_grpc,
    salvage_pb2_grpc,
    snapshots_pb2_grpc,
    stats_pb2_grpc,
    templates_pb2_grpc,
    test_migrations_pb2_grpc,
    volumes_pb2_grpc,
)

DEFAULT_ADDRESS = "unix:///var/run/jaild/jaild.sock"
DETAILS = "grpc-status-details-bin"  # the trailer with an error's google.rpc.Status
READ_SECONDS = 30.0  # reads answer from memory; more means that something is stuck
_AWAY = grpc.StatusCode.UNAVAILABLE
_PAUSES = (0.2, 0.5, 1.0, 2.0, *([5.0] * 12))  # between questions to a daemon that is away: a minute
_WAIT = 60.0  # seconds that one question for an operation's end takes at most

# A host that lost its power says nothing: while we watch, its silence tells. jaild's server permits such pings.
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
    ("grpc.max_receive_message_length", 64 << 20),  # as a daemon sends: a page of 1000 jails, a bill of materials
]


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Both sides' certificates, as PEM. `server_name`: whom the daemon's names, where that is not the address."""

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    server_name: str = ""


class OperationError(Exception):
    """An operation failed. `reason` is stable (docs/errors.md), the text is for people."""

    def __init__(self, name: str, status: status_pb2.Status) -> None:
        super().__init__(f"{name}: {status.message}")
        self.status = status
        self.code = code_pb2.Code.Name(status.code)
        self.reason, self.hint = _told(status)
        self.remedy = self.hint  # what it was called


class Services:
    """A daemon's services over a channel. The stubs are generated without types."""

    def _use(self, channel: Any) -> None:
        self._channel = channel
        self.apps: Any = apps_pb2_grpc.AppsStub(channel)
        self.backups: Any = backups_pb2_grpc.BackupsStub(channel)
        self.base_making: Any = base_making_pb2_grpc.BaseMakingStub(channel)
        self.bases: Any = bases_pb2_grpc.BasesStub(channel)
        self.builds: Any = builds_pb2_grpc.BuildsStub(channel)
        self.channels: Any = channels_pb2_grpc.ChannelsStub(channel)
        self.changes: Any = changes_pb2_grpc.ChangesStub(channel)
        self.contents: Any = contents_pb2_grpc.ContentsStub(channel)
        self.evacuations: Any = evacuations_pb2_grpc.EvacuationsStub(channel)
        self.event_sinks: Any = event_sinks_pb2_grpc.EventSinksStub(channel)
        self.events: Any = events_pb2_grpc.EventsStub(channel)
        self.files: Any = files_pb2_grpc.FilesStub(channel)
        self.keys: Any = keys_pb2_grpc.KeysStub(channel)
        self.foreign_jails: Any = foreign_jails_pb2_grpc.ForeignJailsStub(channel)
        self.histories: Any = histories_pb2_grpc.HistoriesStub(channel)
        self.host: Any = host_pb2_grpc.HostStub(channel)
        self.jails: Any = jails_pb2_grpc.JailsStub(channel)
        self.migrations: Any = migrations_pb2_grpc.MigrationsStub(channel)
        self.operations: Any = operations_pb2_grpc.OperationsStub(channel)
        self.promotions: Any = promotions_pb2_grpc.PromotionsStub(channel)
        self.test_migrations: Any = test_migrations_pb2_grpc.TestMigrationsStub(channel)
        self.copies: Any = copies_pb2_grpc.CopiesStub(channel)
        self.rollouts: Any = rollouts_pb2_grpc.RolloutsStub(channel)
        self.salvages: Any = salvage_pb2_grpc.SalvagesStub(channel)
        self.snapshots: Any = snapshots_pb2_grpc.JailSnapshotsStub(channel)
        self.stats: Any = stats_pb2_grpc.StatsStub(channel)
        self.templates: Any = templates_pb2_grpc.TemplatesStub(channel)
        self.volumes: Any = volumes_pb2_grpc.VolumesStub(channel)


class Api(Services):
    """A daemon's services."""

    def __init__(self, endpoint: str, open_channel: Callable[[], grpc.Channel]) -> None:
        self.endpoint = endpoint
        self._open = open_channel
        self._before: grpc.Channel | None = None
        self._use(open_channel())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def wait(self, operation: Any, *, timeout: float | None = None) -> Any:
        """Wait for an operation's end and return its response.

        `OperationError` if it failed; `TimeoutError` after `timeout` seconds: it goes on then.
        """
        operation = self.end(operation, timeout=timeout)
        if operation.HasField("error"):
            raise OperationError(operation.name, operation.error)
        name = operation.response.TypeName()
        response = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))()
        operation.response.Unpack(response)
        return response

    def end(self, operation: Any, *, timeout: float | None = None) -> Any:
        """Wait for an operation's end and return the operation, failed or not.

        `TimeoutError` after `timeout` seconds: it goes on then. A daemon that is away for a while is waited for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not operation.done:
            left = _WAIT if deadline is None else min(_WAIT, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"{operation.name} is not done")
            request = operations_pb2.WaitOperationRequest(name=operation.name)
            request.timeout.FromMilliseconds(int(1000 * left))
            operation = self._waited(request, left + READ_SECONDS)
        return operation

    def _waited(self, request: Any, seconds: float) -> Any:
        for pause in (*_PAUSES, None):
            try:
                return self.operations.WaitOperation(request, timeout=seconds)
            except grpc.RpcError as error:
                if pause is None or error.code() not in {_AWAY, grpc.StatusCode.CANCELLED}:
                    raise
            time.sleep(pause)  # it is being restarted, and the next one knows the operation
            self.reconnect()
        raise AssertionError

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


class AioApi(Services):
    """The same on an event loop: a call is awaited, a stream is iterated by `async for`."""

    def __init__(self, endpoint: str, channel: grpc.aio.Channel) -> None:
        self.endpoint = endpoint
        self._use(channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._channel.close()


def connect(address: str = DEFAULT_ADDRESS, tls: Tls | None = None) -> Api:
    """Return the API of the daemon at `address`: a socket's path, or host:port with `tls`. Nothing is sent yet.

    A call for a plan raises `jaild.restraints.NotHeldBackError` where the daemon is too old to know that one.
    """
    address = _target(address)
    return Api(address, lambda: restrained(_channel(grpc, address, tls)))


def connect_aio(address: str = DEFAULT_ADDRESS, tls: Tls | None = None) -> AioApi:
    """Return the same for the event loop that runs now. Where a connection broke, it is another one that is made."""
    address = _target(address)
    return AioApi(address, aio_restrained(partial(_channel, grpc.aio, address, tls)))


def _target(address: str) -> str:
    return f"unix://{address}" if address.startswith("/") else address


def _channel(transport: Any, address: str, tls: Tls | None, **further: Any) -> Any:
    """Return a channel of `grpc` or of `grpc.aio`, which takes `further` arguments."""
    if tls is None:
        return transport.insecure_channel(address, options=_OPTIONS, **further)
    credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)
    options = list(_OPTIONS)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return transport.secure_channel(address, credentials, options=options, **further)


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


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why something was refused or failed. `reason` is stable (docs/errors.md), `problems` are `jaild.v1.Problem`s."""

    code: str
    message: str
    reason: str = ""
    hint: str = ""
    problems: tuple[common_pb2.Problem, ...] = ()


def explanation(error: grpc.RpcError | OperationError) -> Explanation:
    """Return what the daemon said of a call that it refused or an operation that failed, or gRPC of one in vain."""
    if isinstance(error, OperationError):
        return _explained(error.status)
    if (status := _status(error)) is not None:
        return _explained(status)
    code = error.code()
    return Explanation(
        code=code.name,
        message=error.details() or code.name,
        hint="see that jaild runs there, and that you may open its socket" if code is _AWAY else "",
    )


def reason_of(error: grpc.RpcError) -> str:
    """Return why a call was refused, a stable word (docs/errors.md); '' if it was not the daemon that refused it."""
    status = _status(error)
    return _told(status)[0] if status is not None else ""


def _status(error: grpc.RpcError) -> status_pb2.Status | None:
    trailers: Any = error.trailing_metadata()
    found = (status_pb2.Status.FromString(value) for key, value in trailers or () if key == DETAILS)
    return next(found, None)


def _explained(status: status_pb2.Status) -> Explanation:
    reason, hint = _told(status)
    return Explanation(
        code=code_pb2.Code.Name(status.code),
        message=status.message,
        reason=reason,
        hint=hint,
        problems=tuple(_problems(status)),
    )


def _problems(status: status_pb2.Status) -> Iterator[common_pb2.Problem]:
    for detail in status.details:
        plan, problem = common_pb2.Plan(), common_pb2.Problem()
        if detail.Unpack(plan):
            yield from plan.problems
        elif detail.Unpack(problem):
            yield problem


def _told(status: status_pb2.Status) -> tuple[str, str]:
    """Return reason and hint."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return info.reason, info.metadata.get("hint", "") or info.metadata.get("remedy", "")
