"""Streams of bytes: whole, broken off, refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jaild.model.errors import DataLossError
from jaild.model.layers.records import Manifest
from jaild.rpc import streams
from jaild.server import ApiServer
from jaild.v1 import apps_pb2, bases_pb2
from tests.fakes.edge import CallContext
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes

IMPORT = bases_pb2.ImportBaseRequest
PUSH = apps_pb2.PushReleaseRequest


def importing(**header: object) -> bases_pb2.ImportBaseRequest:
    return IMPORT(header=bases_pb2.ImportBaseHeader(base_id="debian-12", **header))  # type: ignore[arg-type]


async def test_an_import_hands_on_every_byte_and_what_its_header_says(fakes: Fakes, local: grpc.aio.Channel) -> None:
    header = importing(sha256="ab", size_bytes=5 << 20, manifest="m", request_id="r", image="v1")
    answer = await stubs.bases(local).ImportBase(
        stubs.stream(header, *(IMPORT(chunk=bytes(1 << 20)) for _ in range(5)))
    )
    ((method, args, kwargs),) = fakes.bases.calls
    assert (method, args, fakes.bases.taken) == ("import_stream", ("debian-12",), 5 << 20)
    assert kwargs.pop("caller").request_id == "r"
    assert kwargs == {"sha256": "ab", "size": 5 << 20, "entry": "base.txz", "text": "m", "image": "v1"}
    assert answer.name == "operations/op-1"


async def test_a_chunk_of_four_mebibytes_passes(fakes: Fakes, local: grpc.aio.Channel) -> None:
    await stubs.bases(local).ImportBase(stubs.stream(importing(), IMPORT(chunk=bytes(4 << 20))))
    assert fakes.bases.taken == 4 << 20


async def test_an_import_from_a_path_takes_no_chunks(fakes: Fakes, local: grpc.aio.Channel) -> None:
    await stubs.bases(local).ImportBase(stubs.stream(importing(path="/srv/base", sha256="ab")))
    assert fakes.bases.calls[0][:2] == ("import_path", ("debian-12", "/srv/base"))
    with stubs.refused("CHUNK_UNEXPECTED"):
        await stubs.bases(local).ImportBase(stubs.stream(importing(path="/srv/base"), IMPORT(chunk=b"x")))
    assert len(fakes.bases.calls) == 1


@pytest.mark.parametrize("messages", [(), (IMPORT(chunk=b"x"),), (IMPORT(),)])
async def test_the_first_message_must_be_the_header(
    fakes: Fakes, local: grpc.aio.Channel, messages: tuple[bases_pb2.ImportBaseRequest, ...]
) -> None:
    with stubs.refused("HEADER_EXPECTED"):
        await stubs.bases(local).ImportBase(stubs.stream(*messages))
    assert fakes.bases.calls == []


async def test_a_second_header_is_refused_and_ends_the_import(fakes: Fakes, local: grpc.aio.Channel) -> None:
    with stubs.refused("CHUNK_EXPECTED"):
        await stubs.bases(local).ImportBase(stubs.stream(importing(), IMPORT(chunk=b"x"), importing()))
    assert fakes.bases.error is not None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (bases_pb2.ImportBaseHeader(base_id="a/b"), "INVALID_NAME"),
        (bases_pb2.ImportBaseHeader(base_id="a", size_bytes=-1), "INVALID_SIZE"),
        (bases_pb2.ImportBaseHeader(base_id="a", request_id="x" * 200), "INVALID_REQUEST_ID"),
    ],
)
async def test_a_wrong_header_is_refused_before_any_chunk(
    fakes: Fakes, local: grpc.aio.Channel, header: bases_pb2.ImportBaseHeader, reason: str
) -> None:
    with stubs.refused(reason):
        await stubs.bases(local).ImportBase(stubs.stream(IMPORT(header=header)))
    assert fakes.bases.calls == []


async def how_it_ended(fakes: Fakes) -> BaseException | None:
    await fakes.bases.ended.wait()
    return fakes.bases.error


@pytest.mark.parametrize("way", ["cancel", "close"])
async def test_a_caller_that_hangs_up_never_looks_like_one_that_was_done(
    fakes: Fakes, tmp_path: Path, local: grpc.aio.Channel, way: str
) -> None:
    assert local is not None
    for _ in range(25):  # gRPC tells of it in an order that is not always the same
        fakes.bases.ended.clear()
        fakes.bases.got_some.clear()
        fakes.bases.error = None
        async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}") as channel:
            call = stubs.bases(channel).ImportBase()
            await call.write(importing())
            await call.write(IMPORT(chunk=b"x" * 1000))
            await fakes.bases.got_some.wait()
            if way == "cancel":
                call.cancel()
        error = await how_it_ended(fakes)
        assert isinstance(error, DataLossError)
        assert error.reason == "STREAM_TRUNCATED"


async def test_the_daemons_end_waits_until_an_upload_is_cleaned_up(
    fakes: Fakes, server: ApiServer, local: grpc.aio.Channel
) -> None:
    call = stubs.bases(local).ImportBase()
    await call.write(importing())
    await call.write(IMPORT(chunk=b"x"))
    await fakes.bases.got_some.wait()
    await server.stop(0)
    assert fakes.bases.ended.is_set()
    assert isinstance(fakes.bases.error, DataLossError)
    call.cancel()


async def test_a_refusal_ends_an_upload_that_waits_for_more(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.bases.refuse_after = 0
    call = stubs.bases(local).ImportBase()
    await call.write(importing())
    with stubs.refused("NOT_THERE"):
        await call


async def test_a_push_says_manifest_and_parent(fakes: Fakes, local: grpc.aio.Channel) -> None:
    header = apps_pb2.PushReleaseHeader(parent="apps/web", release_id="2", sha256="ab", size_bytes=4)
    setattr(header, "from", "apps/web/releases/1")
    header.manifest_yaml = "command: [/usr/local/bin/run]\n"
    await stubs.apps(local).PushRelease(stubs.stream(PUSH(header=header), PUSH(chunk=b"ab"), PUSH(chunk=b"cd")))
    ((_, args, kwargs),) = fakes.releases.calls
    kwargs.pop("caller")
    assert (args, fakes.releases.taken) == (("web", "2"), b"abcd")
    assert kwargs == {
        "sha256": "ab",
        "size": 4,
        "parent": "1",
        "manifest": Manifest(command=("/usr/local/bin/run",)),
    }


async def test_a_release_cannot_be_made_from_another_apps(fakes: Fakes, local: grpc.aio.Channel) -> None:
    header = apps_pb2.PushReleaseHeader(parent="apps/web", release_id="2")
    setattr(header, "from", "apps/db/releases/1")
    with stubs.refused("PARENT_OF_OTHER_APP"):
        await stubs.apps(local).PushRelease(stubs.stream(PUSH(header=header)))
    assert fakes.releases.calls == []


@pytest.mark.parametrize("hang_ups", [1, 2], ids=["once", "twice"])
async def test_a_use_case_that_hangs_is_ended_though_its_call_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch, hang_ups: int
) -> None:
    monkeypatch.setattr(streams, "GIVEN_UP", 0.0)
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: AsyncIterator[bytes]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def nothing_more() -> AsyncIterator[object]:
        await asyncio.Event().wait()
        yield b""

    context: Any = CallContext("alpha")
    call = asyncio.create_task(streams.hand_on(nothing_more(), context, hang))
    await began.wait()
    for _ in range(hang_ups):
        call.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended.wait()
    await asyncio.wait({call})
    assert call.cancelled()
