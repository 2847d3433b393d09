"""Use cases of bases, releases and builds that answer from lists and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from jaild.model.layers.channels import ChannelView, moved
from jaild.model.layers.recipe import Recipe
from jaild.model.layers.records import Manifest
from jaild.model.migration.protocol import LayerOffer
from jaild.model.operation import Operation
from jaild.model.views import BaseView, Caller, ReleaseView
from tests.fakes.use_cases.made import not_found
from tests.fakes.use_cases.remembering import Fake, asked


class FakeBases(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.bases: dict[str, BaseView] = {}
        self.taken = 0
        self.got_some = asyncio.Event()
        self.ended = asyncio.Event()
        self.error: BaseException | None = None
        self.refuse_after: int | None = None

    async def import_stream(
        self,
        base_id: str,
        chunks: AsyncIterator[bytes],
        /,
        *,
        sha256: str,
        size: int,
        manifest: str,
        manifest_entry: str,
        image: str = "",
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        told = {"entry": manifest_entry, "text": manifest, "image": image}
        operation = self.operate(
            "import_stream",
            base_id,
            sha256=sha256,
            size=size,
            **told,
            caller=caller,
            **asked(validate_only=validate_only),
        )
        try:
            if self.refuse_after == 0:
                raise not_found("room")  # noqa: TRY301
            async for chunk in chunks:
                self.taken += len(chunk)
                self.got_some.set()
                if self.refuse_after is not None and self.taken >= self.refuse_after:
                    raise not_found("room")  # noqa: TRY301
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()
        return operation

    async def import_image(
        self, base_id: str, image: str, /, *, sha256: str = "", validate_only: bool = False, caller: Caller
    ) -> Operation:
        told = {"sha256": sha256, **asked(validate_only=validate_only)}
        return self.operate("import_image", base_id, image, **told, caller=caller)

    async def import_path(
        self, base_id: str, path: str, /, *, sha256: str, image: str = "", validate_only: bool = False, caller: Caller
    ) -> Operation:
        return self.operate(
            "import_path",
            base_id,
            path,
            sha256=sha256,
            image=image,
            caller=caller,
            **asked(validate_only=validate_only),
        )

    def get(self, base_id: str, /) -> BaseView:
        if base_id not in self.bases:
            raise not_found(f"bases/{base_id}")
        return self.bases[base_id]

    def list(self) -> list[BaseView]:
        return [*self.bases.values()]

    async def delete(self, base_id: str, /, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("delete", base_id, validate_only=validate_only, caller=caller)

    async def prune(self, *, min_age: float, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("prune", min_age=min_age, validate_only=validate_only, caller=caller)


class FakeChannels(Fake):
    def get(self, name: str, /) -> ChannelView:
        if name != "stable":
            raise not_found(f"channels/{name}")
        channel = moved(moved(None, name, "a", time=1.0, actor="ada"), name, "b", time=2.0, actor="bob")
        return ChannelView(channel=channel, followers=("db", "web"), behind=("web",))

    def list(self) -> list[ChannelView]:
        return [self.get("stable")]

    async def set(self, name: str, base: str, /, *, validate_only: bool = False, caller: Caller) -> ChannelView:
        self.seen("set", name, base, caller=caller, **asked(validate_only=validate_only))
        return self.get(name)

    async def delete(self, name: str, /, *, validate_only: bool = False, caller: Caller) -> None:
        self.seen("delete", name, caller=caller, **asked(validate_only=validate_only))


class FakeBaseMaking(Fake):
    async def install(
        self,
        base_id: str,
        repository: str,
        names: tuple[str, ...],
        abi: str,
        osversion: int,
        /,
        *,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        return self.operate(
            "install", base_id, repository, names, abi, osversion, caller=caller, **asked(validate_only=validate_only)
        )

    async def patch(self, base_id: str, parent: str, /, *, validate_only: bool = False, caller: Caller) -> Operation:
        return self.operate("patch", base_id, parent, caller=caller, **asked(validate_only=validate_only))


class FakeFetch(Fake):
    async def fetch(
        self, base_id: str, peer: str, /, *, sha256: str = "", validate_only: bool = False, caller: Caller
    ) -> Operation:
        return self.operate("fetch", base_id, peer, sha256, caller=caller, **asked(validate_only=validate_only))


class FakeSharing(Fake):
    """Has one layer, whose stream may fail at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.offer = LayerOffer(path="bases/deb-1", guid=(1 << 64) - 1, size_bytes=10, record="{}")
        self.content = b""
        self.error: Exception | None = None

    def offers(self, path: str, /) -> tuple[LayerOffer, ...]:
        self.seen("offers", path)
        return (self.offer,)

    async def stream(self, path: str, guid: int, token: str, /) -> AsyncIterator[bytes]:
        self.seen("stream", path, guid, token)
        yield self.content
        if self.error is not None:
            raise self.error


class FakePublishing(Fake):
    async def base(self, base_id: str, image: str, /, *, validate_only: bool = False, caller: Caller) -> Operation:
        return self.operate("publish", base_id, image, caller=caller, **asked(validate_only=validate_only))

    async def release(
        self, app: str, version: str, image: str, /, *, validate_only: bool = False, caller: Caller
    ) -> Operation:
        return self.operate("publish", app, version, image, caller=caller, **asked(validate_only=validate_only))


class FakeReleases(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.releases: tuple[ReleaseView, ...] = ()
        self.taken = b""

    async def push(
        self,
        app: str,
        version: str,
        chunks: AsyncIterator[bytes],
        /,
        *,
        sha256: str,
        size: int,
        parent: str,
        manifest: Manifest,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        operation = self.operate(
            "push",
            app,
            version,
            sha256=sha256,
            size=size,
            parent=parent,
            manifest=manifest,
            caller=caller,
            **asked(validate_only=validate_only),
        )
        self.taken = b"".join([chunk async for chunk in chunks])
        return operation

    async def pull(
        self,
        app: str,
        version: str,
        image: str,
        /,
        *,
        sha256: str,
        parent: str,
        manifest: Manifest | None,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        told = {"sha256": sha256, "parent": parent, "manifest": manifest}
        return self.operate("pull", app, version, image, **told, caller=caller, **asked(validate_only=validate_only))

    def get(self, app: str, version: str, /) -> ReleaseView:
        for view in self.releases:
            if (view.record.app, view.record.version) == (app, version):
                return view
        raise not_found(f"apps/{app}/releases/{version}")

    def list(self, app: str | None, /) -> list[ReleaseView]:
        return [view for view in self.releases if app in {None, view.record.app}]

    async def packages(self, app: str, version: str, /) -> tuple[str, ...]:
        return (f"{app}-{version}",)

    async def delete(self, app: str, version: str, /, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("delete", app, version, validate_only=validate_only, caller=caller)

    async def prune(self, app: str | None, /, *, min_age: float, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("prune", app, min_age=min_age, validate_only=validate_only, caller=caller)


class FakeBuilds(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.taken = b""

    async def build(
        self,
        app: str,
        version: str,
        recipe: Recipe,
        chunks: AsyncIterator[bytes],
        /,
        *,
        sha256: str,
        size: int,
        validate_only: bool,
        caller: Caller,
    ) -> Operation:
        operation = self.operate(
            "build", app, version, recipe=recipe, sha256=sha256, size=size, validate_only=validate_only, caller=caller
        )
        self.taken = b"".join([chunk async for chunk in chunks])
        return operation

    async def log(self, operation: str, /, *, follow: bool) -> AsyncIterator[bytes]:
        self.seen("log", operation, follow=follow)
        yield b"== step 1 of 1: run make\n"
        yield b"made\n"
