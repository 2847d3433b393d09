"""The service of files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from jaild.jailfiles.service import Copied, Destination, JailFiles
from jaild.model.filerecords import Record
from jaild.rpc import names, streams
from jaild.rpc.auth import Context, current
from jaild.rpc.services import Service
from jaild.trees.messages import messages_of, records_of
from jaild.v1 import files_pb2, files_pb2_grpc


class FilesServicer:
    """Answers for `jaild.v1.Files`."""

    service = Service("jaild.v1.Files", files_pb2_grpc.add_FilesServicer_to_server)

    def __init__(self, files: JailFiles) -> None:
        self._files = files

    async def ReadFiles(  # noqa: N802
        self, request: files_pb2.ReadFilesRequest, _: Context
    ) -> AsyncIterator[files_pb2.ReadFilesResponse]:
        """Send a file or a tree."""
        batches = self._files.read(names.jail(request.name), request.path, current())
        async with streams.closing(batches) as stream:
            async for batch in stream:
                yield files_pb2.ReadFilesResponse(records=messages_of(batch))

    async def WriteFiles(  # noqa: N802
        self, requests: AsyncIterator[files_pb2.WriteFilesRequest], context: Context
    ) -> files_pb2.WriteFilesResponse:
        """Write a tree as it comes."""
        start: files_pb2.WriteFilesStart = await streams.first(requests, "start")
        jail, caller = names.jail(start.name), current()
        destination = Destination(
            path=start.path,
            base_name=start.base_name,
            preserve=start.preserve,
            owner=(start.owner.uid, start.owner.gid) if start.HasField("owner") else None,
        )
        if start.validate_only:
            return files_pb2.WriteFilesResponse(path=await self._files.destination(jail, destination, caller))

        async def written(messages: AsyncIterator[Any]) -> Copied:
            return await self._files.write(jail, destination, _batches(messages), caller)

        done = await streams.hand_on(requests, context, written, "records")
        return files_pb2.WriteFilesResponse(path=done.path, entries=done.entries, bytes=done.bytes)


async def _batches(messages: AsyncIterator[Any]) -> AsyncIterator[list[Record]]:
    async for message in messages:
        yield records_of(message.records)
