"""Another host's daemon over gRPC with mutual TLS (implements `jaild.ports.peer`, `standby` and `salvage`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

import grpc
import msgspec
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from jaild.adapters.peer_layers import GrpcLayersPeer
from jaild.adapters.unbound import Method, Unbound
from jaild.model.errors import DeadlineExceededError, JaildError, NotFoundError, UnavailableError
from jaild.model.migration.protocol import (
    Acceptance,
    Activated,
    HostHello,
    Offer,
    Received,
    ReceiveHeader,
    Resolution,
    SoFar,
    Tested,
)
from jaild.model.replication.protocol import (
    HandingOver,
    Known,
    ReplicaOffer,
    ReplicaState,
    RollBack,
    Supersession,
    WholeRound,
)
from jaild.peer.v1 import (
    layers_pb2_grpc,
    peer_pb2,
    peer_pb2_grpc,
    rehearsal_pb2,
    rehearsal_pb2_grpc,
    salvage_pb2,
    salvage_pb2_grpc,
    standby_pb2,
    standby_pb2_grpc,
)
from jaild.ports.peer import Address
from jaild.ports.salvage import Written
from jaild.rpc import chunks, status, structs
from jaild.rpc.tls import TlsFiles

CHUNK = 1 << 20  # bytes in one message of a stream
_ASK = 15.0  # seconds, for what is answered from memory or by a few commands
_WORK = 120.0  # for what verifies, reserves or destroys datasets
_TEST = 3900.0  # health checks may have an hour, and the clone is thrown away after it
_START = 600.0  # for mount, start and health checks
_AT_NIGHT = 5.0  # for what is answered from memory, and somebody at night waits for
_SALVAGE = 600.0  # until what came is durable
OPTIONS = (
    ("grpc.max_send_message_length", 8 << 20),
    ("grpc.max_receive_message_length", 64 << 20),
    # A receive has no deadline, it may take hours: that the other host is gone is told by its silence.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # What connecting may take; then a call is told UNAVAILABLE. Two SYNs may be lost (they are sent again after 1 and 2
    # seconds more, RFC 6298), or a busy host be slow with TLS; within what a question at night may take.
    ("grpc.min_reconnect_backoff_ms", 4000),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection, whatever others to this address are at
)

Ask = Callable[[Any, Message, float], Awaitable[Any]]
Stream = Callable[[Any, ReceiveHeader, AsyncIterator[bytes]], Awaitable[Any]]


class PeerAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a peer: `host:port`, and our certificate. `server_name`: what its certificate says, if not that."""

    address: str  # host:port
    tls: TlsFiles
    server_name: str = ""  # what its certificate says, where that is not the address


class GrpcPeers:
    """The configured peers (implements `jaild.ports.peer.Peers`). Connects when first needed; `close` at the end."""

    def __init__(self, peers: Mapping[str, PeerAddress], host_name: str = "") -> None:
        self._host_name = host_name  # this host's own, which is no peer
        self._addresses = dict(peers)
        self._peers: dict[str, GrpcPeer] = {}
        self._closed = False

    def names(self) -> tuple[str, ...]:
        """Return their names, sorted."""
        return tuple(sorted(self._addresses))

    def address(self, name: str) -> Address | None:
        """Return where one is; None if there is none of that name."""
        found = self._addresses.get(name)
        return Address(found.address, found.server_name) if found is not None else None

    def get(self, name: str) -> GrpcPeer:
        """Return one. Raises `NotFoundError` (PEER_UNKNOWN), `UnavailableError` (TLS_FILE_UNREADABLE)."""
        address = self._addresses.get(name)
        if address is None:
            known = ", ".join(self.names()) or "none"
            if name == self._host_name:
                raise NotFoundError(
                    "PEER_UNKNOWN",
                    f"{name} is this host, and no peer of its own",
                    hint=f"a jail of this host is here already; to move it, name another host (configured: {known})",
                    resource=name,
                )
            raise NotFoundError(
                "PEER_UNKNOWN",
                f"there is no peer {name!r} in this host's configuration",
                hint=f"name one of those that are configured ({known}), or add it to `peers` in the "
                "configuration file, here and there, then: jailctl host reload",
                resource=name,
                detail={"configured": " ".join(self.names())},
            )
        if name not in self._peers:
            connection = Connection(_opening(address), closed=self._closed)
            self._peers[name] = GrpcPeer(name, address.address, connection)
        return self._peers[name]

    async def replace(self, peers: Mapping[str, PeerAddress], *, changed: AbstractSet[str]) -> None:
        """Know these from now on; `changed`: those that are new, gone, or have another address or certificate.

        Calls under way go on. `UnavailableError` (TLS_FILE_UNREADABLE) with nothing changed.
        """
        opening = {name: _opening(peers[name]) for name in changed & peers.keys()}
        self._addresses = dict(peers)
        for name in changed & self._peers.keys():
            if name in peers:
                await self._peers[name].move(peers[name].address, opening[name])
            else:
                del self._peers[name]  # whoever speaks with it finishes what it says

    async def close(self) -> None:
        """Close all connections; calls under way, and those that come, end with `UnavailableError`."""
        self._closed = True
        for peer in tuple(self._peers.values()):
            await peer.close()


