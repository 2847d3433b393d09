"""What has to stand somewhere in a YAML document, and what counts if nothing does, by the types that read it."""

from __future__ import annotations

from enum import Enum
from pathlib import PurePath
from typing import Any

import msgspec
import yaml
from msgspec import inspect

_NUMBERS = {inspect.IntType: "a whole number", inspect.FloatType: "a number"}


def form(kind: inspect.Type, *, many: bool = False) -> str:
    """Return what has to stand there; `many`: of several such."""
    if isinstance(kind, inspect.VarTupleType):
        return f"{'lists' if many else 'a list'} of {form(kind.item_type, many=True)}"
    if isinstance(kind, inspect.DictType):
        return f"a mapping of names to {form(kind.value_type, many=True)}"
    if structs := [each for each in alternatives(kind) if isinstance(each, inspect.StructType)]:
        required = [field.encode_name for field in structs[0].fields if field.required]
        needed = ", ".join([structs[0].tag_field] if structs[0].tag_field else required)
        return ("objects" if many else "an object") + (f" with {needed}" if needed else "")
    return _scalar(kind, many=many)


def _scalar(kind: inspect.Type, *, many: bool) -> str:
    match kind:
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, kind.values))}"
        case inspect.EnumType():
            return f"one of {', '.join(map(str, kind.cls))}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return _NUMBERS[type(kind)] + _range(kind)
    return "texts" if many else "a text"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low, high = kind.ge if kind.ge is not None else kind.gt, kind.le
    if low is None and high is None:
        return ""
    above = f"above {low:g}" if kind.gt is not None else f"{low:g}"
    if high is None:
        return f" {above}" if kind.gt is not None else f", {above} or more"
    return f" {above}, {high:g} at most" if kind.gt is not None else f" from {above} to {high:g}"


def default(field: inspect.Field | None) -> str:
    """Return what counts where a field is absent, as YAML; '' for nothing, and for an object with its own defaults."""
    if field is None or field.required or field.default in (msgspec.NODEFAULT, None, (), ""):
        return ""
    if isinstance(field.default, msgspec.Struct):
        return ""
    return flow(_plain(field.default))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Enum | PurePath) else value


def flow(value: Any) -> str:
    """Return it as YAML on one line; of several objects the first."""
    value = value[:1] if isinstance(value, list) and isinstance(value[0], dict) else value
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("...\n").strip()


def alternatives(kind: inspect.Type) -> list[inspect.Type]:
    """Return what may stand somewhere, beside nothing."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [each for each in kinds if not isinstance(each, inspect.NoneType)]
