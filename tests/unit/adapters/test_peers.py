"""The client of another host against that host's server, with mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import msgspec
import pytest

from jaild.adapters.peers import Connection, GrpcPeer, GrpcPeers, PeerAddress
from jaild.model.errors import (
    DataLossError,
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from jaild.model.migration.budget import Parts
from jaild.model.migration.protocol import (
    Acceptance,
    Activated,
    DatasetOffer,
    End,
    JailOffer,
    Offer,
    Received,
    ReceiveHeader,
    Resolution,
    SoFar,
    Tested,
)
from jaild.model.problems import Problem, Severity
from jaild.peer.v1 import peer_pb2, peer_pb2_grpc
from jaild.ports.peer import Peers
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer, Tcp
from tests.fakes.use_cases.every import Fakes
from tests.fakes.use_cases.server import GRANTS

HEADER = ReceiveHeader(migration="m", dataset="data", tag="m-1", guid=(1 << 64) - 1)
OFFER = Offer(
    migration="m",
    source_id="h-1",
    source_name="beta",
    jail=JailOffer(
        name="web",
        uid="u",
        epoch=3,
        generation=2,
        generation_json="{}",
        datasets=(DatasetOffer(), DatasetOffer(path="data")),
    ),
)


@pytest.fixture
async def peers(server: ApiServer, certificates: dict[str, TlsFiles]) -> AsyncIterator[GrpcPeers]:
    address = f"127.0.0.1:{server.port}"
    found = GrpcPeers(
        {
            "here": PeerAddress(address=address, tls=certificates["beta"]),
            "boss": PeerAddress(address=address, tls=certificates["boss"]),
            "gone": PeerAddress(address="127.0.0.1:1", tls=certificates["beta"]),
            "named": PeerAddress(address=f"localhost:{server.port}", tls=certificates["beta"], server_name="server"),
        }
    )
    yield found
    await found.close()


@pytest.fixture
def peer(peers: GrpcPeers) -> GrpcPeer:
    return peers.get("here")


async def chunks(count: int, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


def test_an_unknown_peer_is_answered_with_the_configured_ones(peers: GrpcPeers) -> None:
    port: Peers = peers
    assert port.names() == ("boss", "gone", "here", "named")
    with pytest.raises(NotFoundError, match="boss, gone, here, named") as caught:
        port.get("nobody")
    assert caught.value.reason == "PEER_UNKNOWN"
    assert "`peers` in the configuration file" in caught.value.hint
    with pytest.raises(NotFoundError, match="alpha is this host"):
        GrpcPeers({}, "alpha").get("alpha")


async def test_every_call_arrives_with_all_that_was_said_and_brings_the_answer(fakes: Fakes, peer: GrpcPeer) -> None:
    problem = Problem(severity=Severity.ERROR, code="NO_SPACE", message="m")
    fakes.incoming.answer = Acceptance(problems=(problem,), missing_layers=("bases/a",), parts=Parts(start=2.5))
    assert await peer.hello("h-1", "alpha", 3) == await fakes.incoming.hello("h-1", "alpha", 3)
    assert await peer.preflight(OFFER) == fakes.incoming.answer
    assert await peer.begin(OFFER) == fakes.incoming.answer
    await peer.prepare("m", 4, {"": 1, "data": (1 << 64) - 1})
    so_far = SoFar(down=1.5, predicted=2.0, predicted_at_least=True, rounds=3, bytes=1 << 40)
    parts = Parts(mounts=0.0, start=0.25, readiness=1.5)
    assert await peer.activate("m", 4, so_far) == Activated(healthy=True, parts=parts)
    await peer.abort("m")
    assert await peer.boot_clone("m", keep_copy=True) == Tested(
        message="it fell over", parts=Parts(mounts=0.5), checks="tcp: refused", log="panic"
    )
    assert await peer.resolve("m") == Resolution(outcome=End.COMMITTED, epoch=4)
    assert [(method, args) for method, args, _ in fakes.incoming.calls[1:]] == [
        ("hello", ("h-1", "alpha", 3)),
        ("preflight", (OFFER,)),
        ("begin", (OFFER,)),
        ("prepare", ("m", 4, {"": 1, "data": (1 << 64) - 1})),
        ("activate", ("m", 4, so_far)),
        ("abort", ("m", "beta")),
        ("boot_clone", ("m",)),
        ("resolve", ("m",)),
    ]


async def test_a_stream_arrives_whole_whatever_the_size_of_its_pieces(fakes: Fakes, peer: GrpcPeer) -> None:
    size = 10 * (1 << 20) + 3
    assert await peer.receive(HEADER, chunks(1, size)) == Received(guid=HEADER.guid, bytes=size)
    assert fakes.incoming.calls == [("receive", (HEADER,), {})]


async def test_a_stream_that_is_there_already_is_not_sent(fakes: Fakes, peer: GrpcPeer) -> None:
    fakes.incoming.has_it = True
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            closed.set()

    for _ in range(20):
        closed.clear()
        assert await peer.receive(HEADER, endless()) == Received(guid=HEADER.guid, bytes=0)
        assert closed.is_set()


async def test_a_receiver_that_gives_up_halfway_is_heard_with_its_own_reason(fakes: Fakes, peer: GrpcPeer) -> None:
    fakes.incoming.give_up = (3 << 20, ResourceExhaustedError("POOL_FULL", "full", hint="add disks"))
    for _ in range(20):  # with call.write() some of these would be INTERNAL: "Internal error from Core"
        fakes.incoming.taken = 0
        with pytest.raises(ResourceExhaustedError) as caught:
            await peer.receive(HEADER, chunks(40))
        assert (caught.value.reason, caught.value.hint) == ("POOL_FULL", "add disks")


async def test_a_source_that_fails_halfway_raises_its_own_error_and_the_receiver_learns_of_it(
    fakes: Fakes, peer: GrpcPeer
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        await fakes.incoming.got_some.wait()  # else the call may be over before its receiver has begun
        raise DataLossError("SEND_FAILED", "zfs send died")

    with pytest.raises(DataLossError, match="zfs send died"):
        await peer.receive(HEADER, broken())
    await fakes.incoming.ended.wait()
    assert isinstance(fakes.incoming.error, DataLossError)
    assert fakes.incoming.error.reason == "STREAM_TRUNCATED"


async def test_a_receive_that_is_cancelled_closes_the_source_and_tells_the_receiver(
    fakes: Fakes, peer: GrpcPeer
) -> None:
    started, closed = asyncio.Event(), asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            started.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    sending = asyncio.create_task(peer.receive(HEADER, waiting()))
    await started.wait()
    await fakes.incoming.got_some.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert closed.is_set()
    await fakes.incoming.ended.wait()
    assert isinstance(fakes.incoming.error, DataLossError)


async def test_a_peers_refusal_is_raised_as_what_it_was(fakes: Fakes, peer: GrpcPeer) -> None:
    fakes.incoming.refusal = FailedPreconditionError("MIGRATION_ACTIVATED", "too late", hint="move it back")
    with pytest.raises(FailedPreconditionError) as caught:
        await peer.abort("m")
    assert (caught.value.reason, caught.value.hint) == ("MIGRATION_ACTIVATED", "move it back")
    assert caught.value.detail["peer"] == "here"


async def test_a_peers_own_unavailability_keeps_its_reason(fakes: Fakes, peer: GrpcPeer) -> None:
    fakes.incoming.refusal = UnavailableError("POOL_SUSPENDED", "the pool is suspended")
    with pytest.raises(UnavailableError, match="POOL_SUSPENDED"):
        await peer.abort("m")


async def test_a_host_that_is_not_there_is_named_with_its_address(peers: GrpcPeers) -> None:
    with pytest.raises(UnavailableError, match=r"gone.*127\.0\.0\.1:1") as caught:
        await peers.get("gone").hello("h", "alpha", 1)
    assert caught.value.reason == "PEER_UNREACHABLE"
    with pytest.raises(UnavailableError, match="PEER_UNREACHABLE"):
        await peers.get("gone").receive(HEADER, chunks(3))


async def test_a_certificate_without_the_role_is_refused_by_the_peer(peers: GrpcPeers) -> None:
    with pytest.raises(PermissionDeniedError, match="ROLE_REQUIRED"):
        await peers.get("boss").prepare("m", 1, {})


async def test_a_server_reached_by_another_name_is_checked_for_the_one_that_is_configured(peers: GrpcPeers) -> None:
    assert (await peers.get("named").hello("h", "alpha", 1)).host_name == "beta"


async def test_an_impostor_with_another_authoritys_certificate_is_not_spoken_to(
    server: ApiServer, certificates: dict[str, TlsFiles], tmp_path: Path
) -> None:
    wrong = tmp_path / "other.pem"
    wrong.write_bytes(certificates["beta"].certificate.read_bytes())  # a leaf: signs nothing
    tls = msgspec.structs.replace(certificates["beta"], authority=wrong)
    peers = GrpcPeers({"here": PeerAddress(address=f"127.0.0.1:{server.port}", tls=tls)})
    for _ in range(2):  # at once, by each connection
        with pytest.raises(UnavailableError, match=r"CERTIFICATE_VERIFY_FAILED.*PEER_UNREACHABLE"):
            await peers.get("here").hello("h", "alpha", 1)
    await peers.close()


async def test_a_host_that_takes_connections_and_says_nothing_is_told_before_the_call_is_over(
    certificates: dict[str, TlsFiles],
) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        peers = GrpcPeers({"here": PeerAddress(address=f"127.0.0.1:{port}", tls=certificates["beta"])})
        with pytest.raises(UnavailableError, match="PEER_UNREACHABLE"):  # not PEER_TIMEOUT
            await peers.get("here").hello("h", "alpha", 1)
        await peers.close()


async def test_a_host_that_comes_back_is_asked_and_streamed_to_by_whoever_found_it_gone(
    fakes: Fakes, server: ApiServer, peer: GrpcPeer, certificates: dict[str, TlsFiles], tmp_path: Path
) -> None:
    # In some versions a channel of gRPC's poll engine never connects again then: tests/e2e/test_poll_engine.py.
    tcp = Tcp(address=f"127.0.0.1:{server.port}", tls=certificates["server"])
    again = ApiServer(fakes.services(), fakes.audit, socket=tmp_path / "again", grants=GRANTS, tcp=tcp)
    assert (await peer.hello("h", "alpha", 1)).host_name == "beta"
    await server.stop(0)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="PEER_UNREACHABLE"):
            await peer.hello("h", "alpha", 1)
    await again.start()
    try:
        assert (await peer.hello("h", "alpha", 1)).host_name == "beta"  # the first call: a jail may be frozen
        assert (await peer.standby.ownership("web", "u")).owner_name == "alpha"
        assert await peer.receive(HEADER, chunks(3)) == Received(guid=HEADER.guid, bytes=3 << 20)
    finally:
        await again.stop(0)


class Relay:
    """Stands between a client and a server, like a firewall: a connection that it forgot is reset when it speaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._clients: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()

    def forget(self) -> None:
        self._forgotten |= self._clients

    async def relay(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._clients.add(client)
        answers, server = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._copy(reader, server, client), self._copy(answers, client, client))

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 16):
                if client in self._forgotten:
                    client.transport.abort()
                    break
                writer.write(piece)
        writer.close()


