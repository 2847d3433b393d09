from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.files import sync as treesync
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import CancelledError
from jaild.model.layers.archive import release_policy
from jaild.ports.archives import Difference
from tests.tars import Item, bsdtar, file, folder, hardlink, pack, picture, symlink

RELEASE = release_policy()
PARENT = [
    folder("./"),
    file("same", b"s" * 100),
    file("grows", b"1"),
    file("changed", b"old"),
    file("mode", b"m"),
    file("gone/deep/x", b"x"),
    file("was-file", b"x"),
    folder("was-folder"),
    file("was-folder/x", b"x"),
    symlink("was-link", "same"),
    symlink("link", "same"),
    symlink("moved", "same"),
    file("twin-a", b"twins"),
    hardlink("twin-b", "twin-a"),
    file("single", b"single"),
]
CHILD = [
    folder("./", mode=0o711),
    file("same", b"s" * 100),
    file("grows", b"12"),
    file("changed", b"new"),
    file("mode", b"m", mode=0o4755),
    folder("was-file"),
    file("was-file/x", b"x"),
    file("was-folder", b"now a file"),
    file("was-link", b"now a file"),
    symlink("link", "same"),
    symlink("moved", "changed"),
    file("twin-a", b"twins"),
    file("twin-b", b"twins", mode=0o600),
    file("single", b"single"),
    hardlink("double", "single"),
    file(b"odd\n\xe9", b"odd"),
]


class Trees:
    """A destination with the parent's files beside a sentinel, and the way to move it on."""

    def __init__(self, folder_: Path) -> None:
        self.archives = BsdtarArchives(ProcessRunner())
        self.folder = folder_
        self.destination = folder_ / "destination"

    def have(self, *items: Item) -> None:
        self.destination.mkdir()
        bsdtar("-x", "-p", "-f", pack(self.folder / "parent.tar", *items), "-C", self.destination)

    async def become(self, *items: Item) -> Difference:
        archive = pack(self.folder / "child.tar", *items)
        listing = await self.archives.verify(archive, RELEASE)
        return await self.archives.extract_difference(
            archive, self.destination, listing, staging=self.folder / "staging"
        )

    def expected(self) -> dict[str, tuple[object, ...]]:
        wanted = self.folder / "wanted"
        wanted.mkdir()
        bsdtar("-x", "-p", "-f", self.folder / "child.tar", "-C", wanted)
        return picture(wanted)


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


async def test_the_destination_becomes_what_the_archive_holds(trees: Trees) -> None:
    trees.have(*PARENT)
    done = await trees.become(*CHILD)
    assert picture(trees.destination) == trees.expected()
    assert trees.destination.stat().st_mode & 0o7777 == 0o711
    assert (trees.destination / "single").samefile(trees.destination / "double")
    assert not (trees.destination / "twin-a").samefile(trees.destination / "twin-b")
    assert (done.files, done.size) == (len(picture(trees.destination)), sum(len(item.data) for item in CHILD))
    assert not (trees.folder / "staging").exists()


async def test_equal_files_are_not_rewritten_and_only_new_bytes_count(trees: Trees) -> None:
    trees.have(file("same", b"s" * 1000), file("changed", b"old"), symlink("link", "same"))
    before = {name: (trees.destination / name).lstat() for name in ("same", "link")}
    done = await trees.become(file("same", b"s" * 1000), file("changed", b"newer"), symlink("link", "same"))
    for name, status in before.items():
        after = (trees.destination / name).lstat()
        assert (after.st_ino, after.st_ctime_ns) == (status.st_ino, status.st_ctime_ns)
    assert (done.added, done.unchanged, done.written, done.adjusted, done.removed) == (5, 2, 1, 0, 0)


async def test_a_new_time_is_taken_over_without_rewriting(trees: Trees) -> None:
    trees.have(file("f", b"same"))
    inode = (trees.destination / "f").stat().st_ino
    done = await trees.become(replace(file("f", b"same"), mtime=2_000_000))
    status = (trees.destination / "f").stat()
    assert (status.st_ino, status.st_mtime, done.added, done.adjusted) == (inode, 2_000_000, 0, 1)


