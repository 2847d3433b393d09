"""jaild.yaml(5): every setting, with the words that stand beside it in the code that reads it."""

from __future__ import annotations

import ast
import inspect as sources
import io
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache

import msgspec
from msgspec import inspect

from jaild.config import Config
from jaild.main import CONFIGS
from jaild.manual.mdoc import Page, literal, prose, references, word
from jaild.model.jails.forms import alternatives, default, form

_EXAMPLE = """\
name: alpha
dataset: zroot/jaild
network: {bridge: jaild0, address: 10.0.0.1/24}
grants:
  ops: {roles: [operator]}
"""


def page() -> Page:
    """Return the page."""
    return Page("jaild.yaml", 5, "configuration of jaild", tuple(_body()))


@cache
def words_of(kind: type) -> Mapping[str, str]:
    """Return what stands beside each field of a class, in comments, by its name."""
    text = textwrap.dedent(sources.getsource(kind))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:"))
    }
    (tree,) = ast.parse(text).body
    return {
        node.target.id: " ".join(comments[line] for line in _lines(node) if line in comments)
        for node in getattr(tree, "body", ())
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def settings(kind: type[msgspec.Struct] = Config, path: str = "") -> Iterator[tuple[str, inspect.Field, str]]:
    """Yield every setting, as `peers.NAME.address`, with what is said of it."""
    for field in msgspec.inspect.multi_type_info([kind])[0].fields:  # type: ignore[attr-defined]  # a struct's
        below, step = _within(field.type)
        said = words_of(kind).get(field.name, "")
        yield path + field.encode_name, field, said or (_docstring(below.cls) if below is not None else "")
        if below is not None:
            yield from settings(below.cls, f"{path}{field.encode_name}{step}.")


def _body() -> Iterator[str]:
    yield ".Sh DESCRIPTION"
    yield from prose("The daemon reads")
    yield ".Pa jaild.yaml"
    yield from prose(
        "when it starts, and again when it is told to. It is YAML. Every setting may be left out, and one that is not"
        " known is refused. NAME in a setting is a name that you give."
    )
    yield ".Bl -tag -width Ds"
    for path, field, said in settings():
        required = ", required" if field.required and "." in path else ""
        absent = default(field)
        yield f".It Cm {word(path)}"
        yield from prose(f"{said}.")
        yield from prose(f"It is {form(field.type)}{required}" + (f"; {absent} if absent." if absent else "."))
    yield ".El"
    yield ".Sh FILES"
    yield ".Bl -tag -width Ds -compact"
    yield from (f".It Pa {path}" for path in CONFIGS)
    yield ".El"
    yield ".Sh EXAMPLES"
    yield from literal(_EXAMPLE.splitlines())
    yield from references("jailctl(1)", "jaild(8)", "jaild-spec(5)")


def _within(kind: inspect.Type) -> tuple[inspect.StructType | None, str]:
    """Return the object that stands somewhere, by itself or by names, and what its path goes on with."""
    step = ""
    while isinstance(kind, inspect.DictType):
        kind, step = kind.value_type, f"{step}.NAME"
    found = next((each for each in alternatives(kind) if isinstance(each, inspect.StructType)), None)
    return found, step


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _docstring(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split()).rstrip(".")