async def test_a_call_on_a_connection_that_was_forgotten_meanwhile_is_made_again_on_a_new_one(
    server: ApiServer, certificates: dict[str, TlsFiles]
) -> None:
    assert server.port is not None
    relay = Relay(server.port)
    async with await asyncio.start_server(relay.relay, "127.0.0.1", 0) as between:
        address = f"127.0.0.1:{between.sockets[0].getsockname()[1]}"
        peers = GrpcPeers({"here": PeerAddress(address=address, tls=certificates["beta"], server_name="server")})
        assert (await peers.get("here").hello("h", "alpha", 1)).host_name == "beta"
        relay.forget()
        assert (await peers.get("here").hello("h", "alpha", 1)).host_name == "beta"
        await peers.close()


@pytest.fixture
async def opened() -> AsyncIterator[list[grpc.aio.Channel]]:
    """The channels that `nobody` opened."""
    channels: list[grpc.aio.Channel] = []
    yield channels
    for channel in channels:
        await channel.close(None)


@pytest.fixture
def nobody(opened: list[grpc.aio.Channel]) -> Connection:
    def open_channel() -> grpc.aio.Channel:
        opened.append(grpc.aio.insecure_channel("127.0.0.1:1"))
        return opened[-1]

    return Connection(open_channel)


