"""Exports: a jail as one stream of bytes, for a file or for another host.

    snapshot ─► jail.json ─► configuration ─► layers, if asked for ─► data and volumes ─► checksums ─► snapshot dropped
                                │                   │                       │
                                └── zstd            └── zfs send, zstd      └── zfs send, or tar of a clone; zstd

What is in it is told before a byte is sent (`plan`). The jail serves on. Nothing is kept of an export that is broken
off but, after a crash, its snapshot: the next daemon drops it, or the next export of the jail.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from jaild.copies.moments import Moments, When
from jaild.engine.build import Engine
from jaild.engine.concurrency import to_its_end
from jaild.engine.inventory import AnyLayer, OwnedJail
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.build import JailParts
from jaild.jails.past import Past
from jaild.model import layout, quantity
from jaild.model.backups.points import Point
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.exports import config
from jaild.model.exports.container import Writer
from jaild.model.exports.header import (
    CONFIG,
    FORMAT,
    DatasetEntry,
    Earlier,
    Form,
    Header,
    LayerEntry,
    dataset_section,
    layer_section,
)
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import encode
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.snapshots import EXPORT
from jaild.model.views import Caller

_PIECE = 1 << 20  # bytes of the file handed on at a time


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an export is to be like."""

    at: When = None
    portable: bool = False  # data as tar, for any ZFS or none
    with_layers: bool = False  # base and release in it, too
    recipients: tuple[str, ...] = ()  # for whom it is encrypted, as age(1) takes them; nobody: it is not