async def test_doing_it_again_changes_nothing(trees: Trees) -> None:
    trees.have(*PARENT)
    await trees.become(*CHILD)
    done = await trees.become(*CHILD)
    assert (done.added, done.written, done.adjusted, done.removed) == (0, 0, 0, 0)


async def test_a_change_to_one_of_two_names_does_not_reach_the_other(trees: Trees) -> None:
    trees.have(file("a", b"both"), hardlink("b", "a"))
    await trees.become(file("a", b"both", mode=0o600), file("b", b"both", mode=0o644))
    assert (trees.destination / "a").stat().st_mode & 0o7777 == 0o600
    assert (trees.destination / "b").stat().st_mode & 0o7777 == 0o644


async def test_two_files_become_two_names_of_one(trees: Trees) -> None:
    trees.have(file("a", b"both"), file("b", b"both"))
    done = await trees.become(file("a", b"both"), hardlink("b", "a"))
    assert (trees.destination / "a").samefile(trees.destination / "b")
    assert (done.added, done.unchanged, done.written) == (0, 1, 1)


async def test_a_symlink_of_the_destination_is_replaced_and_never_followed(trees: Trees) -> None:
    outside = trees.folder / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text("kept")
    (outside / "folder/x").write_text("kept")
    before = picture(outside)
    trees.have(symlink("folder", str(outside / "folder")), symlink("file", str(outside / "file")), symlink("gone", "/"))
    await trees.become(file("folder/x", b"new"), file("file", b"new", mode=0o600))
    assert picture(outside) == before
    assert picture(trees.destination) == trees.expected()


async def test_an_archive_may_hold_a_file_named_like_our_scratch_file(trees: Trees) -> None:
    trees.have(file(".jaild-sync.0", b"parent"), file("x", b"1"))
    await trees.become(file(".jaild-sync.0", b"child"), file(".jaild-sync.1", b"child"), file("x", b"2"))
    assert picture(trees.destination) == trees.expected()


async def test_leftovers_of_a_crash_in_the_staging_folder_do_not_get_in(trees: Trees) -> None:
    trees.have(file("a", b"1"))
    (trees.folder / "staging/tree").mkdir(parents=True)
    (trees.folder / "staging/tree/leftover").touch()
    await trees.become(file("a", b"2"))
    assert set(picture(trees.destination)) == {"a"}


async def test_holes_stay_holes(trees: Trees) -> None:
    trees.have(file("a", b"1"))
    sparse = trees.folder / "sparse"
    sparse.mkdir()
    with (sparse / "a").open("wb") as out:
        out.truncate(8 << 20)
        out.write(b"start")
    treesync.sync(sparse, trees.destination, threading.Event())
    assert (trees.destination / "a").read_bytes() == (sparse / "a").read_bytes()
    assert (trees.destination / "a").stat().st_blocks * 512 <= 2 << 20


def test_a_stopped_run_ends_and_a_second_one_completes_it(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    for path in (source, destination):
        path.mkdir()
    (source / "a").write_text("a")
    (destination / "old").write_text("old")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(CancelledError):
        treesync.sync(source, destination, stopped)
    treesync.sync(source, destination, threading.Event())
    assert picture(destination) == picture(source)


@pytest.mark.real("bsdtar")
async def test_a_new_owner_is_taken_over_without_rewriting(trees: Trees) -> None:
    trees.have(file("f", b"same"), file("su", b"same", mode=0o4755))
    inode = (trees.destination / "su").stat().st_ino
    done = await trees.become(file("f", b"same", uid=4321, gid=8765), file("su", b"same", mode=0o4755, uid=4321))
    status = (trees.destination / "su").stat()
    assert (status.st_ino, status.st_uid, status.st_mode & 0o7777) == (inode, 4321, 0o4755)
    assert (done.added, done.adjusted) == (0, 2)
