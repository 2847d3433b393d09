"""The service of copies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from google.longrunning import operations_pb2

from jaild.copies.clones import Clones
from jaild.copies.exports import Exports, Wanted
from jaild.copies.imports import Asked, Imports
from jaild.copies.incoming import Incoming, Stream
from jaild.copies.renames import Renames
from jaild.engine.rpc import OperationMessages
from jaild.model import bounds
from jaild.model import names as rules
from jaild.model.errors import InvalidArgumentError
from jaild.model.operation import Operation
from jaild.model.views import Caller
from jaild.rpc import names, streams
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.copies import at_of, reach_of
from jaild.rpc.messages.plans import accepted_of, plan_message
from jaild.rpc.services import Service
from jaild.v1 import copies_pb2, copies_pb2_grpc


@dataclass(frozen=True, kw_only=True)
class UseCases:
    """Those of the room."""

    clones: Clones
    exports: Exports
    imports: Imports
    uploads: Incoming
    renames: Renames


class CopiesServicer:
    """Answers `jaild.v1.Copies`."""

    service = Service("jaild.v1.Copies", copies_pb2_grpc.add_CopiesServicer_to_server)

    def __init__(self, cases: UseCases, messages: OperationMessages) -> None:
        self._clones = cases.clones
        self._exports = cases.exports
        self._imports = cases.imports
        self._uploads = cases.uploads
        self._renames = cases.renames
        self._messages = messages

    async def CloneJail(  # noqa: N802  # gRPC's names
        self, request: copies_pb2.CloneJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Make a jail as a copy of another one."""
        operation = await self._clones.clone(
            names.jail(request.name),
            rules.jail(request.jail_id),
            at=at_of(request.moment),
            reach=reach_of(request.reach),
            stopped=request.stopped,
            validate_only=request.validate_only,
            caller=_asking(request),
        )
        return self._messages.of(operation)

    async def RenameJail(  # noqa: N802
        self, request: copies_pb2.RenameJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Give a jail another name."""
        operation = await self._renames.rename(
            names.jail(request.name),
            rules.jail(request.jail_id),
            validate_only=request.validate_only,
            caller=current(request.request_id),
        )
        return self._messages.of(operation)

    async def ExportJail(  # noqa: N802
        self, request: copies_pb2.ExportJailRequest, _: Context
    ) -> AsyncIterator[copies_pb2.ExportJailResponse]:
        """Stream a jail as a file."""
        jail = names.jail(request.name)
        keys = tuple(request.encrypt_to)
        if len(keys) > bounds.EXPORT_RECIPIENTS or not all(map(_is_recipient, keys)):
            raise InvalidArgumentError(
                "INVALID_RECIPIENT",
                f"the export is to be for {', '.join(keys)}",
                hint=f"give at most {bounds.EXPORT_RECIPIENTS} public keys: age1..., or ssh-ed25519 ...",
            )
        wanted = Wanted(
            at=at_of(request.moment),
            portable=request.portable,
            with_layers=request.with_layers,
            recipients=keys,
        )
        if request.validate_only:
            yield copies_pb2.ExportJailResponse(plan=plan_message(await self._exports.plan(jail, wanted)))
            return
        async with streams.closing(self._exports.export(jail, wanted, current(""))) as pieces:
            async for piece in pieces:
                yield copies_pb2.ExportJailResponse(chunk=piece)

    async def ImportJail(  # noqa: N802
        self, requests: AsyncIterator[copies_pb2.ImportJailRequest], context: Context
    ) -> operations_pb2.Operation:
        """Make a jail of an export."""
        header: copies_pb2.ImportJailHeader = await streams.first(requests)
        jail, caller = rules.jail(header.jail_id), _asking(header)
        stream = Stream(
            sha256=header.sha256,
            size=streams.expected_size(header.size_bytes),
            offset=streams.expected_size(header.offset),
        )
        asked = Asked(
            reach=reach_of(header.reach),
            keep_identity=header.keep_identity,
            stopped=header.stopped,
            validate_only=header.validate_only,
        )

        async def from_chunks(chunks: AsyncIterator[bytes]) -> Operation:
            return await self._imports.take(jail, chunks, stream, asked, caller)

        async def from_path(chunks: AsyncIterator[bytes]) -> Operation:
            async for _ in chunks:
                raise InvalidArgumentError(
                    "CHUNK_UNEXPECTED", "the header names a path, and yet chunks came", hint="send one or the other"
                )
            return await self._imports.read(jail, header.path, asked, caller)

        return self._messages.of(await streams.hand_on(requests, context, from_path if header.path else from_chunks))

    async def GetUpload(self, request: copies_pb2.GetUploadRequest, _: Context) -> copies_pb2.Upload:  # noqa: N802
        """Return how much of a file is here."""
        return copies_pb2.Upload(size_bytes=await self._uploads.size(request.sha256))


def _asking(request: Any) -> Caller:
    """Return who asks, with what problems it accepts."""
    caller = current(request.request_id)
    return msgspec.structs.replace(caller, accepted=accepted_of(request.accept, caller.actor))


def _is_recipient(text: str) -> bool:
    """Tell whether a text may be handed to age(1): a key, not an option of it."""
    return text.startswith(("age1", "ssh-ed25519 ", "ssh-rsa ")) and text.isprintable()
