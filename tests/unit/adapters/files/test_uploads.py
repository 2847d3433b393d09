"""Uploads that are gone on with: what has come stays, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jaild.adapters.files.room import Room, Uploads
from jaild.adapters.files.uploads import KEPT, UploadFolder
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError

KEY = "ab" * 32


@pytest.fixture
def uploads(tmp_path: Path) -> UploadFolder:
    return UploadFolder(tmp_path / "uploads", Room(tmp_path, Uploads(each="1K", total="2K", reserve="1")))


async def test_what_has_come_stays_when_it_is_broken_off_and_is_read_by_who_goes_on(uploads: UploadFolder) -> None:
    async def broken_off() -> None:
        async with uploads.opened(KEY, 6) as upload:
            await upload.write(b"one")
            raise ConnectionError("broken off")

    with pytest.raises(ConnectionError):
        await broken_off()
    assert await uploads.size(KEY) == 3
    async with uploads.opened(KEY, 6) as upload:
        assert (upload.size, b"".join([piece async for piece in upload.content()])) == (3, b"one")
        await upload.write(b"two")
        assert upload.path.read_bytes() == b"onetwo"
        assert upload.path.stat().st_mode & 0o777 == 0o600
        await uploads.drop(upload.path)
    assert await uploads.size(KEY) == 0


async def test_two_cannot_send_one_file_at_once(uploads: UploadFolder) -> None:
    async with uploads.opened(KEY, 0):
        with pytest.raises(FailedPreconditionError) as refused:
            async with uploads.opened(KEY, 0):
                pass
    assert refused.value.reason == "UPLOAD_UNDER_WAY"


async def test_an_upload_takes_no_more_than_its_room(uploads: UploadFolder) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        async with uploads.opened(KEY, 0) as upload:
            await upload.write(bytes(2048))
    assert refused.value.reason == "ARCHIVE_TOO_LARGE"
    with pytest.raises(JaildError):
        async with uploads.opened("cd" * 32, 4096):
            pass
    async with uploads.opened("", 1024), uploads.opened("cd" * 32, 1024):  # the room was given back
        pass


async def test_those_that_nobody_goes_on_with_are_dropped(uploads: UploadFolder) -> None:
    for key in (KEY, ""):
        async with uploads.opened(key, 0) as upload:
            await upload.write(b"x")
    await uploads.sweep()
    assert await uploads.size(KEY) == 1
    (left,) = upload.path.parent.iterdir()  # the one without a digest is gone
    old = time.time() - KEPT - 1
    os.utime(left, (old, old))
    await uploads.sweep()
    assert list(upload.path.parent.iterdir()) == []
