"""A jail's specification, a release's manifest and a recipe as YAML: read strictly, mistakes told by path and line.

The types are in `jaild.model.jails.spec`, `records` and `recipe`; rules beyond types are in `speccheck`,
`manifestcheck` and `recipecheck`.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from jaild.model import yamltext
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import reference
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.recipe import Recipe
from jaild.model.layers.records import Manifest

_T = TypeVar("_T")
_PLACE = re.compile(r"(?P<message>.*?) - at (?:`key` in )?`(?P<path>\$[^`]*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`", re.DOTALL)
_NO_TEXT = re.compile(r"Expected `str[^`]*`, got `(?P<got>\w+)`")
_TAKEN_FOR = {"int": "a number", "float": "a number", "bool": "a yes or no", "date": "a date", "datetime": "a time"}
_STEP = re.compile(r'\.([\w-]+)|\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\]')
_ANY_KEY = "[...]"  # how msgspec writes a mapping's value without saying which


def parse(text: str, source: str) -> JailSpec:
    """Read a specification; `source` names the text in messages (a file name, `request`).

    Raises `InvalidArgumentError` (INVALID_SPEC) with `path`, `line` and `source` in its detail.
    """
    return _parse(text, source, JailSpec)


def parse_manifest(text: str, source: str = "manifest") -> Manifest:
    """Read a release's manifest, with the errors of `parse`."""
    return _parse(text, source, Manifest)


def parse_recipe(text: str, source: str = "recipe") -> Recipe:
    """Read a recipe, with the errors of `parse`."""
    return _parse(text, source, Recipe)


def render(spec: JailSpec | Manifest) -> str:
    """Return YAML that reads back as `spec`; equal specs give equal text. Defaults are left out."""
    plain = msgspec.to_builtins(spec, order="deterministic")
    # Not allow_unicode: PyYAML writes U+0085 in a form that it reads back as a space.
    return yaml.safe_dump(plain, sort_keys=False, width=100)


def _parse(text: str, source: str, wanted: type[_T]) -> _T:
    try:
        document = yamltext.read(text)
    except yamltext.UnreadableError as error:
        raise _invalid(source, error.line, error.path, error.message) from error
    try:
        return msgspec.convert(document.value, wanted)
    except msgspec.ValidationError as error:
        message, path = _place(error, document.value, wanted)
        hint = ""
        if unknown := _UNKNOWN.match(message):
            message = f"there is no {unknown['key']!r} here"
            known = _known_keys(wanted, document.value, path)
            close = difflib.get_close_matches(unknown["key"], known, n=1)
            known_here = f"known here: {', '.join(known)}{_more(wanted, path)}"
            hint = f"did you mean {close[0]!r}?" if close else known_here
            path += yamltext.step(unknown["key"])
        elif (taken := _NO_TEXT.match(message)) is not None and taken["got"] in _TAKEN_FOR:
            hint = "put the value in quotes to make it text"
            if written := document.written(path):
                message += f": {written} is {_TAKEN_FOR.get(taken['got'], 'no text')} unless it is quoted"
                hint += f": {json.dumps(written)} (in a template its variable: '${{...}}')"
        raise _invalid(source, document.line(path), path, message, hint or _hint(wanted, path)) from error


def _hint(wanted: type, path: str) -> str:
    """Return what stands at a path, with an example."""
    found = reference.at(wanted, _steps(path))
    return found.as_hint() if found is not None else ""


def _more(wanted: type, path: str) -> str:
    found = reference.at(wanted, _steps(path))
    return f"; see jailctl explain {found.path}" if found is not None else ""


def _invalid(source: str, line: int, path: str, message: str, hint: str = "") -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_SPEC",
        f"{source}{f', line {line}' if line else ''}: {path}: {message}",
        hint=hint or "correct it and send it again",
        resource=source,
        detail={"path": path, "line": str(line), "source": source},
    )


def _place(error: msgspec.ValidationError, value: Any, wanted: Any) -> tuple[str, str]:
    """Split msgspec's message into what and where, problem the key that it writes as `[...]`."""
    match = _PLACE.fullmatch(str(error))
    if match is None:
        return str(error), "$"
    message, path = match["message"], match["path"]
    if _ANY_KEY in path:
        before, _, after = path.partition(_ANY_KEY)
        path = f"{before}{yamltext.step(_guilty_key(value, before, wanted, str(error)))}{after}"
    return message, path


def _guilty_key(value: Any, path: str, wanted: Any, message: str) -> str:
    """Return the first key of the mapping at `path` whose value alone brings the same message."""
    for key, item in _at(value, path).items():
        try:
            msgspec.convert(_with(value, _steps(path), {key: item}), wanted)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return "?"


def _steps(path: str) -> list[str | int]:
    return [
        json.loads(quoted) if quoted else int(index) if index else key for key, index, quoted in _STEP.findall(path)
    ]


def _at(value: Any, path: str) -> Any:
    for step in _steps(path):
        value = value[step]
    return value


def _with(value: Any, steps: list[str | int], replacement: Any) -> Any:
    if not steps:
        return replacement
    copy = value.copy()
    copy[steps[0]] = _with(value[steps[0]], steps[1:], replacement)
    return copy


def _known_keys(wanted: Any, value: Any, path: str) -> list[str]:
    """Return the keys that the object at `path` may have."""
    kind = _choose(inspect.type_info(wanted), value)
    for step in _steps(path):
        value = value[step]
        if isinstance(kind, inspect.StructType):
            kind = next(field.type for field in kind.fields if field.encode_name == step)
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
        elif isinstance(kind, inspect.VarTupleType):
            kind = kind.item_type
        kind = _choose(kind, value)
    return [field.encode_name for field in kind.fields] if isinstance(kind, inspect.StructType) else []


def _choose(kind: inspect.Type, value: Any) -> inspect.Type:
    """Return the member of a union that `value` is meant for: the one with its tag."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    structs = [t for t in kind.types if isinstance(t, inspect.StructType)]
    return next((t for t in structs if t.tag_field and value.get(t.tag_field) == t.tag), structs[0])
