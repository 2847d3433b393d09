"""Files as messages: a start, then records; what is asked for is what is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from jaild.jailfiles.service import Destination
from jaild.v1 import files_pb2, files_pb2_grpc
from tests.fakes.use_cases.every import Fakes

_WRITE = files_pb2.WriteFilesRequest


def started(**more: Any) -> files_pb2.WriteFilesRequest:
    return _WRITE(start=files_pb2.WriteFilesStart(name="jails/web", path="/var", base_name=b"x", **more))


async def requests(*parts: files_pb2.WriteFilesRequest) -> AsyncIterator[files_pb2.WriteFilesRequest]:
    for part in parts:
        yield part


def records(*found: files_pb2.FileRecord) -> files_pb2.WriteFilesRequest:
    return _WRITE(records=files_pb2.FileRecords(records=found))


async def test_a_tree_is_written_as_it_comes_and_read_again(local: grpc.aio.Channel, fakes: Fakes) -> None:
    stub: Any = files_pb2_grpc.FilesStub(local)
    entry = files_pb2.FileRecord(entry=files_pb2.FileEntry(kind=files_pb2.FileEntry.KIND_FILE, size=3, mode=0o644))
    data = files_pb2.FileRecord(data=files_pb2.FileData(content=b"abc"))
    owner = files_pb2.FileOwner(uid=80, gid=81)
    answer = await stub.WriteFiles(requests(started(owner=owner), records(entry), records(data)))
    assert (answer.path, answer.entries, answer.bytes) == ("/var/x", 1, 7)
    ((_, (name, wanted, written), _),) = fakes.jail_files.calls
    assert (name, wanted) == ("web", Destination(path="/var", base_name=b"x", preserve=False, owner=(80, 81)))
    assert [record.content if hasattr(record, "content") else record.size for record in written] == [3, b"abc"]
    read = [part async for part in stub.ReadFiles(files_pb2.ReadFilesRequest(name="jails/web", path="/var/x"))]
    assert [record.WhichOneof("record") for part in read for record in part.records] == ["entry", "data"]


async def test_a_plan_is_only_where_it_would_be(local: grpc.aio.Channel, fakes: Fakes) -> None:
    stub: Any = files_pb2_grpc.FilesStub(local)
    assert (await stub.WriteFiles(requests(started(validate_only=True)))).path == "/var/x"
    ((_, (name, wanted), _),) = fakes.jail_files.calls
    assert (name, wanted.owner) == ("web", None)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((records(),), "has no start"),
        ((started(), started()), "has no records"),
        ((started(), records(files_pb2.FileRecord(entry=files_pb2.FileEntry(path=b"a")))), "without a kind"),
        ((started(), records(files_pb2.FileRecord(data=files_pb2.FileData(offset=-1)))), "an offset of -1"),
    ],
)
async def test_what_is_no_tree_is_refused(
    local: grpc.aio.Channel, parts: tuple[files_pb2.WriteFilesRequest, ...], reason: str
) -> None:
    stub: Any = files_pb2_grpc.FilesStub(local)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.WriteFiles(requests(*parts))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in (refused.value.details() or "")
