"""`jailctl find`: which jails have a library, a package, a file, a base or a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.everywhere import ask_all
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import printable
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import count
from jaild.v1 import contents_pb2

_SHOWN = 3  # of a layer's matches in a row
_SECONDS = 10 * READ_SECONDS  # the index of each layer is read from disk


@dataclass
class Layer:
    """A layer, of all messages about it."""

    context: str
    name: str
    matches: list[Any] = field(default_factory=list)
    uses: list[Any] = field(default_factory=list)
    not_indexed: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A generation on a layer; `use` is None for a layer that no jail uses."""

    layer: Layer
    use: Any


@click.command(
    "find",
    cls=Verb,
    examples=(
        "find --library 'libssl.so.3<3.0.15'",
        "find --package 'openssl<3.0.15' --active -A",
        "find --file /usr/local/bin/redis-server",
        "find --base 'debian-12*' -o json",
    ),
)
@click.option(
    "--library",
    metavar="SONAME[<VERSION]",
    help="A shared library, by its makers' version: <, <=, =, >=, >, several with commas; * is anything.",
)
@click.option("--package", metavar="NAME[<VERSION]", help="A package, or what packages were built from.")
@click.option("--file", metavar="PATH|sha256:HEX", help="A file of base or release.")
@click.option("--base", metavar="NAME", help="A base; * for anything.")
@click.option("--release", metavar="APP/VERSION", help="A release; * for anything.")
@click.option("--active", is_flag=True, help="Only active generations, not those kept to go back to.")
@click.option("-A", "--all-contexts", "everywhere", is_flag=True, help="On the hosts of all contexts.")
@listed
@click.pass_obj
def command(
    settings: Settings,
    *,
    library: str | None,
    package: str | None,
    file: str | None,
    base: str | None,
    release: str | None,
    active: bool,
    everywhere: bool,
    look: Look,
) -> None:
    """Find jails by a library, a package, a file, a base or a release that they run on."""
    given = {"library": library, "package": package, "file": file, "base": base, "release": release}
    asked = {kind: text for kind, text in given.items() if text is not None}
    if len(asked) != 1:
        raise click.UsageError("ask for one of --library, --package, --file, --base and --release")
    request = contents_pb2.FindContentsRequest(**asked)

    def question(api: Api) -> list[Layer]:
        return _layers(settings.context, api.contents.FindContents(request, timeout=_SECONDS))

    silent: list[tuple[str, Failure]] = []
    if everywhere:
        answers, silent = ask_all(settings, question)
        layers = [_named(layer, context) for context, found in answers for layer in found]
    else:
        with connect(settings) as api:
            layers = question(api)
    if active:
        layers = [_active(layer) for layer in layers]
        layers = [layer for layer in layers if layer.uses or layer.not_indexed or layer.problems]
    _show(settings, look, layers, everywhere=everywhere)
    _complain(layers, silent)


def _layers(context: str, answers: Any) -> list[Layer]:
    found: dict[str, Layer] = {}
    for answer in answers:
        layer = found.setdefault(answer.layer, Layer(context, answer.layer))
        layer.matches += answer.matches
        layer.uses += answer.uses
        layer.problems += answer.problems
        layer.not_indexed = layer.not_indexed or answer.not_indexed
    return list(found.values())


def _named(layer: Layer, context: str) -> Layer:
    layer.context = context
    return layer


def _active(layer: Layer) -> Layer:
    """Leave active generations alone; where there is none, nothing is found."""
    layer.uses = [use for use in layer.uses if use.active]
    layer.matches = layer.matches if layer.uses else []
    return layer


def _show(settings: Settings, look: Look, layers: Sequence[Layer], *, everywhere: bool) -> None:
    there = [layer for layer in layers if not layer.not_indexed and (layer.matches or not layer.problems)]
    if settings.form is not Form.TABLE:
        render.document(settings.form, {"layers": [_as_dict(layer, everywhere=everywhere) for layer in layers]})
        return
    rows = [Row(layer, use) for layer in there for use in layer.uses or [None]]
    if not rows:
        click.echo("nothing is found by that", err=True)
    columns = _COLUMNS if not everywhere else (Column("CONTEXT", lambda row: row.layer.context), *_COLUMNS)
    listing.table(look, rows, columns)


def _as_dict(layer: Layer, *, everywhere: bool) -> dict[str, Any]:
    whole = contents_pb2.FindContentsResponse(
        layer=layer.name,
        matches=layer.matches,
        uses=layer.uses,
        not_indexed=layer.not_indexed,
        problems=layer.problems,
    )
    return ({"context": layer.context} if everywhere else {}) | render.as_dict(whole)


def _complain(layers: Sequence[Layer], silent: Sequence[tuple[str, Failure]]) -> None:
    """Tell what was not looked at: an answer without it is none."""
    for layer in layers:
        where = f"{layer.context}: " if layer.context else ""
        for problem in layer.problems:
            click.echo(f"{where}{short(layer.name)}: {printable(problem)}", err=True)
        if layer.not_indexed:
            click.echo(f"{where}{short(layer.name)}: {printable(layer.not_indexed)}; ask again in a minute", err=True)
    for name, failure in silent:
        click.echo(f"{name}: {printable(failure.message)}", err=True)
    unknown = sum(bool(layer.not_indexed) for layer in layers)
    if silent or unknown:
        parts = [count(len(silent), "host") if silent else "", count(unknown, "layer") if unknown else ""]
        raise Failure(f"not looked at: {' and '.join(filter(None, parts))}", Exit.UNAVAILABLE)


def _found(row: Row) -> str:
    shown = [_match(match) for match in row.layer.matches[:_SHOWN]]
    left = len(row.layer.matches) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")


def _match(match: Any) -> str:
    version = "version not known" if match.unsure else match.version
    if match.path and not match.name.startswith("sha256:"):
        return " ".join(filter(None, (match.name, version, f"({match.package})" if match.package else "")))
    return match.path or " ".join(filter(None, (match.name, version)))


_COLUMNS = (
    Column("JAIL", lambda row: short(row.use.jail) if row.use else ""),
    Column("GEN", lambda row: str(row.use.generation or "") if row.use else ""),
    Column("ACTIVE", lambda row: "yes" if row.use and row.use.active else ""),
    Column("STATE", lambda row: row.use.state if row.use else ""),
    Column("IN", lambda row: short(row.layer.name)),
    Column("FOUND", _found, prose=True),
)
