"""The Apps service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from google.longrunning import operations_pb2

from jaild.model import access
from jaild.model import names as rules
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import specfile
from jaild.model.layers.records import Manifest
from jaild.model.operation import Operation
from jaild.rpc import names, pages, uploads
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.layers import app_messages, manifest_of, release_message
from jaild.rpc.messages.operations import OperationMessages
from jaild.rpc.use_cases import Releases
from jaild.v1 import apps_pb2

_ALL = "apps/-"


class AppsServicer:
    """Answers `jaild.v1.Apps`."""

    def __init__(self, releases: Releases, messages: OperationMessages) -> None:
        self._releases = releases
        self._messages = messages

    async def PushRelease(  # noqa: N802  # gRPC's names
        self, requests: AsyncIterator[apps_pb2.PushReleaseRequest], context: Context
    ) -> operations_pb2.Operation:
        """Take a release's archive."""
        header: apps_pb2.PushReleaseHeader = await uploads.first(requests)
        app = names.app(header.parent)
        version = rules.version(header.release_id)
        caller = current(header.request_id)
        access.require_app(caller, app, header.parent)
        size = uploads.expected_size(header.size_bytes)
        named = str(getattr(header, "from"))  # a keyword of Python's
        parent = parent_of(named, app) if named else ""
        manifest = await _manifest(header)

        async def push(chunks: AsyncIterator[bytes]) -> Operation:
            return await self._releases.push(
                app,
                version,
                chunks,
                sha256=header.sha256,
                size=size,
                parent=parent,
                manifest=manifest,
                caller=caller,
            )

        return self._messages.of(await uploads.hand_on(requests, context, push))

    async def GetRelease(self, request: apps_pb2.GetReleaseRequest, _: Context) -> apps_pb2.Release:  # noqa: N802
        """Return one release, with the packages in it."""
        release = names.release(request.name)
        message = release_message(self._releases.get(*release))
        if message.HasField("built"):
            message.built.packages.extend(await self._releases.packages(*release))
        return message

    async def ListReleases(  # noqa: N802
        self, request: apps_pb2.ListReleasesRequest, _: Context
    ) -> apps_pb2.ListReleasesResponse:
        """Return a page of one app's releases, or of all, oldest first."""
        app = None if request.parent == _ALL else names.app(request.parent)
        page = pages.page(
            request,
            self._releases.list(app),
            lambda view: (view.record.pushed, view.record.app, view.record.version),
            f"{request.parent}/releases",
        )
        return apps_pb2.ListReleasesResponse(
            releases=[release_message(view) for view in page.items], next_page_token=page.next_token
        )

    async def ListApps(self, request: apps_pb2.ListAppsRequest, _: Context) -> apps_pb2.ListAppsResponse:  # noqa: N802
        """Return a page of apps, by name."""
        page = pages.page(request, app_messages(self._releases.list(None)), lambda app: (app.name,), "apps")
        return apps_pb2.ListAppsResponse(apps=page.items, next_page_token=page.next_token)

    async def DeleteRelease(self, request: apps_pb2.DeleteReleaseRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Delete one, if nothing refers to it."""
        app, version = names.release(request.name)
        caller = current(request.request_id)
        access.require_app(caller, app, request.name)
        return self._messages.of(
            await self._releases.delete(app, version, validate_only=request.validate_only, caller=caller)
        )


def parent_of(named: str, app: str) -> str:
    """Return the version in the name of an earlier release of `app`. `InvalidArgumentError` (PARENT_OF_OTHER_APP)."""
    parent_app, version = names.release(named)
    if parent_app != app:
        raise InvalidArgumentError(
            "PARENT_OF_OTHER_APP",
            f"{named} is not a release of {names.app_name(app)}",
            remedy="name an earlier release of the same app, or none",
            resource=named,
        )
    return version


async def _manifest(header: apps_pb2.PushReleaseHeader) -> Manifest:
    if header.WhichOneof("manifest_source") == "manifest_yaml":
        return await asyncio.to_thread(specfile.parse_manifest, header.manifest_yaml)
    return manifest_of(header.manifest)
