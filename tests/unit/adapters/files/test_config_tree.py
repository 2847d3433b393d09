from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.files import config_tree
from jaild.model import bounds
from jaild.model.errors import (
    AbortedError,
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    ResourceExhaustedError,
)
from jaild.model.etc.tree import Entry, Kind

ME: dict[str, Any] = {"uid": os.getuid(), "gid": os.getgid()}
FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o750, mtime=1_600_000_000_000_000_000, **ME)
TREE = {
    "empty": Entry(kind=Kind.FILE, mode=0o600, mtime=1, **ME),
    "rc.d": FOLDER,
    "rc.d/deep": FOLDER,
    "rc.d/deep/suid": Entry(
        kind=Kind.FILE, mode=0o4755, content=b"\0\xff" * 70000, mtime=1_700_000_000_123_456_789, **ME
    ),
    "rc.d/link": Entry(kind=Kind.LINK, mode=0, target="../nowhere", mtime=5, **ME),
}


def test_what_is_written_reads_back_with_modes_owners_and_times(tmp_path: Path) -> None:
    config_tree.write(TREE, tmp_path / "etc")
    assert config_tree.read(tmp_path / "etc") == TREE


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_owners_are_kept(tmp_path: Path) -> None:
    tree = {name: Entry(kind=Kind.FILE, mode=0o640, uid=uid, gid=4242, mtime=9) for name, uid in (("a", 17), ("b", 0))}
    tree["c"] = Entry(kind=Kind.LINK, mode=0, uid=17, gid=17, target="a", mtime=9)
    config_tree.write(tree, tmp_path / "etc")
    assert config_tree.read(tmp_path / "etc") == tree


def test_a_file_made_by_a_merge_gets_the_time_of_its_writing(tmp_path: Path) -> None:
    config_tree.write({"f": Entry(kind=Kind.FILE, **ME)}, tmp_path / "etc")
    assert config_tree.read(tmp_path / "etc")["f"].mtime > 1_700_000_000_000_000_000


def test_a_name_that_is_no_utf_8_survives(tmp_path: Path) -> None:
    tree = {os.fsdecode(b"caf\xe9"): Entry(kind=Kind.FILE, mtime=1, **ME)}
    config_tree.write(tree, tmp_path / "etc")
    assert config_tree.read(tmp_path / "etc") == tree
    assert config_tree.fingerprint(tmp_path / "etc") == config_tree.digest(tree)


def test_a_link_out_of_the_tree_is_read_as_a_link_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("x")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/out").symlink_to(tmp_path / "host")
    (tmp_path / "etc/file").symlink_to("../host/secret")
    tree = config_tree.read(tmp_path / "etc")
    assert {path: entry.target for path, entry in tree.items()} == {
        "out": str(tmp_path / "host"),
        "file": "../host/secret",
    }
    assert {entry.content for entry in tree.values()} == {b""}


def test_a_tree_that_is_itself_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "etc").symlink_to("real")
    with pytest.raises(OSError, match="etc"):
        config_tree.read(tmp_path / "etc")
    with pytest.raises(OSError, match="etc"):
        config_tree.write(TREE, tmp_path / "etc")
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "/x", "a/../x", "", ".", "..", "gone/x", "link/x", "file/x", "a\0b"])
def test_a_path_that_leads_out_or_through_a_link_is_refused_before_anything_is_written(
    tmp_path: Path, path: str
) -> None:
    tree = {
        path: Entry(kind=Kind.FILE, **ME),
        "link": Entry(kind=Kind.LINK, target="/", **ME),
        "file": Entry(kind=Kind.FILE, **ME),
        "a": FOLDER,
    }
    with pytest.raises(InvalidArgumentError) as caught:
        config_tree.write(tree, tmp_path / "etc")
    assert caught.value.reason == "INVALID_TREE"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_any_other_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    config_tree.write(TREE, tmp_path / "etc")
    with pytest.raises(AlreadyExistsError) as caught:
        config_tree.write(TREE, tmp_path / "etc")
    assert caught.value.reason == "TREE_EXISTS"


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FailedPreconditionError) as caught:
        config_tree.read(tmp_path)
    assert (caught.value.reason, caught.value.detail["path"]) == ("UNSUPPORTED_FILE", "pipe")


def test_a_tree_beyond_the_limit_is_refused_and_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(config_tree.LIMIT + 1)
    with pytest.raises(ResourceExhaustedError) as caught:
        config_tree.read(tmp_path)
    assert caught.value.reason == "TREE_TOO_LARGE"


@pytest.mark.parametrize("becomes", ["nothing", "a link"])
def test_a_file_that_changes_while_it_is_read_is_told_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    (tmp_path / "etc").mkdir()
    victim = tmp_path / "etc/f"
    victim.write_text("y")
    open_really = os.open

    def swap(path: str, *arguments: int, dir_fd: int | None = None) -> int:
        if path == "f":  # just before it is opened, after it was seen to be a file
            victim.unlink()
            if becomes == "a link":
                victim.symlink_to(secret)
        return open_really(path, *arguments, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(AbortedError) as caught:
        config_tree.read(tmp_path / "etc")
    assert caught.value.reason == "TREE_CHANGED"


def test_the_fingerprint_changes_with_path_mode_owner_target_kind_and_content_and_not_with_time(tmp_path: Path) -> None:
    file = Entry(kind=Kind.FILE, mode=0o644, content=b"ab")
    variants = [
        {},
        {"f": file},
        {"g": file},
        {"f": Entry(kind=Kind.FILE, mode=0o600, content=b"ab")},
        {"f": Entry(kind=Kind.FILE, uid=1, content=b"ab")},
        {"f": Entry(kind=Kind.FILE, gid=1, content=b"ab")},
        {"f": Entry(kind=Kind.FILE, content=b"ba")},
        {"f": Entry(kind=Kind.LINK, target="ab")},
        {"f": Entry(kind=Kind.LINK, target="ba")},
        {"f": Entry(kind=Kind.FILE, content=b"a"), "b": Entry(kind=Kind.FILE)},
    ]
    assert len({config_tree.digest(tree) for tree in variants}) == len(variants)
    assert config_tree.digest({"f": Entry(kind=Kind.FILE, content=b"ab", mtime=7)}) == config_tree.digest({"f": file})
    config_tree.write(TREE, tmp_path / "etc")
    before = config_tree.fingerprint(tmp_path / "etc")
    os.utime(tmp_path / "etc/empty")
    assert config_tree.fingerprint(tmp_path / "etc") == before
    (tmp_path / "etc/empty").write_text("x")
    assert config_tree.fingerprint(tmp_path / "etc") != before


def test_a_tree_of_paths_without_content_is_not_read_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (tmp_path / f"empty{number}").touch()
    monkeypatch.setattr(config_tree, "LIMIT", 10 * bounds.TREE_ENTRY)
    with pytest.raises(ResourceExhaustedError) as caught:
        config_tree.read(tmp_path)
    assert caught.value.reason == "TREE_TOO_LARGE"


def test_folders_in_folders_are_not_followed_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TREE_DEPTH", 3)
    (tmp_path / "1/2/3").mkdir(parents=True)
    assert "1/2/3" in config_tree.read(tmp_path)
    (tmp_path / "1/2/3/4").mkdir()
    with pytest.raises(ResourceExhaustedError, match="deeper than 3 folders"):
        config_tree.read(tmp_path)
