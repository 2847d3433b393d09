"""Which layers hold something, and which generations of which jails run on them."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.engine.inventory import AnyLayer, JailEntry
from jaild.layers.contents import LayerContents
from jaild.model.contents.question import Kind, Match, Question, in_contents, in_files
from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import BaseRecord


@dataclass(frozen=True, kw_only=True)
class Use:
    """A generation that runs on a layer."""

    jail: str
    generation: int  # 0 of a replica or a copy
    active: bool
    state: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """A layer that matches, or one that could not be looked at (`not_indexed` says why)."""

    layer: str  # resource name
    matches: tuple[Match, ...] = ()
    uses: tuple[Use, ...] = ()
    not_indexed: str = ""
    problems: tuple[str, ...] = ()


class Finding:
    """Reads; changes nothing."""

    def __init__(self, engine: Engine, contents: LayerContents) -> None:
        self._inventory = engine.inventory
        self._contents = contents

    async def find(self, asked: Question) -> AsyncIterator[Found]:
        """Yield the layers that a question asks for, one after the other: bases, then releases, by name."""
        by_layer = self._references()
        bases = [(f"bases/{name}", layer) for name, layer in sorted(self._inventory.bases.items())]
        releases = [(_resource(reference), layer) for reference, layer in sorted(self._inventory.releases.items())]
        layers: list[tuple[str, AnyLayer]] = [*bases, *releases]
        for resource, layer in layers:
            found = await self._in(resource, layer, asked)
            if found is not None:
                uses = tuple(self._uses(by_layer.get(resource, ()), layer, found.matches))
                yield Found(
                    layer=resource,
                    matches=found.matches,
                    uses=uses,
                    not_indexed=found.not_indexed,
                    problems=found.problems,
                )

    async def _in(self, resource: str, layer: AnyLayer, asked: Question) -> Found | None:
        is_base = isinstance(layer.record, BaseRecord)
        if asked.kind in {Kind.BASE, Kind.RELEASE}:
            name = layer.record.name if isinstance(layer.record, BaseRecord) else layer.record.reference
            named = is_base is (asked.kind is Kind.BASE) and fnmatch.fnmatchcase(name, asked.name)
            return Found(layer=resource) if named else None
        try:
            if asked.kind is Kind.FILE:
                wanted = asked.name.removeprefix("sha256:")
                sums = await self._contents.files(layer, b"" if wanted == asked.name else wanted.encode())
                matches = await asyncio.to_thread(in_files, asked, sums)
                problems: tuple[str, ...] = ()
            else:
                contents = await self._contents.of(layer)
                matches, problems = await asyncio.to_thread(in_contents, asked, contents), contents.problems
        except FailedPreconditionError as error:
            return Found(layer=resource, not_indexed=error.message)
        if not matches and not problems:
            return None
        return Found(layer=resource, matches=tuple(matches), problems=problems)

    def _references(self) -> dict[str, list[tuple[JailEntry, int]]]:
        """Return by layer which generations of which jails run on it, from one look at all."""
        found: dict[str, list[tuple[JailEntry, int]]] = {}
        for _, entry in sorted(self._inventory.jails.items()):
            for number, (base, release) in sorted(entry.references.items(), reverse=True):
                for resource in (f"bases/{base}", _resource(release) if release else ""):
                    if resource:
                        found.setdefault(resource, []).append((entry, number))
            for path in entry.layers:
                kind, _, name = path.partition("/")
                found.setdefault(path if kind == "bases" else _resource(name), []).append((entry, 0))
        return found

    def _uses(
        self, references: list[tuple[JailEntry, int]] | tuple[()], layer: AnyLayer, matches: tuple[Match, ...]
    ) -> Iterator[Use]:
        paths = [match.path for match in matches]
        for entry, number in references:
            release = entry.references.get(number, ("", ""))[1]
            if paths and isinstance(layer.record, BaseRecord) and self._hides(release, paths):
                continue
            active = number > 0 and entry.record is not None and entry.record.generation == number
            state = self._inventory.jail_view(entry.name).state.value
            yield Use(jail=entry.name, generation=number, active=active, state=state)

    def _hides(self, release: str, paths: list[str]) -> bool:
        """Say whether a release is mounted over all of these files of its base."""
        layer = self._inventory.releases.get(release)
        return layer is not None and all(path.startswith(f"{layer.record.manifest.mount_point}/") for path in paths)


def _resource(reference: str) -> str:
    app, _, version = reference.partition("/")
    return f"apps/{app}/releases/{version}"