class Connection:
    """The way to one host: a channel, and after a call that ended with UNAVAILABLE a new one for those that come.

    In some versions gRPC's poll engine, the only one that FreeBSD has, never connects a channel again that once found
    nobody there (findings/grpc-poll-engine-never-reconnects.sh). A new channel connects with every version, at once
    and without the pauses of the old one; that nobody answers, or that a certificate is wrong, is told as soon.
    """

    def __init__(self, open_channel: Callable[[], grpc.aio.Channel], *, closed: bool = False) -> None:
        self._open = open_channel
        self._closed = closed
        self._current: grpc.aio.Channel | None = None
        self._calls: Counter[grpc.aio.Channel] = Counter()

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """Yield the channel for one call. An old one is closed when the last call on it has ended.

        `UnavailableError` (SHUTTING_DOWN) once this is closed.
        """
        if self._closed:
            raise UnavailableError("SHUTTING_DOWN", "the daemon is stopping", hint="try again when it is back")
        if self._current is None:
            self._current = self._open()
        channel = self._current
        self._calls[channel] += 1
        try:
            yield channel
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and channel is self._current:
                self._current = None
            raise
        finally:
            self._calls[channel] -= 1
            if channel is not self._current and not self._calls[channel]:
                del self._calls[channel]
                await channel.close(None)

    async def reopen(self, open_channel: Callable[[], grpc.aio.Channel]) -> None:
        """Open channels so from now on. Calls under way go on on the old one."""
        self._open = open_channel
        old, self._current = self._current, None
        if old is not None and not self._calls[old]:
            del self._calls[old]
            await old.close(None)

    async def ask(self, call: Callable[[grpc.aio.Channel], Awaitable[Any]]) -> Any:
        """Make a call that may be made twice, and make it again on a new channel if an old one was dead.

        A connection that nothing was sent on for a while is not known to be dead: that the other host was restarted,
        or a firewall has forgotten it, is told by a reset that answers the next call.
        """
        old = self._current
        try:
            async with self.channel() as channel:
                return await call(channel)
        except grpc.aio.AioRpcError as error:
            if old is None or error.code() is not grpc.StatusCode.UNAVAILABLE or _own_error(error) is not None:
                raise
        async with self.channel() as channel:
            return await call(channel)

    async def close(self) -> None:
        """End the calls under way, and close for good."""
        self._closed = True
        self._current = None
        for channel in tuple(self._calls):
            await channel.close(None)


_UNBOUND = Unbound()


