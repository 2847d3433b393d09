"""The software bill of materials of a layer."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from jaild.engine.build import Engine
from jaild.engine.inventory import Layer
from jaild.layers.contents import LayerContents
from jaild.model.contents.sbom import Subject, document
from jaild.model.layers.records import BaseRecord, ReleaseRecord


class Sboms:
    """Reads; changes nothing."""

    def __init__(self, engine: Engine, contents: LayerContents) -> None:
        self._inventory = engine.inventory
        self._contents = contents

    async def of_base(self, name: str) -> str:
        """Return a base's. `NotFoundError` (BASE_NOT_FOUND), `FailedPreconditionError` (NOT_INDEXED)."""
        layer = self._inventory.base(name)
        record = layer.record
        subject = Subject(
            resource=f"bases/{name}",
            name=name,
            version=record.version,
            guid=layer.guid,
            abi=record.abi,
            is_base=True,
            sealed=record.imported,
            sha256=record.sha256,
        )
        return await self._document(layer, subject)

    async def of_release(self, app: str, release: str) -> str:
        """Return a release's. `NotFoundError` (RELEASE_NOT_FOUND), `FailedPreconditionError` (NOT_INDEXED)."""
        layer = self._inventory.release(f"{app}/{release}")
        record = layer.record
        subject = Subject(
            resource=f"apps/{app}/releases/{release}",
            name=app,
            version=release,
            guid=layer.guid,
            abi=record.built.abi if record.built is not None else record.manifest.abi,
            sealed=record.pushed,
            sha256=record.sha256,
        )
        return await self._document(layer, subject)

    async def _document(self, layer: Layer[BaseRecord] | Layer[ReleaseRecord], subject: Subject) -> str:
        contents, sums = await self._contents.of(layer), await self._contents.files(layer)
        return await asyncio.to_thread(document, subject, contents, sums.files, version("jaild"))
