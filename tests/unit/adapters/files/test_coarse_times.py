from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jaild.adapters.files import fingerprint


@pytest.fixture
def by_the_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose times do not tell two changes of one moment apart."""
    monkeypatch.setattr(fingerprint, "line", lambda path, _: path + b"\n")


@pytest.mark.usefixtures("by_the_minute")
def test_a_change_just_now_is_seen_though_size_and_times_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("28\n")
    before = fingerprint.state(tmp_path)
    assert fingerprint.state(tmp_path, before) == before
    (tmp_path / "counter").write_text("29\n")
    assert fingerprint.state(tmp_path, before) != before


@pytest.mark.usefixtures("by_the_minute")
def test_a_link_replaced_just_now_is_seen(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("a")
    before = fingerprint.state(tmp_path)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")
    assert fingerprint.state(tmp_path, before) != before


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = fingerprint.state(tmp_path)
    assert fingerprint.state(tmp_path, before) == before


def test_what_was_fresh_and_grew_old_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counter").write_text("28\n")
    before = fingerprint.state(tmp_path)
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert fingerprint.state(tmp_path, before) == before


@pytest.mark.usefixtures("by_the_minute")
def test_what_was_fresh_and_grew_old_is_still_told_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counter").write_text("28\n")
    before = fingerprint.state(tmp_path)
    (tmp_path / "counter").write_text("29\n")
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert fingerprint.state(tmp_path, before) != before