class GrpcPeer:
    """One peer (implements `jaild.ports.peer.Peer`)."""

    def __init__(self, name: str, address: str, connection: Connection) -> None:
        self._name = name
        self._address = address
        self._connection = connection
        self._stub = peer_pb2_grpc.PeerStub(_UNBOUND)
        self.standby = GrpcStandbyPeer(standby_pb2_grpc.StandbyStub(_UNBOUND), self._ask, self._stream)
        self.salvage = GrpcSalvagePeer(salvage_pb2_grpc.SalvageStub(_UNBOUND), self._ask, self._stream)
        self.layers = GrpcLayersPeer(layers_pb2_grpc.LayersStub(_UNBOUND), self._ask, self._reading)
        self._clones = rehearsal_pb2_grpc.RehearsalsStub(_UNBOUND)

    async def close(self) -> None:
        """Close the connection; calls under way, and those that come, end with `UnavailableError`."""
        await self._connection.close()

    async def move(self, address: str, open_channel: Callable[[], grpc.aio.Channel]) -> None:
        """Reach it at another address, or with another certificate, from the next call on."""
        self._address = address
        await self._connection.reopen(open_channel)

    async def hello(self, host_id: str, host_name: str, protocol: int) -> HostHello:
        """Introduce ourselves."""
        request = peer_pb2.HelloRequest(host_id=host_id, host_name=host_name, protocol=protocol)
        return structs.struct_of(await self._ask(self._stub.Hello, request, _ASK), HostHello)

    async def preflight(self, offer: Offer) -> Acceptance:
        """Ask whether it takes the jail."""
        request = structs.message_of(offer, peer_pb2.PreflightRequest)
        return structs.struct_of(await self._ask(self._stub.Preflight, request, _WORK), Acceptance)

    async def begin(self, offer: Offer) -> Acceptance:
        """Make it begin."""
        request = peer_pb2.BeginRequest(offer=structs.message_of(offer, peer_pb2.PreflightRequest))
        return structs.struct_of((await self._ask(self._stub.Begin, request, _WORK)).preflight, Acceptance)

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Send one ZFS stream; see `Peer.receive`."""
        return structs.struct_of(await self._stream(self._stub.Receive, header, chunks), Received)

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int]) -> None:
        """First half of the hand-over."""
        request = peer_pb2.PrepareRequest(migration=migration, epoch=epoch, guids=guids)
        await self._ask(self._stub.Prepare, request, _WORK)

    async def activate(self, migration: str, epoch: int, so_far: SoFar) -> Activated:
        """Second half of the hand-over."""
        told = structs.message_of(so_far, peer_pb2.SoFar)
        request = peer_pb2.ActivateRequest(migration=migration, epoch=epoch, so_far=told)
        return structs.struct_of(await self._ask(self._stub.Activate, request, _START), Activated)

    async def abort(self, migration: str) -> None:
        """Make it throw away what it received."""
        await self._ask(self._stub.Abort, peer_pb2.AbortRequest(migration=migration), _WORK)

    async def boot_clone(self, migration: str, *, keep_copy: bool) -> Tested:
        """Make it boot a clone."""
        request = rehearsal_pb2.RehearseRequest(migration=migration, keep_copy=keep_copy)
        return structs.struct_of(await self._ask(self._clones.Rehearse, request, _TEST), Tested)

    async def resolve(self, migration: str) -> Resolution:
        """Ask how the hand-over ended."""
        request = peer_pb2.ResolveRequest(migration=migration)
        return structs.struct_of(await self._ask(self._stub.Resolve, request, _ASK), Resolution)

    async def _ask(self, method: Method, request: Message, deadline: float) -> Any:
        # Whatever a peer is asked may be asked twice: an answer can always get lost (tests/unit/fleet).
        with method.called(self._name) as said:
            try:
                return await self._connection.ask(
                    lambda channel: method(channel)(request, timeout=deadline, metadata=said)
                )
            except grpc.aio.AioRpcError as error:
                raise self._error(error) from error

    async def _stream(self, method: Method, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Any:
        with method.called(self._name) as said:
            try:
                async with self._connection.channel() as channel:
                    return await _streamed(method(channel)(metadata=said), header, chunks)
            except grpc.aio.AioRpcError as error:
                raise self._error(error) from error

    @contextlib.asynccontextmanager
    async def _reading(self, method: Method, request: Message) -> AsyncIterator[AsyncIterator[Any]]:
        """Yield the messages of a stream that the peer answers with. Who leaves before its end hangs up."""
        with method.called(self._name) as said:
            try:
                async with self._connection.channel() as channel:
                    call = method(channel)(request, metadata=said)
                    try:
                        yield call
                    finally:
                        call.cancel()  # does nothing to one that has ended
            except grpc.aio.AioRpcError as error:
                raise self._error(error) from error

    def _error(self, error: grpc.aio.AioRpcError) -> JaildError:
        """Return the peer's own error, or what its silence means."""
        if (own := _own_error(error)) is not None:
            own.detail.setdefault("peer", self._name)
            return own
        detail = {"peer": self._name, "address": self._address}
        text = error.details() or error.code().name
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return UnavailableError(
                "PEER_UNREACHABLE",
                f"the peer {self._name} cannot be reached at {self._address}: {text}",
                hint="see that its daemon runs, that the address is right, and that both certificates are signed by "
                "the same authority",
                resource=self._name,
                detail=detail,
            )
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceededError(
                "PEER_TIMEOUT",
                f"the peer {self._name} at {self._address} did not answer in time",
                hint="the call may have been carried out: ask for the migration's state, or repeat it",
                resource=self._name,
                detail=detail,
            )
        return status.error_class(error.code())(
            f"PEER_{error.code().name}",
            f"the peer {self._name} at {self._address} answered {error.code().name}: {text}",
            hint="see that it runs a jaild which speaks this protocol",
            resource=self._name,
            detail=detail,
        )


