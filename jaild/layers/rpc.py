"""The Bases service."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.longrunning import operations_pb2

from jaild.model import access
from jaild.model import names as rules
from jaild.model.access import Role
from jaild.model.errors import InvalidArgumentError
from jaild.model.operation import Operation
from jaild.rpc import names, pages, uploads
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.layers import base_message
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.use_cases import Bases
from jaild.v1 import bases_pb2


class BasesServicer:
    """Answers `jaild.v1.Bases`."""

    def __init__(self, bases: Bases, messages: OperationMessages) -> None:
        self._bases = bases
        self._messages = messages

    async def ImportBase(  # noqa: N802  # gRPC's names
        self, requests: AsyncIterator[bases_pb2.ImportBaseRequest], context: Context
    ) -> operations_pb2.Operation:
        """Import from chunks, or from a path on this host."""
        header: bases_pb2.ImportBaseHeader = await uploads.first(requests)
        base = rules.base(header.base_id)
        size = uploads.expected_size(header.size_bytes)
        caller = current(header.request_id)

        async def from_chunks(chunks: AsyncIterator[bytes]) -> Operation:
            return await self._bases.import_stream(
                base,
                chunks,
                sha256=header.sha256,
                size=size,
                manifest=header.manifest,
                manifest_entry=header.manifest_entry or "base.txz",
                image=header.image,
                caller=caller,
            )

        async def from_path(chunks: AsyncIterator[bytes]) -> Operation:
            async for _ in chunks:
                raise InvalidArgumentError(
                    "CHUNK_UNEXPECTED", "the header names a path, and yet chunks came", remedy="send one or the other"
                )
            access.require_role(caller, {Role.OPERATOR}, "jaild.v1.Bases/ImportBase with a path of the host")
            return await self._bases.import_path(
                base, header.path, sha256=header.sha256, image=header.image, caller=caller
            )

        use_case = from_path if header.path else from_chunks
        return self._messages.of(await uploads.hand_on(requests, context, use_case))

    async def GetBase(self, request: bases_pb2.GetBaseRequest, _: Context) -> bases_pb2.Base:  # noqa: N802
        """Return one base."""
        return base_message(self._bases.get(names.base(request.name)))

    async def ListBases(self, request: bases_pb2.ListBasesRequest, _: Context) -> bases_pb2.ListBasesResponse:  # noqa: N802
        """Return a page of bases, by name."""
        page = pages.page(request, self._bases.list(), lambda view: (view.record.name,), "bases")
        return bases_pb2.ListBasesResponse(
            bases=[base_message(view) for view in page.items], next_page_token=page.next_token
        )

    async def DeleteBase(self, request: bases_pb2.DeleteBaseRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Delete one, if nothing refers to it."""
        return self._messages.of(
            await self._bases.delete(
                names.base(request.name), validate_only=request.validate_only, caller=current(request.request_id)
            )
        )
