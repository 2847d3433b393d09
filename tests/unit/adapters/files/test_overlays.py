"""Files put over others, and what one tree has and another has not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.files.host import HostFiles
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import InvalidArgumentError


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    source, destination = tmp_path / "source", tmp_path / "destination"
    for folder in (source / "etc/new", destination / "etc", destination / "bin"):
        folder.mkdir(parents=True)
    (source / "etc/app.conf").write_text("new")
    (source / "etc/link").symlink_to("/elsewhere")
    (source / "etc/app.conf").chmod(0o640)
    (destination / "etc/app.conf").write_text("old")
    (destination / "etc/own.conf").write_text("own")
    (destination / "etc").chmod(0o700)
    return source, destination


async def overlay(source: Path, destination: Path) -> None:
    await BsdtarArchives(ProcessRunner()).add_tree(source, destination)


async def test_new_files_are_added_others_replaced_and_the_rest_stays(trees: tuple[Path, Path]) -> None:
    source, destination = trees
    await overlay(source, destination)
    assert (destination / "etc/app.conf").read_text() == "new"
    assert (destination / "etc/app.conf").stat().st_mode & 0o777 == 0o640
    assert (destination / "etc/own.conf").read_text() == "own"
    assert str((destination / "etc/link").readlink()) == "/elsewhere"
    assert (destination / "etc/new").is_dir()
    assert (destination / "etc").stat().st_mode & 0o777 == 0o700


async def test_another_name_of_a_replaced_file_keeps_its_content(trees: tuple[Path, Path]) -> None:
    source, destination = trees
    os.link(destination / "etc/app.conf", destination / "bin/same")
    await overlay(source, destination)
    assert (destination / "bin/same").read_text() == "old"


async def test_a_symlink_in_the_way_of_a_folder_is_refused_and_nothing_is_written_through_it(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    source, destination = trees
    (tmp_path / "host").mkdir()
    (destination / "etc").rename(destination / "etc.old")
    (destination / "etc").symlink_to(tmp_path / "host")
    with pytest.raises(InvalidArgumentError) as refused:
        await overlay(source, destination)
    assert refused.value.reason == "ARCHIVE_PATH_ESCAPES"
    assert "a symlink is there" in refused.value.message
    assert list((tmp_path / "host").iterdir()) == []


async def test_a_folder_does_not_make_room_for_a_file(trees: tuple[Path, Path]) -> None:
    source, destination = trees
    (destination / "etc/app.conf").unlink()
    (destination / "etc/app.conf").mkdir()
    with pytest.raises(InvalidArgumentError):
        await overlay(source, destination)


async def test_paths_that_are_new_are_told_and_not_what_is_in_a_new_folder(trees: tuple[Path, Path]) -> None:
    before, after = trees
    files = HostFiles(after.parent / "spool")
    (after / "bin/deep/deeper").mkdir(parents=True)
    assert await files.added(before, after, 10) == ("bin", "etc/own.conf")
    assert await files.added(before, after, 1) == ("bin",)


async def test_what_is_appended_comes_after_what_is_there(tmp_path: Path) -> None:
    files, path = HostFiles(tmp_path / "spool"), tmp_path / "log"
    await files.append(path, b"one\n")
    await files.append(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