class GrpcStandbyPeer:
    """Replicas and failovers (implements `jaild.ports.standby.StandbyPeer`), by the means of a `GrpcPeer`."""

    def __init__(self, stub: Any, ask: Ask, stream: Stream) -> None:
        self._stub = stub
        self._ask = ask
        self._stream = stream

    async def offer(self, offer: ReplicaOffer) -> ReplicaState:
        """Ask whether it keeps a replica."""
        request = structs.message_of(offer, standby_pb2.OfferReplicaRequest)
        return structs.struct_of(await self._ask(self._stub.OfferReplica, request, _WORK), ReplicaState)

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Send one ZFS stream."""
        return structs.struct_of(await self._stream(self._stub.ReceiveReplica, header, chunks), Received)

    async def roll_back(self, wanted: RollBack) -> int:
        """Make it destroy what this host does not have."""
        request = structs.message_of(wanted, standby_pb2.RollBackReplicaRequest)
        return int((await self._ask(self._stub.RollBackReplica, request, _WORK)).destroyed)

    async def complete(self, whole: WholeRound) -> None:
        """Tell it that a round is whole."""
        request = structs.message_of(whole, standby_pb2.CompleteRoundRequest)
        await self._ask(self._stub.CompleteRound, request, _WORK)

    async def withdraw(self, jail: str, uid: str, epoch: int) -> None:
        """Make it destroy its replica."""
        request = standby_pb2.WithdrawReplicaRequest(jail=jail, uid=uid, epoch=epoch)
        await self._ask(self._stub.WithdrawReplica, request, _WORK)

    async def ownership(self, jail: str, uid: str) -> Known:
        """Ask what it has of a jail."""
        request = standby_pb2.GetOwnershipRequest(jail=jail, uid=uid)
        return structs.struct_of(await self._ask(self._stub.GetOwnership, request, _AT_NIGHT), Known)

    async def hand_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Ask it to hand the jail over."""
        request = standby_pb2.HandOverRequest(jail=jail, uid=uid, target=target, request_id=request_id)
        return structs.struct_of(await self._ask(self._stub.HandOver, request, _AT_NIGHT), HandingOver)

    async def handing_over(self, jail: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Ask how that goes."""
        request = standby_pb2.HandOverRequest(jail=jail, uid=uid, target=target, request_id=request_id)
        return structs.struct_of(await self._ask(self._stub.GetHandOver, request, _AT_NIGHT), HandingOver)

    async def supersede(self, told: Supersession) -> int:
        """Tell it of a failover."""
        request = structs.message_of(told, standby_pb2.SupersedeRequest)
        return int((await self._ask(self._stub.Supersede, request, _WORK)).epoch)


class GrpcSalvagePeer:
    """Where salvaged files go (implements `jaild.ports.salvage.SalvagePeer`), by the means of a `GrpcPeer`."""

    def __init__(self, stub: Any, ask: Ask, stream: Stream) -> None:
        self._stub = stub
        self._ask = ask
        self._stream = stream

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Written:
        """Send the files of one dataset."""
        answer = await self._stream(self._stub.ReceiveFiles, header, chunks)
        return Written(entries=answer.entries, sha256=answer.sha256)

    async def finish(self, migration: str, report: str) -> dict[str, int]:
        """Tell it what is lost."""
        request = salvage_pb2.FinishFilesRequest(migration=migration, report=report)
        return dict((await self._ask(self._stub.FinishFiles, request, _SALVAGE)).guids)


def _opening(address: PeerAddress) -> Callable[[], grpc.aio.Channel]:
    """Return what opens channels. `UnavailableError` (TLS_FILE_UNREADABLE)."""
    return partial(_channel, address, address.tls.channel_credentials())


def _channel(address: PeerAddress, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = list(OPTIONS)
    if address.server_name:
        options.append(("grpc.ssl_target_name_override", address.server_name))
    return grpc.aio.secure_channel(address.address, credentials, options=options)


async def _streamed(call: Any, header: ReceiveHeader, pieces: AsyncIterator[bytes]) -> Any:
    """Send header and chunks; return the answer, which may come before their end."""
    sender = asyncio.create_task(_send(call, header, pieces))
    answer = asyncio.create_task(_answer(call))
    try:
        await asyncio.wait({sender, answer}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done() and (broken := sender.exception()) is not None:
            raise broken
        return await answer
    finally:
        call.cancel()  # does nothing to one that has ended
        sender.cancel()
        answer.cancel()
        await asyncio.gather(sender, answer, return_exceptions=True)  # what they raised has been told, or is moot
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def _answer(call: Any) -> peer_pb2.ReceiveResponse:
    return await call  # type: ignore[no-any-return]


async def _send(call: Any, header: ReceiveHeader, pieces: AsyncIterator[bytes]) -> None:
    """Send header and chunks. If the call ends before, that is no error here: its answer says why."""
    await call.wait_for_connection()
    try:
        first = peer_pb2.ReceiveRequest(header=structs.message_of(header, peer_pb2.ReceiveHeader))
        await _write(call, first.SerializeToString())
        async for piece in pieces:
            for start in range(0, len(piece), CHUNK):
                await _write(call, chunks.written(peer_pb2.ReceiveRequest, piece[start : start + CHUNK]))
        await call.done_writing()
    except grpc.aio.InternalError:  # what gRPC raises for a write after the end
        return


async def _write(call: Any, message: bytes) -> None:
    # Not call.write(): when the peer ended the call while a message was on its way, it puts INTERNAL ("Internal error
    # from Core") in place of the peer's status; measured with grpcio 1.85: in 6 to 9 of 100 calls.
    await call._cython_call.send_serialized_message(message)  # noqa: SLF001


def _own_error(error: grpc.aio.AioRpcError) -> JaildError | None:
    """Return the error that the peer raised; None if gRPC made it."""
    trailer: Any = error.trailing_metadata() or ()
    for key, value in trailer:
        if key == status.DETAILS and isinstance(value, bytes):
            try:
                return status.error_of(status_pb2.Status.FromString(value))
            except DecodeError:
                return None
    return None
