"""Whose the files of trees are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaild.adapters.files import owners as fileowners
from jaild.adapters.files.host import HostFiles
from jaild.model.etc.renumber import Kinds, Owned, Owners
from jaild.trees.openat import DEEPEST


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    return root


async def test_files_and_folders_are_counted_and_links_are_not_followed(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    root = tree(tmp_path / "root", "a", "d/b")
    (root / "link").symlink_to(outside)
    found = await files.owners([root, tmp_path / "missing"])
    assert found.of(Kinds.USER, os.getuid()) == Owned(count=3)
    assert found.of(Kinds.GROUP, os.getgid()).count == 3
    assert found.whole


async def test_some_names_at_the_top_of_each_are_left_out(files: HostFiles, tmp_path: Path) -> None:
    roots = [tree(tmp_path / name, "etc/x", "usr/etc/y") for name in ("one", "two")]
    assert (await files.owners(roots, without=["etc"])).of(Kinds.USER, os.getuid()).count == 6


@pytest.mark.real("root")
async def test_owner_and_group_are_counted_apart(files: HostFiles, tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "a", "b", "c")
    for name, uid, gid in (("a", 100, 101), ("b", 100, 102), ("c", 103, 101)):
        os.chown(root / name, uid, gid)
    found = await files.owners([root])
    assert {uid: owned.count for uid, owned in found.users.items()} == {100: 2, 103: 1}
    assert {gid: owned.count for gid, owned in found.groups.items()} == {101: 2, 102: 1}


@pytest.mark.parametrize(
    ("mode", "by_user", "by_group"),
    [
        (0o644, False, False),
        (0o755, False, False),
        (0o775, False, False),  # that somebody else may write says nothing where nobody can
        (0o4755, True, False),
        (0o2755, False, True),
        (0o2644, False, False),  # no program
        (0o4754, True, True),  # Debian's dbus-daemon-launch-helper, root:messagebus
        (0o640, True, True),
        (0o600, True, False),
        (0o604, False, False),
    ],
)
async def test_those_are_told_that_need_their_owner_or_group(
    files: HostFiles, tmp_path: Path, mode: int, *, by_user: bool, by_group: bool
) -> None:
    root = tree(tmp_path / "root", "a")
    (root / "a").chmod(mode)
    found = await files.owners([root])
    assert found.of(Kinds.USER, os.getuid()).some == ("a",) * by_user
    assert found.of(Kinds.GROUP, os.getgid()).needing == by_group


def test_beyond_the_limit_nothing_is_looked_at_and_that_is_said(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", *(f"d{n}/f{m}" for n in range(5) for m in range(5)))
    assert fileowners.owners([root], (), 30).whole
    found = fileowners.owners([root], (), 29)
    assert (found.of(Kinds.USER, os.getuid()).count, found.whole) == (29, False)


def test_folders_without_end_end(tmp_path: Path) -> None:
    deep = tree(tmp_path / "root", "/".join(["d"] * DEEPEST) + "/f")
    found = fileowners.owners([deep], (), 1000)
    assert (found.of(Kinds.USER, os.getuid()).count, found.whole) == (DEEPEST, False)


def test_what_goes_away_meanwhile_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "root", "a", "b")
    monkeypatch.setattr(fileowners, "names_in", lambda _: ["a", "b", "gone"])
    assert fileowners.owners([root], (), 1000) == Owners(
        users={os.getuid(): Owned(count=2)}, groups={os.getgid(): Owned(count=2)}
    )
