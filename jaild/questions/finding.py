"""Which layers hold something, and which generations of which jails run on them."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from jaild.engine.build import Engine
from jaild.engine.inventory import AnyLayer, JailEntry
from jaild.layers.contents import LayerContents
from jaild.model.contents.question import Kind, Match, Question, in_contents, in_files
from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import BaseRecord

USES = 1000  # of one answer; a layer with more comes in several
_AT_ONCE = 200  # jails that are looked at between two turns of others


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
        """Yield the layers that a question asks for, one after the other: bases, then releases, by name.

        Of one with many users the first answer has what matches, and the others more users.
        """
        bases = [(f"bases/{name}", layer) for name, layer in sorted(self._inventory.bases.items())]
        releases = [(_resource(reference), layer) for reference, layer in sorted(self._inventory.releases.items())]
        layers: list[tuple[str, AnyLayer]] = [*bases, *releases]
        for resource, layer in layers:
            found = await self._in(resource, layer, asked)
            if found is None:
                continue
            uses: list[Use] = []
            async for use in self._uses(resource, layer, found.matches):
                if len(uses) == USES:
                    yield replace(found, uses=tuple(uses))
                    found, uses = Found(layer=resource), []
                uses.append(use)
            yield replace(found, uses=tuple(uses))

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

    async def _uses(self, resource: str, layer: AnyLayer, matches: tuple[Match, ...]) -> AsyncIterator[Use]:
        """Yield who uses a layer, by jail, the newest generation first."""
        paths = [match.path for match in matches] if isinstance(layer.record, BaseRecord) else []
        for number, name in enumerate(sorted(self._inventory.jails)):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others have their turn
            entry = self._inventory.jails.get(name)
            if entry is None:  # gone meanwhile
                continue
            for generation in _on(entry, resource):
                release = entry.references.get(generation, ("", ""))[1]
                if not (paths and self._hides(release, paths)):
                    active = generation > 0 and entry.record is not None and entry.record.generation == generation
                    state = self._inventory.jail_view(name).state.value
                    yield Use(jail=name, generation=generation, active=active, state=state)

    def _hides(self, release: str, paths: list[str]) -> bool:
        """Say whether a release is mounted over all of these files of its base."""
        layer = self._inventory.releases.get(release)
        return layer is not None and all(path.startswith(f"{layer.record.manifest.mount_point}/") for path in paths)


def _on(entry: JailEntry, resource: str) -> list[int]:
    """Return the generations of a jail that run on a layer, the newest first; 0 for a copy that needs it."""
    numbers = [number for number, layers in entry.references.items() if resource in map(_named, _KINDS, layers)]
    needed = any(resource == _named(*path.partition("/")[::2]) for path in entry.layers)
    return sorted(numbers, reverse=True) + ([0] if needed else [])


_KINDS = ("bases", "apps")


def _named(kind: str, name: str) -> str:
    """Return the resource name of `bases` and a base's name, or `apps` and a release's (empty: none)."""
    return "" if not name else f"bases/{name}" if kind == "bases" else _resource(name)


def _resource(reference: str) -> str:
    app, _, version = reference.partition("/")
    return f"apps/{app}/releases/{version}"
