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
    """Return what differs, in the keys' order, beside base and release; lists as wholes.

    Values of the environment are never told, only that they differ: plans are kept, and read by others.
    """
    old, new = dict(_flat("$", _plain(before))), dict(_flat("$", _plain(after)))
    different = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    found = [
        FieldChange(field=clipped(key, _LONGEST), before=_shown(key, old.get(key)), after=_shown(key, new.get(key)))
        for key in different
        if key not in _OF_OTHERS
    ]
    if len(found) <= MOST:
        return tuple(found)
    left = quantity.count(len(found) - MOST, "more key")
    return (*found[:MOST], FieldChange(field="$", after=f"{left} that differ"))


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


def _shown(key: str, value: str | None) -> str | None:
    if value is None:
        return None
    return REDACTED if key.startswith(_ENVIRONMENT) else clipped(value, _LONGEST)
