from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import (
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    ResourceExhaustedError,
)
from jaild.model.layers.archive import Listing, base_policy, release_policy
from tests.tars import Item, bsdtar, file, folder, hardlink, node, pack, picture, symlink

BASE, RELEASE = base_policy(), release_policy()


@pytest.fixture
def archives() -> BsdtarArchives:
    return BsdtarArchives(ProcessRunner())


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    path = tmp_path / "destination"
    path.mkdir()
    return path


async def test_what_was_checked_is_what_is_unpacked(
    archives: BsdtarArchives, tmp_path: Path, destination: Path
) -> None:
    names: list[str | bytes] = ["a b\nc=#\\x", b"lat\xe9", "naïve", "*[glob]?", "-C", "@x", "d" * 200 + "/" + "e" * 200]
    archive = pack(
        tmp_path / "a.tar.xz",
        folder("./", mode=0o750),
        *(file(name, b"1") for name in names),
        file("bin/su", b"s", mode=0o4755),
        hardlink("bin/su2", "bin/su"),
        symlink("etc", "/outside"),
        form="w:xz",
    )
    extracted = await archives.extract(archive, destination, await archives.verify(archive, RELEASE))
    expected = {os.fsencode(name) if isinstance(name, str) else name for name in names} | {b"bin/su", b"bin/su2"}
    root = os.fsencode(destination) + b"/"
    assert all(os.path.lexists(root + name) for name in expected)
    assert (destination / "bin/su").samefile(destination / "bin/su2")
    assert (destination / "bin/su").stat().st_mode & 0o7777 == 0o4755
    assert destination.stat().st_mode & 0o7777 == 0o750
    assert (destination / "etc").readlink() == Path("/outside")
    assert (extracted.files, extracted.size) == (len(picture(destination)), len(names) + 1)


async def test_a_sparse_file_arrives_whole(archives: BsdtarArchives, tmp_path: Path, destination: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "sparse").open("wb") as out:
        out.seek(4 << 20)
        out.write(b"end")
    archive = tmp_path / "a.tar"
    bsdtar("-c", "-f", archive, "-C", tree, ".")
    await archives.extract(archive, destination, await archives.verify(archive, BASE))
    assert (destination / "sparse").read_bytes() == bytes(4 << 20) + b"end"
    assert (destination / "sparse").stat().st_blocks * 512 < 1 << 20


async def test_a_base_comes_without_what_it_has_in_dev(
    archives: BsdtarArchives, tmp_path: Path, destination: Path
) -> None:
    archive = pack(
        tmp_path / "a.tar",
        folder("dev"),
        node("dev/null"),
        symlink("dev/fd", "/proc/self/fd"),
        file("usr/dev/kept"),
        file("device"),
    )
    extracted = await archives.extract(archive, destination, await archives.verify(archive, BASE))
    assert set(picture(destination)) == {"dev", "usr", "usr/dev", "usr/dev/kept", "device"}
    assert extracted.files == 5
    assert extracted.notes


