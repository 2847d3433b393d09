"""How a tree differs from one that it was made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.model import bounds
from jaild.model.differences import Differences


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Two trees that are the same."""
    found = tmp_path / "before", tmp_path / "after"
    for tree in found:
        (tree / "lib/inner").mkdir(parents=True)
        (tree / "lib/inner/file").write_text("same")
        (tree / "link").symlink_to("lib")
        (tree / "empty").mkdir()
    return found


async def differences(trees: tuple[Path, Path], **how: object) -> Differences:
    return await HostFiles(trees[0].parent / "spool").differences(*trees, **how)  # type: ignore[arg-type]


async def test_trees_that_are_the_same_do_not_differ(trees: tuple[Path, Path]) -> None:
    assert not await differences(trees)


async def test_content_owner_mode_kind_and_links_count(trees: tuple[Path, Path]) -> None:
    after = trees[1]
    for name in ("content", "mode", "kind", "size"):
        for tree in trees:
            (tree / name).write_text("a")
    (after / "content").write_text("b")
    (after / "size").write_text("aa")
    (after / "mode").chmod(0o600)
    (after / "kind").unlink()
    (after / "kind").mkdir()
    (after / "link").unlink()
    (after / "link").symlink_to("empty")
    assert (await differences(trees)).changed == ("content", "kind", "link", "mode", "size")


async def test_of_a_folder_that_only_one_has_the_folder_is_listed(trees: tuple[Path, Path]) -> None:
    before, after = trees
    (after / "new/inner").mkdir(parents=True)
    (after / "new/inner/file").write_text("x")
    (before / "old").mkdir()
    (before / "old/file").write_text("x")
    (before / "mount-point").mkdir()
    (after / "empty/file").write_text("x")
    assert await differences(trees) == Differences(added=("new",), removed=("old",), filled=("empty",))


async def test_what_is_left_out_and_what_leads_into_the_userland_is_not_compared(trees: tuple[Path, Path]) -> None:
    after = trees[1]
    (after / "lib/inner/file").unlink()
    (after / "lib/inner").rmdir()
    (after / "lib/inner").symlink_to("/.bastille/lib/inner")
    (after / "etc").mkdir()
    assert not await differences(trees, without=("etc",), links="/.bastille/")
    assert (await differences(trees, without=("etc",))).changed == ("lib/inner",)


async def test_no_link_is_followed(trees: tuple[Path, Path], tmp_path: Path) -> None:
    after = trees[1]
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("x")
    (after / "empty").rmdir()
    (after / "empty").symlink_to(tmp_path / "host")
    assert await differences(trees) == Differences(changed=("empty",))


async def test_a_list_has_an_end(trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DIFFERENCES", 2)
    for name in "abcde":
        (trees[1] / name).write_text(name)
    found = await differences(trees)
    assert (found.added, found.more) == (("a", "b"), 3)
