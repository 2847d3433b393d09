"""Chunks of streams as they are on the wire: protobuf's own classes copy each byte twice at either end.

A message whose `oneof part` has the field `chunk`, and nothing else, is that field: tag, length, bytes
(https://protobuf.dev/programming-guides/encoding/). Whatever else comes is left to protobuf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

_FIELD = "chunk"
_BYTES = 2  # wire type LEN
_LONGEST = 5  # bytes of a length
_MORE = 0x80  # in each byte of a varint but the last


class Chunk:
    """Stands for a message that has a chunk, and nothing else."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    def WhichOneof(self, _: str) -> str:  # noqa: N802  # protobuf's name
        """Say so, as the message would."""
        return _FIELD


def written(kind: type[Message], chunk: bytes) -> bytes:
    """Return a message of this kind with this chunk, serialized."""
    return b"".join((_tag(kind), _varint(len(chunk)), chunk))


def reader(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return `parse`, a message's `FromString`, which makes a `Chunk` of messages that are one."""
    kind = getattr(parse, "__self__", None)
    if kind is None or _FIELD not in kind.DESCRIPTOR.fields_by_name:
        return parse
    tag = _tag(kind)

    def read(message: bytes) -> Any:
        start = _start(message, tag)
        return Chunk(message[start:]) if start else parse(message)

    return read


def _start(message: bytes, tag: bytes) -> int:
    """Return where the content of a message that is a chunk begins; 0 for another message."""
    for start in range(len(tag) + 1, min(len(tag) + _LONGEST, len(message)) + 1):
        prefix = tag + _varint(len(message) - start)
        if len(prefix) == start and message.startswith(prefix):
            return start
    return 0


def _tag(kind: Any) -> bytes:
    return _varint(kind.DESCRIPTOR.fields_by_name[_FIELD].number << 3 | _BYTES)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= _MORE:
        found.append(number % _MORE | _MORE)
        number //= _MORE
    return bytes((*found, number))
