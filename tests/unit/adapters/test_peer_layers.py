"""Layers of another host over the wire, with mutual TLS; and a base that is asked to come from one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from jaild.adapters.peer_layers import GrpcLayersPeer
from jaild.adapters.peers import GrpcPeers, PeerAddress
from jaild.model.errors import DataLossError, PermissionDeniedError, UnavailableError
from jaild.model.migration.party import Introduction
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer
from jaild.v1 import bases_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes

GUID = (1 << 64) - 1
US = Introduction("h", "beta")


@pytest.fixture
async def peers(server: ApiServer, certificates: dict[str, TlsFiles]) -> AsyncIterator[GrpcPeers]:
    found = GrpcPeers(
        {
            "here": PeerAddress(address=f"127.0.0.1:{server.port}", tls=certificates["beta"]),
            "boss": PeerAddress(address=f"127.0.0.1:{server.port}", tls=certificates["boss"]),
            "gone": PeerAddress(address="127.0.0.1:1", tls=certificates["beta"]),
        }
    )
    yield found
    await found.close()


async def read(layers: GrpcLayersPeer, token: str = "") -> bytes:
    async with layers.read("bases/deb-1", GUID, US, token) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_a_layer_is_described_as_its_host_has_it(peers: GrpcPeers, fakes: Fakes) -> None:
    assert await peers.get("here").layers.describe("bases/deb-1", US) == (fakes.sharing.offer,)
    assert fakes.parties.calls, "who asks was not looked at"


async def test_a_stream_comes_whole_however_long_a_piece_of_it_is(peers: GrpcPeers, fakes: Fakes) -> None:
    fakes.sharing.content = bytes(range(256)) * (10 << 10)
    assert await read(peers.get("here").layers, "1-token") == fakes.sharing.content
    assert fakes.sharing.calls[-1][1] == ("bases/deb-1", GUID, "1-token")


async def test_what_ends_a_stream_is_the_hosts_own_error_or_that_it_is_away(peers: GrpcPeers, fakes: Fakes) -> None:
    fakes.sharing.error = DataLossError("STREAM_BROKEN", "it broke", hint="look at the pool")
    with pytest.raises(DataLossError, match="it broke"):
        await read(peers.get("here").layers)
    with pytest.raises(UnavailableError, match="gone cannot be reached"):
        await read(peers.get("gone").layers)
    with pytest.raises(PermissionDeniedError):
        await read(peers.get("boss").layers)


async def asked(local: grpc.aio.Channel, *chunks: bytes, **header: Any) -> None:
    whole = bases_pb2.ImportBaseHeader(base_id="deb-1", **header)
    request = bases_pb2.ImportBaseRequest
    requests = [request(header=whole), *(request(chunk=each) for each in chunks)]
    await stubs.bases(local).ImportBase(iter(requests))


async def test_a_base_comes_from_a_peer_if_nothing_else_is_said(local: grpc.aio.Channel, fakes: Fakes) -> None:
    await asked(local, peer="beta", sha256="ab")
    assert fakes.fetch.calls[-1][:2] == ("fetch", ("deb-1", "beta", "ab"))
    for other in ("path", "manifest", "image"):
        with stubs.refused("PEER_NOT_ALONE"):
            await asked(local, peer="beta", **{other: "x"})
    with stubs.refused("CHUNK_UNEXPECTED"):
        await asked(local, b"x", peer="beta")
    assert len(fakes.fetch.calls) == 1
