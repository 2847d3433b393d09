"""Files on their way out of a jail or into one: a tree as records, in order (proto/jaild/v1/files.proto)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from jaild.model.errors import InvalidArgumentError

BLOCK = 128 << 10  # bytes of one `Data`: ZFS's usual recordsize
LARGEST = 1 << 20  # bytes that one may have
_BATCH = 512 << 10  # bytes of content, and of entries as if each had _ENTRY, that go in one message
_ENTRY = 512
PERMISSIONS = 0o777
ALL_BITS = 0o7777  # with setuid, setgid, sticky


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"  # another name of a file of the same tree
    PIPE = "pipe"
    SKIPPED = "skipped"  # not copied: a socket belongs to the process that made it, and no device is carried


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something with a name. `path` is relative to what is copied, which itself has an empty one."""

    path: bytes
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0  # nanoseconds since the epoch
    size: int = 0  # of a file; 0 also where that is not known
    target: bytes = b""  # of a symlink; of a hardlink, the other path


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of the file before it. What none brings is a hole."""

    offset: int
    content: bytes


Record: TypeAlias = Entry | Data


def steps_of(path: bytes) -> tuple[bytes, ...]:
    """Return the names on the way to an entry. `InvalidArgumentError` (FILES_INVALID) if it leads elsewhere."""
    steps = tuple(path.split(b"/")) if path else ()
    if b"\0" in path or any(step in {b"", b".", b".."} for step in steps):
        raise invalid(f"{path!r} is no path below it")
    return steps


def batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield the records in lists of about half a MiB: each is a message."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.content) if isinstance(record, Data) else _ENTRY
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def invalid(problem: str) -> InvalidArgumentError:
    """Return the error for records that are no tree."""
    return InvalidArgumentError(
        "FILES_INVALID",
        f"the stream of files makes no sense: {problem}",
        hint="send a folder before what is in it, a file before its bytes, and relative paths without `..`",
    )
