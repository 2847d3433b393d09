"""Bases and releases out of exports: received as they were sealed, so that they are the same on both hosts."""

from __future__ import annotations

import asyncio
from typing import Any

from jaild.copies.incoming import ExportFile
from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.layers.build import LayerParts
from jaild.model import layout
from jaild.model.errors import DataLossError
from jaild.model.exports.header import Header, LayerEntry, damaged, layer_section
from jaild.model.layers.records import BaseRecord, ReleaseRecord, decode
from jaild.model.problems import Problem, Severity


class LayerImport:
    """Receives them, one at a time."""

    def __init__(self, engine: Engine, layers: LayerParts) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._events = engine.events
        self._sealer = layers.sealer
        self._lock = asyncio.Lock()

    def missing(self, header: Header) -> tuple[list[int], list[Problem]]:
        """Return which layers of an export are to be received, and what stands in the way of the others."""
        wanted, problems = [], []
        for number, layer in enumerate(header.layers):
            here = self._inventory.layer(layer.path)
            if here is None and layer.included:
                wanted.append(number)
            elif here is None:
                problems.append(
                    _error(
                        "LAYER_MISSING",
                        layer,
                        f"{layer.path} is not here, and not in the export",
                        "import or push it (the same content), or export with --with-layers",
                    )
                )
            elif here.guid != layer.guid and (not layer.sha256 or here.record.sha256 != layer.sha256):
                problems.append(
                    _error(
                        "LAYER_DIFFERS",
                        layer,
                        f"{layer.path} is here with another content (guid {here.guid}, exported {layer.guid})",
                        "delete or rename one of the two: names of layers must mean the same on all hosts",
                    )
                )
        return wanted, problems

    async def receive(self, file: ExportFile, number: int) -> None:
        """Receive one that is missing. `DataLossError` (GUID_MISMATCH), and what `Zfs.receive` raises."""
        async with self._lock:
            layer = file.header.layers[number]
            if self._inventory.layer(layer.path) is None:
                await self._receive(file, number, layer)

    async def _receive(self, file: ExportFile, number: int, layer: LayerEntry) -> None:
        kind, _, name = layer.path.partition("/")
        record, prop = _record(kind, name, layer)
        dataset = self._inventory.where.layer(layer.path)
        if kind == "apps":
            await self._sealer.ensure_parent(dataset)
        async with file.section(layer_section(number)) as chunks:
            await self._zfs.receive(dataset, chunks, properties={"readonly": "on"})
        async with undo_on_error(lambda: self._zfs.destroy(dataset, recursive=True)):
            await self._zfs.set(dataset, {prop: layer.record})
            await self._zfs.mount(dataset)
            sealed = await self._sealer.layer(dataset, record)
            if sealed.guid != layer.guid:
                raise DataLossError(
                    "GUID_MISMATCH",
                    f"{layer.path} has another guid in its stream than the export says",
                    hint="export it again",
                )
        into: Any = self._inventory.bases if kind == "bases" else self._inventory.releases  # of its record's kind
        into[name] = sealed
        await self._events.emit("layer.received", layer.path, f"of an export of {file.header.jail}")


def _record(kind: str, name: str, layer: LayerEntry) -> tuple[BaseRecord | ReleaseRecord, str]:
    if kind == "bases":
        base = decode(layer.record, BaseRecord, layer.path)
        if base.name == name:
            return base, layout.BASE_PROPERTY
    else:
        release = decode(layer.record, ReleaseRecord, layer.path)
        if release.reference == name:
            return release, layout.RELEASE_PROPERTY
    raise damaged(f"the record of {layer.path} is another one's")


def _error(code: str, layer: LayerEntry, message: str, hint: str) -> Problem:
    return Problem(severity=Severity.ERROR, code=code, message=message, subject=layer.path, hint=hint)
