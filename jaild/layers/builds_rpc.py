"""The Builds service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from google.longrunning import operations_pb2

from jaild.layers.apps_rpc import parent_of
from jaild.model import access
from jaild.model import names as rules
from jaild.model.jails import specfile
from jaild.model.operation import Operation
from jaild.rpc import names, uploads
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.use_cases import Builds
from jaild.v1 import builds_pb2


class BuildsServicer:
    """Answers `jaild.v1.Builds`."""

    def __init__(self, builds: Builds, messages: OperationMessages) -> None:
        self._builds = builds
        self._messages = messages

    async def BuildRelease(  # noqa: N802  # gRPC's names
        self, requests: AsyncIterator[builds_pb2.BuildReleaseRequest], context: Context
    ) -> operations_pb2.Operation:
        """Build a release by a recipe."""
        header: builds_pb2.BuildReleaseHeader = await uploads.first(requests)
        app = names.app(header.parent)
        version = rules.version(header.release_id)
        caller = current(header.request_id)
        access.require_app(caller, app, header.parent)
        size = uploads.expected_size(header.size_bytes)
        source = header.recipe_source or "recipe"
        recipe = await asyncio.to_thread(specfile.parse_recipe, header.recipe_yaml, source)
        if header.base:
            recipe = msgspec.structs.replace(recipe, base=names.base(header.base))
        if named := str(getattr(header, "from")):  # a keyword of Python's
            recipe = msgspec.structs.replace(recipe, parent=parent_of(named, app))

        async def build(chunks: AsyncIterator[bytes]) -> Operation:
            return await self._builds.build(
                app,
                version,
                recipe,
                chunks,
                sha256=header.sha256,
                size=size,
                validate_only=header.validate_only,
                caller=caller,
            )

        return self._messages.of(await uploads.hand_on(requests, context, build))

    async def TailBuild(  # noqa: N802
        self, request: builds_pb2.TailBuildRequest, _: Context
    ) -> AsyncIterator[builds_pb2.TailBuildResponse]:
        """Send what a build's steps wrote."""
        async for piece in self._builds.log(names.operation(request.name), follow=request.follow):
            yield builds_pb2.TailBuildResponse(data=piece)
