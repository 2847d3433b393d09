"""Exports by Salt: files that are whole or not there, and uploads that go on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jaild.salt import streams
from jaild.v1 import copies_pb2

PIECES = (b"one", b"two")


def pieces(*, breaks: bool = False) -> Iterator[Any]:
    for piece in PIECES:
        yield copies_pb2.ExportJailResponse(chunk=piece)
    if breaks:
        raise ConnectionError("broken off")


def test_an_export_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    told = streams.saved(pieces(), tmp_path / "web")
    assert (tmp_path / "web").read_bytes() == b"onetwo"
    assert told == {"size_bytes": 6, "sha256": hashlib.sha256(b"onetwo").hexdigest()}
    with pytest.raises(ConnectionError):
        streams.saved(pieces(breaks=True), tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["web"]


def test_an_import_goes_on_where_the_one_before_was_broken_off(tmp_path: Path) -> None:
    (tmp_path / "web").write_bytes(b"onetwo")
    sent: list[Any] = []
    copies = SimpleNamespace(GetUpload=lambda *_, **__: copies_pb2.Upload(size_bytes=3), ImportJail=sent.extend)
    api: Any = SimpleNamespace(copies=copies)
    streams.brought(api, copies_pb2.ImportJailHeader(jail_id="web"), tmp_path / "web")
    assert (sent[0].header.offset, sent[0].header.size_bytes) == (3, 6)
    assert b"".join(request.chunk for request in sent[1:]) == b"two"
