from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.files.mountpoints import make_mount_points
from jaild.model.errors import InvalidArgumentError
from jaild.model.layers.records import Family


def test_an_empty_tree_gets_every_mount_point(tmp_path: Path) -> None:
    made = make_mount_points(tmp_path, Family.FREEBSD)
    expected = ["dev", "etc", "home", "mnt", "proc", "root", "tmp", "usr", "usr/local", "usr/local/etc", "var"]
    assert made == expected
    assert all((tmp_path / path).is_dir() for path in expected)
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "root").stat().st_mode & 0o7777 == 0o750


def test_linux_needs_sys_and_run_too(tmp_path: Path) -> None:
    assert {"sys", "run"} <= set(make_mount_points(tmp_path, Family.LINUX))


def test_a_run_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("var/run")
    assert "run" not in make_mount_points(tmp_path, Family.LINUX)
    assert (tmp_path / "run").is_symlink()


def test_what_is_there_stays_as_it_is_but_tmp_becomes_sticky(tmp_path: Path) -> None:
    make_mount_points(tmp_path, Family.FREEBSD)
    (tmp_path / "root").chmod(0o700)
    (tmp_path / "tmp").chmod(0o755)
    assert make_mount_points(tmp_path, Family.FREEBSD) == ["tmp"]
    assert (tmp_path / "root").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_the_home_symlink_of_freebsd_becomes_a_folder(tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to("usr/home")
    assert "home" in make_mount_points(tmp_path, Family.FREEBSD)
    assert not (tmp_path / "home").is_symlink()
    assert not (tmp_path / "usr/home").exists()


@pytest.mark.parametrize("path", ["tmp", "etc", "usr", "usr/local", "home"])
def test_a_symlink_in_the_way_is_refused_and_nothing_is_made(tmp_path: Path, path: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / path).parent.mkdir(parents=True)
    (root / path).symlink_to(outside)
    before = sorted(root.rglob("*"))
    with pytest.raises(InvalidArgumentError) as caught:
        make_mount_points(root, Family.LINUX)
    assert (caught.value.reason, caught.value.detail["path"]) == ("BASE_LAYOUT", f"/{path}")
    assert sorted(root.rglob("*")) == before
    assert list(outside.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("x")
    with pytest.raises(InvalidArgumentError, match="/var of the base is a file"):
        make_mount_points(tmp_path, Family.FREEBSD)
