"""A new tree is made with as few changes of attributes as can be: each is a transaction of the file system."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.files import config_tree_update, filecopy
from jaild.adapters.files.copy import copy
from jaild.model.etc.tree import Entry, Kind

ME: Any = {"uid": os.geteuid(), "gid": os.getegid()}
TREE = {
    "d": Entry(kind=Kind.DIRECTORY, mode=0o755, **ME),
    "d/script": Entry(kind=Kind.FILE, mode=0o755, content=b"#!/bin/sh\n", **ME),
    "empty": Entry(kind=Kind.FILE, mode=0o644, **ME),
    "secret": Entry(kind=Kind.FILE, mode=0o600, content=b"x", mtime=10**18, **ME),
    "link": Entry(kind=Kind.LINK, mode=0, target="d", **ME),
}


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What changed an attribute or a name."""
    found: list[str] = []
    for name in ("chown", "fchown", "fchmod", "rename", "ftruncate"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name), found))
    return found


def noting(name: str, original: Any, found: list[str]) -> Any:
    def noted(*args: Any, **more: Any) -> Any:
        found.append(name)
        return original(*args, **more)

    return noted


def modes(folder: Path) -> dict[str, int]:
    return {name: stat.S_IMODE((folder / name).lstat().st_mode) for name, e in TREE.items() if e.kind is not Kind.LINK}


WANTED = {name: entry.mode for name, entry in TREE.items() if entry.kind is not Kind.LINK}


@pytest.fixture(autouse=True)
def usual_umask() -> Any:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_new_tree_of_ones_own_files_is_only_written(tmp_path: Path, changes: list[str]) -> None:
    config_tree_update.update(tmp_path, TREE)
    assert changes == []
    assert modes(tmp_path) == WANTED


def test_what_replaces_a_file_is_renamed_into_its_place(tmp_path: Path, changes: list[str]) -> None:
    config_tree_update.update(tmp_path, TREE)
    config_tree_update.update(tmp_path, {**TREE, "secret": Entry(kind=Kind.FILE, mode=0o600, content=b"y", **ME)})
    assert changes == ["rename"]


def test_a_copy_of_ones_own_files_is_only_written(tmp_path: Path, changes: list[str]) -> None:
    (tmp_path / "from").mkdir(mode=0o755)
    config_tree_update.update(tmp_path / "from", TREE)
    copy(tmp_path / "from", tmp_path / "to", threading.Event())
    assert changes == ["fchmod"]  # of the top, which is made for nobody else
    assert modes(tmp_path / "to") == WANTED


def test_a_umask_changes_nothing_of_what_comes_out(tmp_path: Path) -> None:
    os.umask(0o077)
    config_tree_update.update(tmp_path, TREE)
    assert modes(tmp_path) == WANTED


@pytest.mark.parametrize(
    ("uid", "mode", "made"),
    [
        (os.geteuid(), 0o644, 0o644),
        (os.geteuid(), 0o4755, 0o755),  # setuid comes last
        (os.geteuid(), 0o444, 0o644),
        (os.geteuid(), 0o640, 0o600),  # to a group that it does not have yet
        (os.geteuid(), 0o604, 0o600),
        (os.geteuid() + 1, 0o644, 0o600),
    ],
)
def test_nobody_may_do_more_with_a_file_that_is_being_made_than_when_it_is(uid: int, mode: int, made: int) -> None:
    assert filecopy.first_mode(uid, mode) == made
