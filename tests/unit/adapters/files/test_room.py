"""What uploads may take of the file system that the daemon's own memory is on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild import config
from jaild.adapters.files.host import HostFiles
from jaild.adapters.files.room import Room, Uploads
from jaild.model.errors import InvalidArgumentError, JaildError, ResourceExhaustedError


class Disk:
    """A file system of which a test says what is free."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, _folder: Path) -> int:
        return self.free


def room(disk: Disk, *, each: int = 100, total: int = 150, reserve: int = 1000) -> Room:
    return Room(Path("/state"), Uploads(each=str(each), total=str(total), reserve=str(reserve)), disk)


def reason(caught: pytest.ExceptionInfo[JaildError]) -> str:
    return caught.value.reason


def test_an_upload_has_a_size_whether_it_announced_it_or_not() -> None:
    found = room(Disk(9999))
    with pytest.raises(InvalidArgumentError) as caught:
        found.begin(101)
    assert reason(caught) == "ARCHIVE_TOO_LARGE"
    place = found.begin(0)
    place.write(100)
    with pytest.raises(InvalidArgumentError) as caught:
        place.write(1)
    assert reason(caught) == "ARCHIVE_TOO_LARGE"


def test_all_uploads_together_have_a_size_and_one_that_is_gone_counts_no_more() -> None:
    found = room(Disk(9999))
    first, second = found.begin(100), found.begin(0)
    second.write(50)
    with pytest.raises(ResourceExhaustedError) as caught:
        second.write(1)
    assert reason(caught) == "UPLOADS_FULL"
    first.write(100)  # it was counted when it was announced
    first.give_back()
    first.give_back()
    second.write(1)


def test_the_reserve_of_free_space_stays_free_while_they_come() -> None:
    disk = Disk(1050)
    found = room(disk)
    with pytest.raises(ResourceExhaustedError) as caught:
        found.begin(51)
    assert reason(caught) == "NO_SPACE"
    place = found.begin(0)
    place.write(50)
    disk.free = 1010  # somebody else writes there too
    with pytest.raises(ResourceExhaustedError) as caught:
        place.write(11)
    assert reason(caught) == "NO_SPACE"
    place.write(10)


def test_what_was_announced_is_kept_for_it() -> None:
    disk = Disk(1100)
    found = room(disk)
    first, second = found.begin(80), found.begin(0)
    with pytest.raises(ResourceExhaustedError) as caught:
        second.write(21)
    assert reason(caught) == "NO_SPACE"
    first.write(80)
    disk.free = 1020
    second.write(20)


def test_what_is_unpacked_beside_the_uploads_leaves_the_reserve_too() -> None:
    found = room(Disk(1100))
    with found.unpacking(Path("/state/staging/op"), 60):
        with pytest.raises(ResourceExhaustedError) as caught, found.unpacking(Path("/state/staging/other"), 60):
            pass
        assert reason(caught) == "NO_SPACE"
        with found.unpacking(Path("/jaild/bases/b"), 9999):  # another file system, with quotas of its own
            pass
    found.begin(60)


async def test_a_stream_counts_until_its_file_is_removed_and_one_that_is_refused_leaves_nothing(
    tmp_path: Path,
) -> None:
    async def pieces(*sizes: int) -> AsyncIterator[bytes]:
        for size in sizes:
            yield b"x" * size

    files = HostFiles(tmp_path / "spool", Room(tmp_path, Uploads(each="100", total="150", reserve="1")))
    first = await files.spool(pieces(50, 50), sha256="", size=100)
    for announced in (0, 60):
        with pytest.raises(ResourceExhaustedError) as caught:
            await files.spool(pieces(40, 20), sha256="", size=announced)
        assert reason(caught) == "UPLOADS_FULL"
    assert await files.names(tmp_path / "spool") == [first.path.name]
    await files.remove(first.path)
    await files.spool(pieces(40, 20), sha256="", size=0)


async def test_a_stream_whose_removal_was_cancelled_counts_no_more(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 100

    files = HostFiles(tmp_path / "spool", Room(tmp_path, Uploads(each="100", total="150", reserve="1")))
    first = await files.spool(pieces(), sha256="", size=0)
    removal = asyncio.create_task(files.remove(first.path))
    await asyncio.sleep(0)
    removal.cancel()
    await asyncio.wait({removal})
    assert await files.names(tmp_path / "spool") == []
    await files.spool(pieces(), sha256="", size=100)


def test_a_configured_size_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "jaild.yaml"
    path.write_text("uploads: {each: 2G, reserve: some}\n")
    with pytest.raises(InvalidArgumentError, match=r"'some' is not a size.*uploads"):
        config.load(path, {})
    path.write_text("uploads: {each: 2G}\n")
    assert msgspec.structs.asdict(config.load(path, {}).uploads)["each"] == "2G"
