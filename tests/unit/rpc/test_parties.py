"""No call of a peer reaches a use case before it is known that the peer may speak about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any, cast

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor

from jaild.adapters.peers import GrpcPeer, GrpcPeers, PeerAddress
from jaild.model.access import Grant, Role
from jaild.model.errors import PermissionDeniedError
from jaild.model.migration.party import Arriving, Introduction, Leaving, Replicated, Wanted
from jaild.model.migration.protocol import ReceiveHeader, SoFar
from jaild.peer.v1 import peer_pb2, standby_pb2
from jaild.rpc import structs
from jaild.rpc.auth import CertificateAuthenticator, Context, PartyCheck
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer
from tests.fakes.edge import CallContext
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import SERVICES, Fakes
from tests.fakes.use_cases.server import Dial
from tests.fakes.use_cases.standby import FakeParties
from tests.unit.adapters.test_peer_standby import OFFER as REPLICA
from tests.unit.adapters.test_peer_standby import ROLL_BACK, TOLD, WHOLE
from tests.unit.adapters.test_peers import OFFER

OPEN = {
    "/jaild.peer.v1.Standby/GetOwnership": "a host that asks before it becomes a second owner is not kept in the dark",
    "/jaild.peer.v1.Standby/GetHandOver": "tells of nothing but what the caller itself has asked for",
}


def peers_methods() -> dict[str, MethodDescriptor]:
    pool = descriptor_pool.Default()
    services = [name for name in SERVICES if name.startswith("jaild.peer.")]
    return {f"/{name}/{each.name}": each for name in services for each in pool.FindServiceByName(name).methods}


HEADER = ReceiveHeader(migration="m", tag="t", guid=1)
SAID: dict[str, Any] = {
    "Preflight": structs.message_of(OFFER, peer_pb2.PreflightRequest),
    "Begin": peer_pb2.BeginRequest(offer=structs.message_of(OFFER, peer_pb2.PreflightRequest)),
    "OfferReplica": structs.message_of(REPLICA, standby_pb2.OfferReplicaRequest),
    "Supersede": structs.message_of(TOLD, standby_pb2.SupersedeRequest),
}


def call(channel: grpc.aio.Channel, path: str, method: MethodDescriptor) -> Any:
    answer = message_factory.GetMessageClass(method.output_type)
    if method.client_streaming:
        ask = channel.stream_unary(path, peer_pb2.ReceiveRequest.SerializeToString, answer.FromString)
        return ask(stubs.stream(peer_pb2.ReceiveRequest(header=structs.message_of(HEADER, peer_pb2.ReceiveHeader))))
    question = message_factory.GetMessageClass(method.input_type)
    if method.server_streaming:
        return channel.unary_stream(path, question.SerializeToString, answer.FromString)(question()).read()
    unary = channel.unary_unary(path, question.SerializeToString, answer.FromString)
    return unary(SAID.get(method.name, question()))


def test_there_are_methods_to_look_at_and_no_exception_that_nobody_needs() -> None:
    assert len(peers_methods()) > 15
    assert OPEN.keys() <= peers_methods().keys()


@pytest.mark.parametrize("path", sorted(peers_methods()))
async def test_a_stranger_gets_no_further_than_the_question_who_it_is(fakes: Fakes, dial: Dial, path: str) -> None:
    fakes.parties.refusal = PermissionDeniedError("NOT_A_PARTY", "m", hint="r")
    reached = (fakes.incoming, fakes.replicas, fakes.files, fakes.sharing)
    if path in OPEN:
        with stubs.refused("PEER_MISMATCH") if path.endswith("GetHandOver") else nullcontext():
            await call(dial("beta"), path, peers_methods()[path])
        return
    with stubs.refused("NOT_A_PARTY"):
        await call(dial("beta"), path, peers_methods()[path])
    assert [asked for asked, _, _ in fakes.parties.calls] == ["require_party"]
    assert [fake.calls for fake in reached] == [[], [], [], []]


@pytest.fixture
async def peer(server: ApiServer, certificates: dict[str, TlsFiles]) -> AsyncIterator[GrpcPeer]:
    peers = GrpcPeers({"here": PeerAddress(address=f"127.0.0.1:{server.port}", tls=certificates["beta"])})
    yield peers.get("here")
    await peers.close()


async def chunks() -> AsyncIterator[bytes]:
    yield b"x"


async def test_each_call_is_judged_by_the_name_in_the_certificate_and_by_what_it_is_about(
    fakes: Fakes, peer: GrpcPeer
) -> None:
    await peer.hello("h-1", "beta", 1)
    await peer.preflight(OFFER)
    await peer.begin(OFFER)
    await peer.receive(HEADER, chunks())
    await peer.prepare("m", 4, {})
    await peer.activate("m", 4, SoFar())
    await peer.abort("m")
    await peer.boot_clone("m", keep_copy=False)
    await peer.resolve("m")
    await peer.salvage.receive(HEADER, chunks())
    await peer.salvage.finish("m", "{}")
    await peer.standby.offer(REPLICA)
    await peer.standby.receive(ReceiveHeader(migration="web", tag="t", guid=1), chunks())
    await peer.standby.roll_back(ROLL_BACK)
    await peer.standby.complete(WHOLE)
    await peer.standby.withdraw("web", "u", 3)
    await peer.standby.hand_over("web", "u", "beta", "r")
    await peer.standby.supersede(TOLD)
    asked = [args for _, args, _ in fakes.parties.calls]
    assert {speaker for speaker, _ in asked} == {"beta"}
    assert [about for _, about in asked] == [
        Introduction("h-1", "beta"),
        OFFER,
        OFFER,
        *[Arriving("m")] * 5,
        Leaving("m"),
        *[Arriving("m")] * 2,
        REPLICA,
        *[Replicated("web")] * 4,
        Wanted("web", "u", "beta"),
        TOLD,
    ]


async def test_an_operator_who_says_hello_is_no_host_and_introduces_none(fakes: Fakes, dial: Dial) -> None:
    await stubs.peer(dial("boss")).Hello(peer_pb2.HelloRequest(host_id="h-1", host_name="alpha"))
    assert fakes.parties.calls == []


async def test_nobody_asks_how_anothers_hand_over_goes(fakes: Fakes, peer: GrpcPeer) -> None:
    with pytest.raises(PermissionDeniedError) as refused:
        await peer.standby.handing_over("web", "u", "alpha", "r")
    assert refused.value.reason == "PEER_MISMATCH"
    assert fakes.replicas.calls == []


async def test_no_host_may_speak_about_anything_as_long_as_nobody_decides_which() -> None:
    caller = CertificateAuthenticator({"beta": Grant(roles=(Role.PEER,))})
    check, parties = PartyCheck(), FakeParties()
    assert caller.admit(cast("Context", CallContext("beta")), {Role.PEER}, "Abort") == ("beta", None)
    with pytest.raises(PermissionDeniedError, match="NOT_A_PARTY"):
        await check.require(Arriving("m"))
    check.decided_by(parties)
    assert await check.require(Arriving("m")) == "beta"
    assert parties.calls == [("require_party", ("beta", Arriving("m")), {})]
