"""The services of bases, apps and builds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from jaild.engine.rpc import OperationMessages
from jaild.layers.base_builds import BaseMaking
from jaild.layers.bases import Bases
from jaild.layers.builds import Builds
from jaild.layers.channels import Channels
from jaild.layers.fetching import BaseFetch
from jaild.layers.publishing import Publishing
from jaild.layers.releases import Releases
from jaild.layers.sharing import LayerSharing
from jaild.model import access
from jaild.model import names as rules
from jaild.model.access import Role
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import specfile
from jaild.model.layers.prune import MIN_AGE
from jaild.model.layers.records import Manifest
from jaild.model.migration.party import Introduction
from jaild.model.operation import Operation
from jaild.peer.v1 import layers_pb2, layers_pb2_grpc, peer_pb2
from jaild.rpc import chunks as wire
from jaild.rpc import moments, names, pages, streams, structs
from jaild.rpc.auth import Context, PartyCheck, current, require_role
from jaild.rpc.messages.layers import app_messages, base_message, channel_message, manifest_of, release_message
from jaild.rpc.services import Service
from jaild.v1 import (
    apps_pb2,
    apps_pb2_grpc,
    base_making_pb2,
    base_making_pb2_grpc,
    bases_pb2,
    bases_pb2_grpc,
    builds_pb2,
    builds_pb2_grpc,
    channels_pb2,
    channels_pb2_grpc,
)

_CHUNK = 1 << 20  # bytes in one message of a stream


class BasesServicer:
    """Answers `jaild.v1.Bases`."""

    service = Service("jaild.v1.Bases", bases_pb2_grpc.add_BasesServicer_to_server)

    def __init__(self, bases: Bases, fetch: BaseFetch, publishing: Publishing, messages: OperationMessages) -> None:
        self._bases = bases
        self._fetch = fetch
        self._publishing = publishing
        self._messages = messages

    def shown(self, name: str) -> bases_pb2.Base:
        """Return what a base is now."""
        return base_message(self._bases.get(names.base(name)))

    async def ImportBase(  # noqa: N802  # gRPC's names
        self, requests: AsyncIterator[bases_pb2.ImportBaseRequest], context: Context
    ) -> operations_pb2.Operation:
        """Import from chunks, from a path on this host, or from a peer."""
        header: bases_pb2.ImportBaseHeader = await streams.first(requests)
        base = rules.base(header.base_id)
        size = streams.expected_size(header.size_bytes)
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
                validate_only=header.validate_only,
                caller=caller,
            )

        async def from_path(chunks: AsyncIterator[bytes]) -> Operation:
            await _require_none(chunks, "path")
            require_role(caller, {Role.OPERATOR}, "jaild.v1.Bases/ImportBase with a path of the host")
            return await self._bases.import_path(
                base,
                header.path,
                sha256=header.sha256,
                image=header.image,
                validate_only=header.validate_only,
                caller=caller,
            )

        async def from_peer(chunks: AsyncIterator[bytes]) -> Operation:
            await _require_none(chunks, "peer")
            _require_alone(header, "peer", "PEER_NOT_ALONE")
            return await self._fetch.fetch(
                base, header.peer, sha256=header.sha256, validate_only=header.validate_only, caller=caller
            )

        async def from_registry(chunks: AsyncIterator[bytes]) -> Operation:
            await _require_none(chunks, "registry_image")
            _require_alone(header, "registry_image", "IMAGE_NOT_ALONE")
            return await self._bases.import_image(
                base,
                header.registry_image,
                sha256=header.sha256,
                validate_only=header.validate_only,
                caller=caller,
            )

        use_cases = {"peer": from_peer, "registry_image": from_registry, "path": from_path}
        named = [use_case for field, use_case in use_cases.items() if getattr(header, field)]
        use_case = named[0] if named else from_chunks
        return self._messages.of(await streams.hand_on(requests, context, use_case))

    async def GetBase(self, request: bases_pb2.GetBaseRequest, _: Context) -> bases_pb2.Base:  # noqa: N802
        """Return one base."""
        return base_message(self._bases.get(names.base(request.name)))

    async def ListBases(self, request: bases_pb2.ListBasesRequest, _: Context) -> bases_pb2.ListBasesResponse:  # noqa: N802
        """Return a page of bases, by name."""
        page = pages.page(request, self._bases.list(), lambda view: (view.record.name,), "bases")
        return bases_pb2.ListBasesResponse(
            bases=[base_message(view) for view in page.items], next_page_token=page.next_token
        )

    async def PublishBase(self, request: bases_pb2.PublishBaseRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Push one to a registry."""
        return self._messages.of(
            await self._publishing.base(
                names.base(request.name),
                request.image,
                validate_only=request.validate_only,
                caller=current(request.request_id),
            )
        )

    async def DeleteBase(self, request: bases_pb2.DeleteBaseRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Delete one, if nothing refers to it."""
        return self._messages.of(
            await self._bases.delete(
                names.base(request.name), validate_only=request.validate_only, caller=current(request.request_id)
            )
        )

    async def PruneBases(self, request: bases_pb2.PruneBasesRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Delete all that nothing needs."""
        return self._messages.of(
            await self._bases.prune(
                min_age=_min_age(request), validate_only=request.validate_only, caller=current(request.request_id)
            )
        )


async def _require_none(chunks: AsyncIterator[bytes], field: str) -> None:
    async for _ in chunks:
        raise InvalidArgumentError(
            "CHUNK_UNEXPECTED", f"the header names a {field}, and yet chunks came", hint="send one or the other"
        )


def _require_alone(header: bases_pb2.ImportBaseHeader, field: str, reason: str) -> None:
    """Raise `InvalidArgumentError` if a base that comes as it is elsewhere is said to come otherwise, too."""
    known = ("path", "manifest", "image", "peer", "registry_image")
    others = [name for name in known if name != field and getattr(header, name)]
    if others:
        raise InvalidArgumentError(
            reason,
            f"the base comes from {getattr(header, field)} as it is there, and yet the header has {', '.join(others)}",
            hint="send one or the other",
        )


class ChannelsServicer:
    """Answers `jaild.v1.Channels`."""

    service = Service("jaild.v1.Channels", channels_pb2_grpc.add_ChannelsServicer_to_server)

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def GetChannel(self, request: channels_pb2.GetChannelRequest, _: Context) -> channels_pb2.Channel:  # noqa: N802
        """Return one channel."""
        return channel_message(self._channels.get(names.channel(request.name)))

    async def ListChannels(  # noqa: N802
        self, request: channels_pb2.ListChannelsRequest, _: Context
    ) -> channels_pb2.ListChannelsResponse:
        """Return a page of channels, by name."""
        page = pages.page(request, self._channels.list(), lambda view: (view.channel.name,), "channels")
        return channels_pb2.ListChannelsResponse(
            channels=map(channel_message, page.items), next_page_token=page.next_token
        )

    async def SetChannel(self, request: channels_pb2.SetChannelRequest, _: Context) -> channels_pb2.Channel:  # noqa: N802
        """Let a channel name a base."""
        channel, base = names.channel(request.name), names.base(request.base)
        view = await self._channels.set(channel, base, validate_only=request.validate_only, caller=current(""))
        return channel_message(view)

    async def DeleteChannel(self, request: channels_pb2.DeleteChannelRequest, _: Context) -> empty_pb2.Empty:  # noqa: N802
        """Remove one that no jail follows."""
        name = names.channel(request.name)
        await self._channels.delete(name, validate_only=request.validate_only, caller=current(""))
        return empty_pb2.Empty()


class BaseMakingServicer:
    """Answers `jaild.v1.BaseMaking`."""

    service = Service("jaild.v1.BaseMaking", base_making_pb2_grpc.add_BaseMakingServicer_to_server)

    def __init__(self, making: BaseMaking, messages: OperationMessages) -> None:
        self._making = making
        self._messages = messages

    async def InstallBase(  # noqa: N802  # gRPC's names
        self, request: base_making_pb2.InstallBaseRequest, _: Context
    ) -> operations_pb2.Operation:
        """Put a base together from packages."""
        return self._messages.of(
            await self._making.install(
                rules.base(request.base_id),
                request.repository,
                tuple(request.packages),
                request.abi,
                request.osversion,
                validate_only=request.validate_only,
                caller=current(request.request_id),
            )
        )

    async def PatchBase(  # noqa: N802
        self, request: base_making_pb2.PatchBaseRequest, _: Context
    ) -> operations_pb2.Operation:
        """Make a patched base of another one."""
        return self._messages.of(
            await self._making.patch(
                rules.base(request.base_id),
                names.base(request.parent),
                validate_only=request.validate_only,
                caller=current(request.request_id),
            )
        )


_ALL = "apps/-"


class AppsServicer:
    """Answers `jaild.v1.Apps`."""

    service = Service("jaild.v1.Apps", apps_pb2_grpc.add_AppsServicer_to_server)

    def __init__(self, releases: Releases, publishing: Publishing, messages: OperationMessages) -> None:
        self._releases = releases
        self._publishing = publishing
        self._messages = messages

    def shown(self, name: str) -> apps_pb2.Release:
        """Return what a release is now."""
        return release_message(self._releases.get(*names.release(name)))

    async def PushRelease(  # noqa: N802  # gRPC's names
        self, requests: AsyncIterator[apps_pb2.PushReleaseRequest], context: Context
    ) -> operations_pb2.Operation:
        """Take a release's archive."""
        header: apps_pb2.PushReleaseHeader = await streams.first(requests)
        app = names.app(header.parent)
        version = rules.version(header.release_id)
        caller = current(header.request_id)
        access.require_app(caller, app, header.parent)
        size = streams.expected_size(header.size_bytes)
        named = str(getattr(header, "from"))  # a keyword of Python's
        parent = _parent_of(named, app) if named else ""
        manifest = await _manifest(header)

        async def pull(chunks: AsyncIterator[bytes]) -> Operation:
            await _require_none(chunks, "registry_image")
            return await self._releases.pull(
                app,
                version,
                header.registry_image,
                sha256=header.sha256,
                parent=parent,
                manifest=manifest if header.WhichOneof("manifest_source") else None,
                validate_only=header.validate_only,
                caller=caller,
            )

        async def push(chunks: AsyncIterator[bytes]) -> Operation:
            return await self._releases.push(
                app,
                version,
                chunks,
                sha256=header.sha256,
                size=size,
                parent=parent,
                manifest=manifest,
                validate_only=header.validate_only,
                caller=caller,
            )

        return self._messages.of(await streams.hand_on(requests, context, pull if header.registry_image else push))

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

    async def PublishRelease(  # noqa: N802
        self, request: apps_pb2.PublishReleaseRequest, _: Context
    ) -> operations_pb2.Operation:
        """Push one to a registry."""
        app, version = names.release(request.name)
        caller = current(request.request_id)
        access.require_app(caller, app, request.name)
        return self._messages.of(
            await self._publishing.release(
                app, version, request.image, validate_only=request.validate_only, caller=caller
            )
        )

    async def DeleteRelease(self, request: apps_pb2.DeleteReleaseRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Delete one, if nothing refers to it."""
        app, version = names.release(request.name)
        caller = current(request.request_id)
        access.require_app(caller, app, request.name)
        return self._messages.of(
            await self._releases.delete(app, version, validate_only=request.validate_only, caller=caller)
        )

    async def PruneReleases(self, request: apps_pb2.PruneReleasesRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Delete all that nothing needs."""
        app = None if request.parent == _ALL else names.app(request.parent)
        caller = current(request.request_id)
        if app is not None:
            access.require_app(caller, app, request.parent)
        return self._messages.of(
            await self._releases.prune(
                app, min_age=_min_age(request), validate_only=request.validate_only, caller=caller
            )
        )


def _min_age(request: bases_pb2.PruneBasesRequest | apps_pb2.PruneReleasesRequest) -> float:
    return moments.seconds(request.min_age, "min_age") if request.HasField("min_age") else MIN_AGE


def _parent_of(named: str, app: str) -> str:
    """Return the version in the name of an earlier release of `app`. `InvalidArgumentError` (PARENT_OF_OTHER_APP)."""
    parent_app, version = names.release(named)
    if parent_app != app:
        raise InvalidArgumentError(
            "PARENT_OF_OTHER_APP",
            f"{named} is not a release of {names.app_name(app)}",
            hint="name an earlier release of the same app, or none",
            resource=named,
        )
    return version


async def _manifest(header: apps_pb2.PushReleaseHeader) -> Manifest:
    if header.WhichOneof("manifest_source") == "manifest_yaml":
        return await asyncio.to_thread(specfile.parse_manifest, header.manifest_yaml)
    return manifest_of(header.manifest)


class BuildsServicer:
    """Answers `jaild.v1.Builds`."""

    service = Service("jaild.v1.Builds", builds_pb2_grpc.add_BuildsServicer_to_server)

    def __init__(self, builds: Builds, messages: OperationMessages) -> None:
        self._builds = builds
        self._messages = messages

    async def BuildRelease(  # noqa: N802  # gRPC's names
        self, requests: AsyncIterator[builds_pb2.BuildReleaseRequest], context: Context
    ) -> operations_pb2.Operation:
        """Build a release by a recipe."""
        header: builds_pb2.BuildReleaseHeader = await streams.first(requests)
        app = names.app(header.parent)
        version = rules.version(header.release_id)
        caller = current(header.request_id)
        access.require_app(caller, app, header.parent)
        size = streams.expected_size(header.size_bytes)
        source = header.recipe_source or "recipe"
        recipe = await asyncio.to_thread(specfile.parse_recipe, header.recipe_yaml, source)
        if header.base:
            recipe = msgspec.structs.replace(recipe, base=names.base(header.base))
        if named := str(getattr(header, "from")):  # a keyword of Python's
            recipe = msgspec.structs.replace(recipe, parent=_parent_of(named, app))

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

        return self._messages.of(await streams.hand_on(requests, context, build))

    async def TailBuild(  # noqa: N802
        self, request: builds_pb2.TailBuildRequest, _: Context
    ) -> AsyncIterator[builds_pb2.TailBuildResponse]:
        """Send what a build's steps wrote."""
        async for piece in self._builds.log(names.operation(request.name), follow=request.follow):
            yield builds_pb2.TailBuildResponse(data=piece)


class LayersServicer:
    """Answers `jaild.peer.v1.Layers`: what any host may have that this one calls a peer."""

    service = Service("jaild.peer.v1.Layers", layers_pb2_grpc.add_LayersServicer_to_server)

    def __init__(self, sharing: LayerSharing, parties: PartyCheck) -> None:
        self._sharing = sharing
        self._parties = parties

    async def GetLayer(  # noqa: N802  # gRPC's names
        self, request: layers_pb2.GetLayerRequest, _: Context
    ) -> layers_pb2.GetLayerResponse:
        """Describe a layer."""
        await self._parties.require(Introduction(request.host_id, request.host_name))
        offers = self._sharing.offers(request.path)
        return layers_pb2.GetLayerResponse(layers=[structs.message_of(each, peer_pb2.LayerOffer) for each in offers])

    async def SendLayer(  # noqa: N802
        self, request: layers_pb2.SendLayerRequest, _: Context
    ) -> AsyncIterator[bytes]:
        """Send a layer's stream."""
        await self._parties.require(Introduction(request.host_id, request.host_name))
        pieces = self._sharing.stream(request.path, request.guid, request.resume_token)
        async with streams.closing(pieces):
            async for piece in pieces:
                for start in range(0, len(piece), _CHUNK):
                    yield wire.written(layers_pb2.SendLayerResponse, piece[start : start + _CHUNK])