class Exports:
    """Writes them."""

    def __init__(self, engine: Engine, jails: JailParts, moments: Moments) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._archives = engine.ports.archives
        self._filters = engine.ports.filters
        self._dispatcher = engine.dispatcher
        self._events = engine.events
        self._clock = engine.ports.clock
        self._past = jails.past
        self._moments = moments
        self._supervisor = engine.supervisor
        self._under_way: set[str] = set()  # tags of snapshots that exports of now are made of

    def drop_left(self) -> None:
        """Drop what exports have left that a crash ended: nobody else would."""
        name = "snapshots of exports that were broken off"
        self._supervisor.retry(name, lambda: self._drop_left(self._inventory.where.jails))

    async def _drop_left(self, dataset: str) -> None:
        snapshots = OwnedSnapshots(self._zfs, dataset)
        await snapshots.drop([each for each in await snapshots.of(EXPORT) if each.tag not in self._under_way])

    async def plan(self, name: str, wanted: Wanted) -> Plan:
        """Return what would be written. Errors as `export`."""
        owned, point, past = await self._look(name, wanted)
        sizes = await self._sizes(owned, past, point)
        how = "as tar" if wanted.portable else "as ZFS streams"
        layers = ", ".join(path for path, _ in self._layers(past))
        steps = (
            f"take snapshot {point.tag}" if point is not None else "take a snapshot",
            f"write generation {past.generation.number} with its configuration",
            f"write {layers}" if wanted.with_layers else f"name {layers}, which the importing host must have",
            *(f"write {path} {how}: {quantity.size(size)} before compression" for path, size in sizes.items()),
            *(("encrypt it, for " + ", ".join(wanted.recipients),) if wanted.recipients else ()),
        )
        if point is not None:
            steps = (f"read snapshot {point.tag}", *steps[1:])
        return Plan(
            kind="export",
            target=f"jails/{name}",
            steps=steps,
            problems=tuple(_secrets(past, encrypted=bool(wanted.recipients))),
            base=past.generation.base,
            release=past.generation.release,
            from_generation=past.generation.number,
            to_generation=past.generation.number,
        )

    async def _look(self, name: str, wanted: Wanted) -> tuple[OwnedJail, Point | None, Past]:
        if wanted.portable and wanted.with_layers:
            raise InvalidArgumentError(
                "LAYERS_NOT_PORTABLE",
                "bases and releases are written as ZFS streams only, and the export is to be portable",
                hint="bring them to the other host by base import and app push; leave out one of the two",
            )
        owned = self._inventory.owned(name, Intent.COPY)
        if wanted.portable and not wanted.recipients and owned.generation.spec.encryption is not None:
            raise FailedPreconditionError(
                "EXPORT_IN_THE_CLEAR",
                f"the data of {name} are encrypted, and as tar they would not be",
                hint="encrypt the export (--encrypt-to), or leave out --portable: ZFS streams stay encrypted",
                resource=f"jails/{name}",
            )
        if wanted.at is None:
            return owned, None, await self._past.now(owned)
        point, past = await self._moments.of(owned, wanted.at)
        return owned, point, past

    async def _sizes(self, owned: OwnedJail, past: Past, point: Point | None) -> dict[str, int]:
        paths = (layout.DATA, *sorted(past.generation.spec.volumes))
        if point is not None:
            return {path: point.parts[path].referenced for path in paths}
        where = self._inventory.where.parts(owned.entry.name, paths)
        found = {each.name: each.referenced for each in await self._zfs.datasets(owned.entry.dataset)}
        return {path: found.get(name, 0) for path, name in where.items()}

    async def export(self, name: str, wanted: Wanted, caller: Caller) -> AsyncIterator[bytes]:
        """Yield a jail's export. Close it to end early.

        `NotFoundError` (JAIL_NOT_FOUND, SNAPSHOT_NOT_FOUND), `FailedPreconditionError` (SNAPSHOT_NOT_WHOLE, or why the
        jail is not here), `InvalidArgumentError` (LAYERS_NOT_PORTABLE, INVALID_RECIPIENT).
        """
        content = self._content(name, wanted)
        stream = self._filters.encrypted(content, wanted.recipients) if wanted.recipients else content
        size = 0
        async with aclosing(content), aclosing(stream):  # type: ignore[type-var]
            async for piece in _joined(stream):
                size += len(piece)
                yield piece
        await self._events.emit("jail.exported", f"jails/{name}", quantity.size(size), actor=caller.actor)

    async def _content(self, name: str, wanted: Wanted) -> AsyncIterator[bytes]:
        async with self._snapshot(name, wanted) as (owned, point, past):
            header = await self._header(owned, point, past, wanted)
            writer = Writer(header)
            yield writer.begin()
            packed = await asyncio.to_thread(config.packed, past.etc, past.local_etc)
            async for piece in self._section(writer, header, CONFIG, _once(packed)):
                yield piece
            for number, layer in enumerate(header.layers):
                if layer.included:
                    sealed = f"{self._inventory.where.layer(layer.path)}@{layout.SEALED}"
                    async for piece in self._section(writer, header, layer_section(number), self._sent(sealed)):
                        yield piece
            for dataset in header.datasets:
                source = self._data(name, point.tag, dataset)
                async for piece in self._section(writer, header, dataset_section(dataset), source):
                    yield piece
            yield writer.end()

    @asynccontextmanager
    async def _snapshot(self, name: str, wanted: Wanted) -> AsyncIterator[tuple[OwnedJail, Point, Past]]:
        """Give what is exported: the snapshot that was named, or one that is taken for this and dropped after it."""
        owned, found, past = await self._look(name, wanted)
        if found is not None:
            yield owned, found, past
            return
        tag = f"export-{uuid.uuid4().hex[:12]}"
        snapshots = OwnedSnapshots(self._zfs, owned.entry.dataset)
        self._under_way.add(tag)
        try:
            async with self._dispatcher.exclusive(f"jails/{name}"):
                owned, _, past = await self._look(name, wanted)  # as it is by now
                await self._drop_left(owned.entry.dataset)
                parts = (layout.DATA, *past.generation.spec.volumes)
                await self._files.flush([owned.entry.folder / path for path in parts])
                await self._zfs.snapshot(owned.entry.dataset, tag, recursive=True, purpose=EXPORT)
                point, past = await self._moments.of(owned, tag)
            yield owned, point, past
        finally:
            self._under_way.discard(tag)
            await to_its_end(self._drop(snapshots, tag))

    async def _drop(self, snapshots: OwnedSnapshots, tag: str) -> None:
        with suppress(NotFoundError):  # the jail is gone, or has another name
            await snapshots.drop([each for each in await snapshots.of(EXPORT) if each.tag == tag])

    async def _header(self, owned: OwnedJail, point: Point, past: Past, wanted: Wanted) -> Header:
        capabilities, generation = await self._zfs.capabilities(), past.generation
        earlier = await self._inventory.generations(owned.entry)
        return Header(
            format=FORMAT,
            jail=owned.entry.name,
            uid=owned.record.uid,
            host=self._inventory.host_name,
            taken=self._clock.now() if wanted.at is None else float(point.created),
            snapshot=point.tag,
            zfs=f"{capabilities.implementation} {capabilities.version}",
            generation=generation,
            earlier=tuple(
                Earlier(
                    number=each.number,
                    base=each.base,
                    release=each.release,
                    created=each.created,
                    reason=each.reason,
                    actor=each.actor,
                )
                for number, each in sorted(earlier.items(), reverse=True)
                if number < generation.number
            ),
            layers=tuple(
                LayerEntry(
                    path=path,
                    guid=layer.guid,
                    sha256=layer.record.sha256,
                    size=layer.used,
                    record=encode(layer.record),
                    included=wanted.with_layers,
                )
                for path, layer in self._layers(past)
            ),
            datasets=tuple(
                DatasetEntry(
                    path=path,
                    form=Form.TAR if wanted.portable else Form.ZFS,
                    guid=point.parts[path].guid,
                    size=point.parts[path].referenced,
                )
                for path in (layout.DATA, *sorted(generation.spec.volumes))
            ),
        )

    def _layers(self, past: Past) -> list[tuple[str, AnyLayer]]:
        stack = self._inventory.stack(past.generation.base, past.generation.release)
        found: list[tuple[str, AnyLayer]] = [(f"bases/{past.generation.base}", stack.base)]
        if stack.release is not None:
            found.append((f"apps/{past.generation.release}", stack.release))
        return found

    async def _data(self, name: str, tag: str, dataset: DatasetEntry) -> AsyncIterator[bytes]:
        if dataset.form is Form.ZFS:
            async for piece in self._sent(f"{self._inventory.where.part(name, dataset.path)}@{tag}"):
                yield piece
            return
        async with self._past.opened(name, tag, dataset.path) as folder:
            async for piece in self._archives.pack(folder):
                yield piece

    async def _sent(self, snapshot: str) -> AsyncIterator[bytes]:
        async with self._zfs.send(snapshot) as chunks:
            async for piece in chunks:
                yield piece

    async def _section(
        self, writer: Writer, header: Header, name: str, source: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        section, part = writer.section(name), bytearray()
        async with aclosing(source), aclosing(self._filters.compressed(source)) as compressed:  # type: ignore[type-var]
            async for piece in compressed:
                part += piece
                while len(part) >= header.part:
                    for written in section.part(bytes(part[: header.part])):
                        yield written
                    del part[: header.part]
        if part:
            for written in section.part(bytes(part)):
                yield written


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _joined(stream: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield a stream in pieces of one size, but for the last."""
    rest = bytearray()
    async for piece in stream:
        rest += piece
        while len(rest) >= _PIECE:
            yield bytes(rest[:_PIECE])
            del rest[:_PIECE]
    if rest:
        yield bytes(rest)


def _secrets(past: Past, *, encrypted: bool) -> Sequence[Problem]:
    """Return the note of what is in an export that should not be read by everybody."""
    names = sorted(past.generation.spec.environment)
    told = f"the values of {', '.join(names)}, " if names else ""
    return [
        Problem(
            severity=Severity.NOTE if encrypted else Severity.WARNING,
            code="EXPORT_HAS_SECRETS",
            message=f"it has in it {told}the jail's configuration with its keys and passwords, and all of its data",
            subject="$.environment" if names else "/etc",
            hint="" if encrypted else "keep it as you keep the jail, or have it encrypted: --encrypt-to",
            evidence=tuple(names),
        )
    ]
