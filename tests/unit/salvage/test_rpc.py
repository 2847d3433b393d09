"""Salvages: the operators' service, and what hosts send each other, with mutual TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from jaild.adapters.peers import GrpcPeers, PeerAddress
from jaild.model.migration.protocol import ReceiveHeader
from jaild.ports.salvage import SalvagePeer, Written
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer
from jaild.v1 import salvage_pb2, salvage_pb2_grpc
from tests.fakes.use_cases.every import Fakes

HEADER = ReceiveHeader(migration="m", dataset="data", tag="files", guid=0)


@pytest.fixture
async def peer(server: ApiServer, certificates: dict[str, TlsFiles]) -> AsyncIterator[SalvagePeer]:
    peers = GrpcPeers({"here": PeerAddress(address=f"127.0.0.1:{server.port}", tls=certificates["beta"])})
    yield peers.get("here").salvage
    await peers.close()


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1 << 20)


async def test_files_arrive_as_one_stream_and_the_report_brings_the_guids(fakes: Fakes, peer: SalvagePeer) -> None:
    assert await peer.receive(HEADER, chunks(3)) == Written(entries=3 << 20, sha256="ab")
    assert await peer.finish("m", "{}") == {"": 1, "data": (1 << 64) - 1}
    assert [(method, args) for method, args, _ in fakes.files.calls] == [
        ("receive", (HEADER,)),
        ("finish", ("m", "{}")),
    ]


async def test_a_report_of_many_thousand_lost_files_arrives(fakes: Fakes, peer: SalvagePeer) -> None:
    report = "x" * (4 << 20)
    await peer.finish("m", report)
    assert fakes.files.calls[-1][1] == ("m", report)


async def test_operators_ask_for_a_salvage_and_for_what_it_lost(fakes: Fakes, local: grpc.aio.Channel) -> None:
    stub = salvage_pb2_grpc.SalvagesStub(local)
    asked = await stub.SalvageJail(salvage_pb2.SalvageJailRequest(name="jails/web", target="beta", request_id="r"))
    report = await stub.GetSalvageReport(salvage_pb2.GetSalvageReportRequest(name="jails/web"))
    assert asked.name == "operations/s1"
    assert [(method, args) for method, args, _ in fakes.salvages.calls] == [("salvage", ("web", "beta", False, "r"))]
    (loss,) = report.losses
    assert (report.source, report.entries, report.time.seconds) == ("alpha", 7, 5)
    assert (loss.path, loss.lost, loss.reason) == ("data/x", False, "r")
    assert [(getattr(span, "from"), span.to) for span in loss.ranges] == [(0, 4096)]
