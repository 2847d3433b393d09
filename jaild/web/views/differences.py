"""What differs between two generations, in the order of what one looks for first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jaild.v1 import contents_pb2
from jaild.web.views.words import short

_KINDS = {
    contents_pb2.FileChange.CHANGE_ADDED: "new",
    contents_pb2.FileChange.CHANGE_REMOVED: "gone",
    contents_pb2.FileChange.CHANGE_CHANGED: "changed",
}
_UNKNOWN = "version not known"


@dataclass(frozen=True)
class Difference:
    """One thing that differs; `before` and `after` are empty where it was not, or is not, there. `diff`: of a file."""

    name: str
    kind: str
    before: str = ""
    after: str = ""
    diff: str = ""


@dataclass(frozen=True)
class Section:
    """Differences of one kind, and how many there are beyond those that are told."""

    title: str
    rows: tuple[Difference, ...]
    note: str = ""


def of(found: contents_pb2.Comparison) -> list[Section]:
    """Return the sections that have something."""
    layers = [
        Difference(kind, "changed", before or "none", after or "none")
        for kind, before, after in (
            ("base", short(found.from_base), short(found.to_base)),
            ("app", short(found.from_release), short(found.to_release)),
        )
        if before != after
    ]
    sections = (
        Section("Base and app", tuple(layers)),
        Section("Spec", tuple(_changes(found.spec))),
        Section("Configuration", tuple(_files(found.configuration))),
        Section("Packages", tuple(_changes(found.packages))),
        Section("Libraries", tuple(_changes(found.libraries))),
        Section("Files of the release", tuple(_files(found.release_files)), _counted(found.release_file_counts)),
        Section("Files of the base", (), _counted(found.base_file_counts)),
        Section("Not compared", (), "; ".join(found.notes)),
    )
    return [section for section in sections if section.rows or section.note]


def _changes(changes: Iterable[contents_pb2.ContentChange]) -> Iterator[Difference]:
    for each in changes:
        before = (each.before or _UNKNOWN) if each.HasField("before") else ""
        after = (each.after or _UNKNOWN) if each.HasField("after") else ""
        yield Difference(each.name, "changed" if before and after else "new" if after else "gone", before, after)


def _files(files: Iterable[contents_pb2.FileChange]) -> Iterator[Difference]:
    for each in files:
        yield Difference(each.path, _KINDS.get(each.change, "changed"), after=each.reason, diff=each.diff)


def _counted(counts: contents_pb2.FileCounts) -> str:
    told = ((counts.added, "new"), (counts.removed, "gone"), (counts.changed, "changed"))
    return ", ".join(f"{number:,} {word}" for number, word in told if number)
