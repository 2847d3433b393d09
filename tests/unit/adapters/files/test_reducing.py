"""Some folders of a tree stay, under names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.model.errors import JaildError


def tree(folder: Path) -> Path:
    for path in ("var/db", "root", "usr/home/ann", "usr/bin", "bin"):
        (folder / path).mkdir(parents=True)
        (folder / path / "file").write_text(path)
    (folder / "home").symlink_to("usr/home")
    return folder


async def test_only_what_is_named_stays(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    inode = (folder / "var").stat().st_ino
    kept = {"var": "var", "root": "root", "home": "usr/home"}
    await HostFiles(tmp_path / "spool").reduce(folder, kept)
    assert sorted(path.name for path in folder.iterdir()) == ["home", "root", "var"]
    assert (folder / "home/ann/file").read_text() == "usr/home/ann"
    assert (folder / "var").stat().st_ino == inode  # moved, not copied


@pytest.mark.parametrize("kept", [{"home": "home"}, {"x": "home/ann"}, {"x": "bin/file"}, {"x": "none"}])
async def test_a_link_on_the_way_and_what_is_no_folder_is_an_error_before_anything_is_removed(
    tmp_path: Path, kept: dict[str, str]
) -> None:
    folder = tree(tmp_path / "tree")
    with pytest.raises(JaildError):
        await HostFiles(tmp_path / "spool").reduce(folder, kept)
    assert (folder / "bin/file").exists()
    assert (folder / "usr/home/ann/file").exists()


async def test_what_is_removed_through_a_link_is_the_link(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    (tmp_path / "host").mkdir()
    (tmp_path / "host/file").write_text("the host's")
    (folder / "tmp").symlink_to(tmp_path / "host")
    await HostFiles(tmp_path / "spool").reduce(folder, {"var": "var"})
    assert (tmp_path / "host/file").exists()