async def ask(connection: Connection) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):
        async with connection.channel() as channel:
            await peer_pb2_grpc.PeerStub(channel).Hello(peer_pb2.HelloRequest(), timeout=15)


async def test_calls_share_a_channel_until_one_finds_nobody_there(
    nobody: Connection, opened: list[grpc.aio.Channel]
) -> None:
    async with nobody.channel() as first, nobody.channel() as second:
        assert first is second
    await ask(nobody)
    async with nobody.channel() as channel:
        assert [channel] == opened[1:]
    assert opened[0].get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def test_a_channel_that_a_call_is_on_stays_open_for_it_when_others_have_a_new_one(
    nobody: Connection, opened: list[grpc.aio.Channel]
) -> None:
    async with nobody.channel() as channel:
        await ask(nobody)
        async with nobody.channel() as another:
            assert another is not channel
        assert channel.get_state() is not grpc.ChannelConnectivity.SHUTDOWN
    assert opened[0].get_state() is grpc.ChannelConnectivity.SHUTDOWN
    await ask(nobody)  # of an end on an old channel the new one knows nothing
    assert len(opened) == 2


async def test_a_connection_that_is_closed_ends_what_is_under_way_and_leaves_no_channel_open(
    nobody: Connection, opened: list[grpc.aio.Channel]
) -> None:
    async with nobody.channel():
        await ask(nobody)
        async with nobody.channel():
            await nobody.close()
    assert {channel.get_state() for channel in opened} == {grpc.ChannelConnectivity.SHUTDOWN}


async def test_a_connection_that_is_closed_opens_no_channel_again(
    nobody: Connection, opened: list[grpc.aio.Channel]
) -> None:
    await nobody.close()
    with pytest.raises(UnavailableError, match="SHUTTING_DOWN"):
        await ask(nobody)
    assert not opened


async def test_no_peer_is_spoken_to_once_the_peers_are_closed(peers: GrpcPeers) -> None:
    held = peers.get("here")
    await peers.close()
    for peer in held, peers.get("named"):
        with pytest.raises(UnavailableError, match="SHUTTING_DOWN"):
            await peer.hello("h", "alpha", 1)
        with pytest.raises(UnavailableError, match="SHUTTING_DOWN"):
            await peer.standby.receive(HEADER, chunks(3))
