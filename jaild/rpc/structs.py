"""Messages and msgspec structs whose field names are equal on purpose, turned into each other field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import Message

from jaild.model.errors import InvalidArgumentError

_M = TypeVar("_M", bound=Message)
_T = TypeVar("_T")


def struct_of(message: Message, wanted: type[_T], *, reason: str = "INVALID_PEER_MESSAGE", source: str = "") -> _T:
    """Return `message` as a struct, checked as strictly as one that came as YAML.

    Raises `InvalidArgumentError` with `reason`, by default that of what another host said; `source` says in it what
    was read (`spec`, `manifest`), by default the message's name.
    """
    try:
        return msgspec.convert(plain(message), wanted)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        source = source or message.DESCRIPTOR.name
        raise InvalidArgumentError(
            reason,
            f"{source}: {error}",
            hint="correct it and send it again",
            resource=source,
            detail={"path": path.strip("`") or "$", "message": text},
        ) from error


def message_of(struct: msgspec.Struct, wanted: type[_M], *, without: str = "") -> _M:
    """Return a struct as a message. A field that the message lacks is a defect and raises `ValueError`.

    `without` names one that stays behind, wherever it stands: messages between hosts have no room for the `evidence`
    of a problem.
    """
    message = wanted()
    _fill(message, msgspec.to_builtins(struct), without)
    return message


def plain(message: Message) -> dict[str, Any]:
    """Return a message's content by field name.

    What cannot be told from absent (an empty text, list or map) is left out, so that the struct's default holds;
    numbers and booleans are kept, since 0 is a number like others (gid 0).
    """
    content: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.has_presence:
            if message.HasField(field.name):
                content[field.name] = _plain_value(value)
        elif isinstance(value, (bool, int, float)) or value:
            content[field.name] = _plain_value(value, is_map=_is_map(field))
    return content


def _plain_value(value: Any, *, is_map: bool = False) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, (bool, int, float, str, bytes)):
        return value
    if is_map:
        return {key: _plain_value(value[key]) for key in value}
    return [_plain_value(item) for item in value]


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _fill(message: Message, content: Mapping[str, Any], without: str) -> None:
    for name, value in content.items():
        if name == without:
            continue
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise ValueError(f"{message.DESCRIPTOR.full_name} has no field {name!r}")
        if value is None:
            continue
        if _is_map(field):
            _fill_map(getattr(message, name), value, without)
        elif isinstance(value, (list, tuple)):
            _fill_list(getattr(message, name), value, without)
        elif isinstance(value, Mapping):
            below = getattr(message, name)
            below.SetInParent()
            _fill(below, value, without)
        else:
            setattr(message, name, value)


def _fill_map(container: Any, content: Mapping[str, Any], without: str) -> None:
    for key, item in content.items():
        if isinstance(item, Mapping):
            _fill(container[key], item, without)
        else:
            container[key] = item


def _fill_list(container: Any, content: Sequence[Any], without: str) -> None:
    for item in content:
        if isinstance(item, Mapping):
            _fill(container.add(), item, without)
        else:
            container.append(item)
