"""What a change makes of a jail's spec, key by key. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from jaild.model import quantity, yamltext
from jaild.model.jails.redaction import REDACTED
from jaild.model.jails.spec import JailSpec
from jaild.model.operation import clipped
from jaild.model.problems import FieldChange

MOST = 100  # of one plan
_LONGEST = 200  # bytes of a value
_OF_OTHERS = ("$.base", "$.app")  # a plan has fields of its own for them
_ENVIRONMENT = "$.environment"


def changes(before: JailSpec, after: JailSpec) -> tuple[FieldChange, ...]:
    """Return what differs beside base and release, as a plan tells it: clipped, and no more than `MOST`.

    Values of the environment are never told, only that they differ: plans are kept, and read by others.
    """
    found = [
        FieldChange(field=clipped(each.field, _LONGEST), before=_short(each.before), after=_short(each.after))
        for each in differences(before, after, values=False)
        if each.field not in _OF_OTHERS
    ]
    if len(found) <= MOST:
        return tuple(found)
    left = quantity.count(len(found) - MOST, "more key")
    return (*found[:MOST], FieldChange(field="$", after=f"{left} that differ"))


def differences(before: JailSpec, after: JailSpec, *, values: bool) -> Iterator[FieldChange]:
    """Yield all that differs, in the keys' order, lists as wholes. `values`: those of the environment are told, too."""
    old, new = dict(_flat("$", _plain(before))), dict(_flat("$", _plain(after)))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            secret = not values and key.startswith(_ENVIRONMENT)
            sides = (REDACTED if secret and side is not None else side for side in (old.get(key), new.get(key)))
            yield FieldChange(field=key, before=next(sides), after=next(sides))


def _plain(value: Any) -> Any:
    """Return it as YAML has it, with all that holds where nothing is said: what is written out is no change."""
    if isinstance(value, msgspec.Struct):
        fields = {name: _plain(inner) for name, inner in msgspec.structs.asdict(value).items()}
        config = value.__struct_config__
        tag = {str(config.tag_field): config.tag} if config.tag_field else {}
        return {**tag, **{name: inner for name, inner in fields.items() if inner is not None}}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Enum) else value


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(path + yamltext.step(key), inner)
    elif value not in (None, []):
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(value: str | None) -> str | None:
    return None if value is None else clipped(value, _LONGEST)
