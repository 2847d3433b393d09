"""Messages of the API as Salt carries data: dictionaries, lists, texts and numbers; and requests out of such.

A message is a dictionary by its fields' names, as in the YAML of specs and manifests. What is empty is left out. Times
are RFC 3339, durations seconds; enums are words as jailctl prints them: STATE_CRASH_LOOP is `crash-loop`.

What a function returns is kept by Salt: in the master's job cache, and by whatever returners there are. So values of
environments are only told to who asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, MutableSequence
from typing import Any

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

from jaild.model.jails.redaction import REDACTED

_DURATION = "google.protobuf.Duration"
_TIMESTAMP = "google.protobuf.Timestamp"
_ANY = "google.protobuf.Any"
_ENVIRONMENT = "environment"
# Messages with values of environments in them.
SECRET = frozenset({"jaild.v1.JailSpec", "jaild.v1.Comparison"})
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def data(message: Message, *, secrets: bool = False) -> Any:
    """Return a message as plain data. `secrets`: with the values of environments, in whose place is a word else."""
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Duration":
            return message.seconds + message.nanos / 1e9  # type: ignore[attr-defined]
        case "google.protobuf.Timestamp":
            return message.ToJsonString()  # type: ignore[attr-defined]
        case "google.protobuf.Any":
            return data(unpacked(message), secrets=secrets) if message.ListFields() else {}
    found = {field.name: _value(field, value, secrets=secrets) for field, value in message.ListFields()}
    return found if secrets else _withheld(message.DESCRIPTOR.full_name, found)


def short(name: str) -> str:
    """Return a resource's name as people write it: `web` for jails/web, `redis/7.0` for apps/redis/releases/7.0."""
    return "/".join(name.split("/")[1::2])


def unpacked(packed: Any) -> Message:
    """Return what is in an Any."""
    kind = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    found = message_factory.GetMessageClass(kind)()
    packed.Unpack(found)
    return found


def request(kind: Any, values: Mapping[str, Any]) -> Message:
    """Return the message that a descriptor describes, of plain data; None stands for what is not said.

    `ValueError` says which field is none of it, or not what it should be.
    """
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return json_format.ParseDict(_prepared(kind, given), message_factory.GetMessageClass(kind)())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error


def word(enum: Any, number: int) -> str:
    """Return an enum's value as jailctl prints it; '' for what is unspecified."""
    found = enum.values_by_number.get(number)
    name = str(found.name if found is not None else number).removeprefix(_prefix(enum))
    return "" if name == "UNSPECIFIED" else name.lower().replace("_", "-")


def _withheld(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    if kind == "jaild.v1.JailSpec" and _ENVIRONMENT in found:
        return {**found, _ENVIRONMENT: dict.fromkeys(found[_ENVIRONMENT], REDACTED)}
    if kind == "jaild.v1.Comparison" and "spec" in found:
        return {**found, "spec": [_changed(each) for each in found["spec"]]}
    return found


def _changed(change: dict[str, Any]) -> dict[str, Any]:
    if not change["name"].startswith(_ENVIRONMENT):
        return change
    return {**change, **{side: REDACTED for side in ("before", "after") if side in change}}


def _value(field: Any, value: Any, *, secrets: bool) -> Any:
    if isinstance(value, MutableMapping):
        entry = field.message_type.fields_by_name["value"]
        return {str(key): _single(entry, value[key], secrets=secrets) for key in sorted(value)}
    if isinstance(value, MutableSequence):
        return [_single(field, each, secrets=secrets) for each in value]
    return _single(field, value, secrets=secrets)


def _single(field: Any, value: Any, *, secrets: bool) -> Any:
    if isinstance(value, Message):
        return data(value, secrets=secrets)
    if field.enum_type is not None:
        return word(field.enum_type, value)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _prepared(kind: Any, values: Any) -> Any:
    """Return data as protobuf's JSON has it: durations with an `s`, enums by their whole names."""
    if kind.full_name == _DURATION and isinstance(values, int | float) and not isinstance(values, bool):
        return f"{values:.9f}s"
    if kind.full_name in {_DURATION, _TIMESTAMP, _ANY} or not isinstance(values, Mapping):
        return values
    return {name: _field(kind.fields_by_name.get(name), value) for name, value in values.items()}


def _field(field: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_field(field, each) for each in value]
    if field is None or (field.message_type is None and field.enum_type is None):
        return value
    if field.enum_type is not None:
        whole = f"{_prefix(field.enum_type)}{str(value).upper().replace('-', '_')}"
        return whole if whole in field.enum_type.values_by_name else value
    return value if field.message_type.GetOptions().map_entry else _prepared(field.message_type, value)


def _prefix(enum: Any) -> str:
    return f"{_CAMEL.sub('_', enum.name).upper()}_"
