"""What hosts ask each other about replicas and owners, with mutual TLS; and the operators' service beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from jaild.adapters.peers import GrpcPeers, GrpcStandbyPeer, PeerAddress
from jaild.model.errors import FailedPreconditionError
from jaild.model.migration.protocol import DatasetOffer, JailOffer, Received, ReceiveHeader
from jaild.model.replication.protocol import (
    HandingOver,
    Known,
    ReplicaOffer,
    ReplicaState,
    RollBack,
    Supersession,
    WholeRound,
)
from jaild.ports.standby import StandbyPeer
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer
from jaild.v1 import promotions_pb2, promotions_pb2_grpc
from tests.fakes.use_cases.every import Fakes

BIG = (1 << 64) - 1  # a guid has all 64 bits
OFFER = ReplicaOffer(
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
    interval=30.0,
    others=("gamma",),
)
ROLL_BACK = RollBack(jail="web", uid="u", epoch=3, dataset="data", guid=BIG)
WHOLE = WholeRound(jail="web", uid="u", epoch=3, round="standby-3-1", taken=5.5, guids={"": 1, "data": BIG})
TOLD = Supersession(jail="web", uid="u", epoch=1003, owner="h-1", owner_name="beta", since=5.5, at=7.5)


@pytest.fixture
async def peers(server: ApiServer, certificates: dict[str, TlsFiles]) -> AsyncIterator[GrpcPeers]:
    address = f"127.0.0.1:{server.port}"
    found = GrpcPeers({"here": PeerAddress(address=address, tls=certificates["beta"])})
    yield found
    await found.close()


@pytest.fixture
def peer(peers: GrpcPeers) -> GrpcStandbyPeer:
    return peers.get("here").standby


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1 << 20)


async def test_every_question_arrives_with_all_that_was_said_and_brings_the_answer(
    fakes: Fakes, peer: GrpcStandbyPeer
) -> None:
    asked: StandbyPeer = peer
    assert await asked.offer(OFFER) == fakes.replicas.state
    assert await asked.roll_back(ROLL_BACK) == 2
    await asked.complete(WHOLE)
    await asked.withdraw("web", "u", 3)
    assert await asked.ownership("web", "u") == Known(
        state="standby", owner="id-alpha", owner_name="alpha", epoch=3, taken=5.0
    )
    assert await asked.hand_over("web", "u", "beta", "r") == HandingOver(message="seed round 0")
    assert await asked.handing_over("web", "u", "beta", "r") == HandingOver(done=True)
    assert await asked.supersede(TOLD) == TOLD.epoch
    assert [(method, args) for method, args, _ in fakes.replicas.calls] == [
        ("offer", (OFFER,)),
        ("roll_back", (ROLL_BACK,)),
        ("complete", (WHOLE,)),
        ("withdraw", ("web", "u", 3)),
        ("ownership", ("web", "u")),
        ("supersede", (TOLD,)),
    ]
    assert [(method, args) for method, args, _ in fakes.promotions.calls] == [
        ("hand_over", ("web", "u", "beta", "r")),
        ("handing_over", ("beta", "web", "r")),
    ]


async def test_a_refused_offer_brings_its_problems(fakes: Fakes, peer: GrpcStandbyPeer) -> None:
    fakes.replicas.state = ReplicaState(problems=fakes.replicas.refused)
    assert (await peer.offer(OFFER)).problems == fakes.replicas.refused


async def test_a_round_is_streamed_to_the_service_of_replicas(fakes: Fakes, peer: GrpcStandbyPeer) -> None:
    header = ReceiveHeader(migration="web", dataset="data", tag="standby-3-1", guid=BIG)
    assert await peer.receive(header, chunks(3)) == Received(guid=BIG, bytes=3 << 20)
    assert fakes.incoming.calls == []


async def test_a_refusal_arrives_with_its_reason_and_its_evidence(fakes: Fakes, peer: GrpcStandbyPeer) -> None:
    fakes.replicas.refusal = FailedPreconditionError("OWNER_SUPERSEDED", "m", hint="r", detail={"epoch": "1003"})
    with pytest.raises(FailedPreconditionError) as refused:
        await peer.ownership("web", "u")
    assert (refused.value.reason, refused.value.detail["epoch"]) == ("OWNER_SUPERSEDED", "1003")


async def test_what_operators_ask_of_failovers_arrives_word_by_word(fakes: Fakes, local: grpc.aio.Channel) -> None:
    stub = promotions_pb2_grpc.PromotionsStub(local)  # type: ignore[no-untyped-call, unused-ignore]
    name = "jails/web"
    promoted = await stub.PromoteJail(
        promotions_pb2.PromoteJailRequest(name=name, owner_is_down=True, confirm="alpha is down", request_id="r")
    )
    await stub.AdoptJail(promotions_pb2.AdoptJailRequest(name=name, confirm="alpha is down", validate_only=True))
    await stub.ForceStartJail(promotions_pb2.ForceStartJailRequest(name=name, confirm="beta has not"))
    assert promoted.name == "operations/p1"
    assert [(method, args) for method, args, _ in fakes.promotions.calls] == [
        ("promote", ("web", True, "alpha is down", False, "r")),
        ("adopt", ("web", "alpha is down", True, "")),
        ("force_start", ("web", "beta has not", "")),
    ]
