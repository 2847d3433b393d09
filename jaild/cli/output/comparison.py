"""What differs between two generations, as text: `+` is new, `-` gone, `~` another one; /etc as a unified diff."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from jaild.cli.client.references import short
from jaild.cli.output.human import printable
from jaild.v1 import contents_pb2

_MARKS = {
    contents_pb2.FileChange.CHANGE_ADDED: "+",
    contents_pb2.FileChange.CHANGE_REMOVED: "-",
    contents_pb2.FileChange.CHANGE_CHANGED: "~",
}
_COLOURS = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}


def lines(jail: str, found: Any) -> Iterator[str]:
    """Yield the whole comparison."""
    yield click.style(f"{short(jail)}: generation {getattr(found, 'from')} to {found.to}", bold=True)
    yield from _changed("base", short(found.from_base), short(found.to_base))
    yield from _changed("release", short(found.from_release), short(found.to_release))
    yield from _section("spec", (_change(each) for each in found.spec))
    yield from _section("packages", (_change(each) for each in found.packages))
    yield from _section("libraries", (_change(each) for each in found.libraries))
    yield from _section(f"files of the release{_counts(found.release_file_counts)}", map(_file, found.release_files))
    if told := _counts(found.base_file_counts):
        yield f"files of the base{told}"
    yield from _section("configuration", (line for each in found.configuration for line in _configuration(each)))
    for note in found.notes:
        yield click.style("note", fg="cyan") + f": {printable(note)}"


def _changed(what: str, before: str, after: str) -> Iterator[str]:
    if before != after:
        yield f"{what}: {printable(before) or 'none'} to {printable(after) or 'none'}"


def _section(head: str, rows: Iterable[str]) -> Iterator[str]:
    shown = list(rows)
    if shown:
        yield f"{head}:"
        yield from (f"  {row}" for row in shown)


def _change(change: Any) -> str:
    before = (change.before or "version not known") if change.HasField("before") else ""
    after = (change.after or "version not known") if change.HasField("after") else ""
    mark = "~" if before and after else "+" if after else "-"
    versions = f"{before} to {after}" if before and after else before or after
    return click.style(f"{mark} {printable(change.name)}", fg=_COLOURS[mark]) + f"  {_line(versions)}"


def _line(text: str) -> str:
    return printable(text).replace("\n", " ")


def _file(file: Any) -> str:
    mark = _MARKS.get(file.change, "~")
    why = f"  ({printable(file.reason)})" if file.reason else ""
    return click.style(f"{mark} {printable(file.path)}", fg=_COLOURS[mark]) + why


def _configuration(file: Any) -> Iterator[str]:
    yield _file(file)
    for line in file.diff.splitlines():
        colour = None if line.startswith(("---", "+++")) else _COLOURS.get(line[:1])
        yield "  " + click.style(printable(line), fg=colour, bold=line.startswith(("---", "+++")))


def _counts(counts: Any) -> str:
    told = [(counts.added, "new"), (counts.removed, "gone"), (counts.changed, "changed")]
    words = ", ".join(f"{number:,} {word}" for number, word in told if number)
    return f" ({words})" if words else ""