@pytest.mark.parametrize(
    "items",
    [
        [file("../outside/new")],
        [file("/{outside}/new")],
        [symlink("a", "{outside}"), file("a/new")],
        [symlink("a", "{outside}/kept"), file("a", b"overwritten")],
        [hardlink("a", "../outside/kept"), file("a", b"overwritten")],
        [symlink("s", "{outside}"), hardlink("a", "s/kept")],
        [folder("a"), symlink("a", "../outside"), file("a/new")],
    ],
)
async def test_bsdtar_itself_writes_nothing_outside_even_where_the_check_was_skipped(
    archives: BsdtarArchives, tmp_path: Path, destination: Path, items: list[Item]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    placed = [
        Item(str(item.name).format(outside=outside), item.kind, item.data, item.link.format(outside=outside))
        for item in items
    ]
    archive = pack(tmp_path / "evil.tar", *placed)
    before = picture(outside)
    # Whether bsdtar says so or leaves the entry out silently is its own affair.
    result = await asyncio.gather(
        archives.extract(archive, destination, Listing(policy=RELEASE, files=0, size=0)), return_exceptions=True
    )
    assert all(isinstance(entry, JaildError) or not isinstance(entry, BaseException) for entry in result)
    assert picture(outside) == before
    assert (outside / "kept").stat().st_nlink == 1
    with pytest.raises(InvalidArgumentError):
        await archives.verify(archive, RELEASE)


async def test_unpacking_reports_progress_in_bytes_of_the_archive(
    archives: BsdtarArchives, tmp_path: Path, destination: Path
) -> None:
    archive = pack(tmp_path / "a.tar", file("f", os.urandom(3 << 20)))
    told: list[tuple[int, int]] = []
    listing = await archives.verify(archive, RELEASE)
    await archives.extract(archive, destination, listing, progress=lambda done, total: told.append((done, total)))
    size = archive.stat().st_size
    assert told[-1] == (size, size)
    assert len(told) >= 3
    assert told == sorted(told)


async def test_a_destination_that_holds_something_is_refused(
    archives: BsdtarArchives, tmp_path: Path, destination: Path
) -> None:
    archive = pack(tmp_path / "a.tar", file("f"))
    listing = await archives.verify(archive, RELEASE)
    (destination / "here").touch()
    with pytest.raises(FailedPreconditionError) as caught:
        await archives.extract(archive, destination, listing)
    assert caught.value.reason == "DESTINATION_NOT_EMPTY"
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(NotFoundError):
        await archives.extract(archive, tmp_path / "link", listing)


async def test_an_archive_cut_after_its_check_is_damaged(
    archives: BsdtarArchives, tmp_path: Path, destination: Path
) -> None:
    archive = pack(tmp_path / "a.tar.gz", file("f", os.urandom(1 << 20)), form="w:gz")
    listing = await archives.verify(archive, RELEASE)
    archive.write_bytes(archive.read_bytes()[: 1 << 19])
    with pytest.raises(DataLossError) as caught:
        await archives.extract(archive, destination, listing)
    assert caught.value.reason == "ARCHIVE_TRUNCATED"


async def test_a_tree_is_copied_with_its_links_modes_and_odd_names(
    archives: BsdtarArchives, tmp_path: Path, destination: Path
) -> None:
    source = tmp_path / "source"
    archive = pack(
        tmp_path / "a.tar",
        folder("./", mode=0o711),
        file("bin/vi", b"vi", mode=0o4511),
        hardlink("bin/ex", "bin/vi"),
        symlink("bin/sh", "/bin/dash"),
        symlink("bin/up", "../../../etc"),
        file(b"lat\xe9\n", b"1"),
        folder("dev"),
        file("dev/left", b"out"),
    )
    source.mkdir()
    bsdtar("-x", "-p", "-f", archive, "-C", source)
    listing = await archives.verify_tree(source, BASE)
    assert listing.notes == (
        "left out 1 entry below dev: a jail's /dev is mounted",
        "1 symlink above the root, in a jail to it: 'bin/up'",
    )
    copied = await archives.copy_tree(source, destination, listing)
    expected = picture(source)
    del expected["dev/left"]
    assert picture(destination) == expected
    assert copied.files == len(expected)
    assert (destination / "bin/vi").samefile(destination / "bin/ex")
    assert destination.stat().st_mode & 0o7777 == 0o711
    assert (destination / "bin/vi").stat().st_mtime == 1_000_000


async def test_a_tree_with_special_files_is_refused(archives: BsdtarArchives, tmp_path: Path) -> None:
    fifo, bound = tmp_path / "fifo", tmp_path / "bound"
    for path in (fifo, bound):
        path.mkdir()
    os.mkfifo(fifo / "x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bound / "x"))
    reasons = []
    for path in (fifo, bound):
        with pytest.raises(InvalidArgumentError) as caught:
            await archives.verify_tree(path, BASE)
        reasons.append(caught.value.reason)
    assert reasons == ["ARCHIVE_DEVICE_NODE", "ARCHIVE_DEVICE_NODE"]
    with pytest.raises(NotFoundError):
        await archives.verify_tree(tmp_path / "none", BASE)


@contextmanager
def _mounted(where: Path, size: str) -> Iterator[Path]:
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=True)


@pytest.mark.real("bsdtar", "mount")
async def test_a_mount_inside_a_tree_is_not_crossed(
    archives: BsdtarArchives, tmp_path: Path, destination: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "kept").write_text("kept")
    with _mounted(source / "mnt", "1m") as mounted:
        (mounted / "foreign").write_text("x")
        listing = await archives.verify_tree(source, BASE)
        await archives.copy_tree(source, destination, listing)
    assert listing.notes == ("left out 'mnt': another file system is mounted there",)
    assert listing.files == 1
    assert "mnt/foreign" not in picture(destination)


@pytest.mark.real("bsdtar", "mount")
async def test_a_full_file_system_is_told_as_such(archives: BsdtarArchives, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", file("f", os.urandom(4 << 20)))
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "f").write_bytes(os.urandom(4 << 20))
    listing = await archives.verify(archive, RELEASE)
    with _mounted(tmp_path / "small", "2m") as small:
        for name in ("a", "b", "c"):
            (small / name).mkdir()
        with pytest.raises(ResourceExhaustedError) as extracting:
            await archives.extract(archive, small / "a", listing)
        with pytest.raises(ResourceExhaustedError) as copying:
            await archives.copy_tree(tree, small / "b", await archives.verify_tree(tree, RELEASE))
        with pytest.raises(ResourceExhaustedError) as differing:
            await archives.extract_difference(archive, small / "c", listing, staging=tmp_path / "staging")
    assert {caught.value.reason for caught in (extracting, copying, differing)} == {"NO_SPACE"}
    assert not (tmp_path / "staging").exists()


@pytest.mark.real("bsdtar")
async def test_owners_are_kept_by_number(archives: BsdtarArchives, tmp_path: Path, destination: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as out:
        info = tarfile.TarInfo("f")
        info.uid, info.gid, info.uname, info.gname = 4321, 8765, "root", "root"
        out.addfile(info)
    await archives.extract(archive, destination, await archives.verify(archive, BASE))
    status = (destination / "f").stat()
    assert (status.st_uid, status.st_gid) == (4321, 8765)
