"""How far events were handed on, over restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.salt.cursor import Cursor, tag
from jaild.v1 import events_pb2


def test_a_cursor_is_kept_and_is_of_one_host(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "events.json")
    assert cursor.read("one") is None
    cursor.write("one", 7)
    assert Cursor(tmp_path / "events.json").read("one") == 7
    assert cursor.read("two") is None, "another pool counts anew"


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"host": "one"}', '{"host": "one", "sequence": null}'])
def test_a_torn_file_is_no_cursor(tmp_path: Path, torn: str) -> None:
    (tmp_path / "events.json").write_text(torn)
    assert Cursor(tmp_path / "events.json").read("one") is None


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("jails/web", "jaild/edge-7/web/jail.started"),
        ("jails/web/generations/3", "jaild/edge-7/web/jail.started"),
        ("bases/debian-12", "jaild/edge-7/-/jail.started"),
        ("host", "jaild/edge-7/-/jail.started"),
    ],
)
def test_a_tag_has_minion_jail_and_kind(target: str, wanted: str) -> None:
    assert tag("edge-7", events_pb2.Event(target=target, kind="jail.started")) == wanted
