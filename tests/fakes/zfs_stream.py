"""The fake's send streams: guids in front, what changed, a digest at the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from jaild.adapters.zfs.errors import refusal
from tests.fakes import zfs_trees as trees

_MAGIC = b"FAKEZFS1"
_RESUMED = b"FAKERESM"
_FRONT = 16  # bytes of magic and the header's length
_PIECE = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Header:
    tag: str
    guid: int
    base_guid: int  # 0: a full stream
    created: int
    removed: list[str]
    lock: str = ""  # of a raw stream


def pack(header: Header, new: trees.Tree, base: trees.Tree | None) -> bytes:
    """Return the stream of a snapshot, an increment over `base`: the same bytes each time."""
    old = base or {}
    removed = [path for path in old if path not in new or stat.S_IFMT(old[path].mode) != stat.S_IFMT(new[path].mode)]
    body = msgspec.msgpack.encode(
        [(os.fsencode(path), new[path]) for path in sorted(new) if old.get(path) != new[path]]
    )
    front = json.dumps({**asdict(header), "removed": sorted(removed)}).encode()
    whole = _MAGIC + len(front).to_bytes(8, "big") + front + body
    return whole + hashlib.sha256(whole).digest()


def unpack(data: bytes, subject: str) -> tuple[Header, bytes]:
    """Return header and body; raise `DataLossError` (STREAM_INVALID) for anything but a whole stream."""
    whole, digest = data[:-32], data[-32:]
    if not data.startswith(_MAGIC) or hashlib.sha256(whole).digest() != digest:
        raise refusal("STREAM_INVALID", subject, f"cannot receive into {subject}: invalid or incomplete stream")
    start = len(_MAGIC) + 8
    end = start + int.from_bytes(whole[len(_MAGIC) : start], "big")
    return Header(**json.loads(whole[start:end])), whole[end:]


def apply(header: Header, body: bytes, tree: Path) -> None:
    """Change `tree` (a copy of the base, or an empty directory) into the snapshot."""
    for path in reversed(header.removed):  # what is in a directory before it
        gone = tree / path
        if gone.is_dir() and not gone.is_symlink():
            gone.rmdir()
        else:
            gone.unlink()
    changed = msgspec.msgpack.decode(body, type=list[tuple[bytes, trees.Node]])
    trees.write({os.fsdecode(path): node for path, node in changed}, tree)


def _header(data: bytes) -> Header | None:
    length = int.from_bytes(data[len(_MAGIC) : _FRONT], "big")
    return Header(**json.loads(data[_FRONT : _FRONT + length])) if len(data) >= _FRONT + length > _FRONT else None


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _PIECE):
        await asyncio.sleep(0)
        yield data[start : start + _PIECE]


def token_of(partial: bytes) -> str | None:
    """Return the token to resume after `partial`: how much of which snapshot is there."""
    header = _header(partial)
    return f"1-{len(partial)}-{header.guid}-{header.base_guid}" if header else None


def resumed(stream: Callable[[str, str | None], bytes], bases: Mapping[int, str], snapshot: str, token: str) -> bytes:
    """Return the rest of the stream that `token` tells of; `bases` names the snapshots by guid."""
    _, offset, guid, base_guid = token.split("-")
    if bases.get(int(guid)) != snapshot or (int(base_guid) and int(base_guid) not in bases):
        raise refusal("TOKEN_STALE", snapshot, f"cannot resume send: {snapshot} is no longer the same snapshot")
    return _RESUMED + int(offset).to_bytes(8, "big") + stream(snapshot, bases.get(int(base_guid)))[int(offset) :]


def kept(before: bytes, got: bytes) -> bytes:
    """Return what an interrupted resumable receive has now; nothing if its header had not arrived."""
    whole = before + got[_FRONT:] if got.startswith(_RESUMED) else before or got
    return whole if _header(whole) else b""


def continued(subject: str, before: bytes, got: bytes) -> bytes:
    """Return the whole stream from what was there and what came; raise where the two do not fit."""
    if not got.startswith(_RESUMED):
        if before:
            raise refusal("RECEIVE_INTERRUPTED", subject, f"{subject} contains partially-complete state")
        return got
    if int.from_bytes(got[len(_RESUMED) : _FRONT], "big") != len(before) or not before:
        raise refusal("STREAM_INVALID", subject, f"cannot receive into {subject}: the stream resumes something else")
    return before + got[_FRONT:]
