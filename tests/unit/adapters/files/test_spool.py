from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import IO

import pytest

from jaild.adapters.files.room import Room, Uploads
from jaild.adapters.files.spool import Spool, sha256_file, sweep
from jaild.model.errors import DataLossError, InternalError, InvalidArgumentError, JaildError, ResourceExhaustedError

DATA = b"0123456789" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


def room(folder: Path, each: int = 1 << 20) -> Room:
    return Room(folder, Uploads(each=str(each), reserve="1"))


async def test_a_stream_with_the_right_digest_becomes_a_file_that_stays(tmp_path: Path) -> None:
    async with Spool(tmp_path / "in", room(tmp_path, len(DATA)), size=len(DATA)) as spool:
        for at in range(0, len(DATA), 999):
            await spool.write(DATA[at : at + 999])
        path = await spool.finish(DIGEST.upper())
    assert path.read_bytes() == DATA
    assert sha256_file(path) == spool.sha256 == DIGEST
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def _take(folder: Path, data: bytes, digest: str, size: int | None, limit: int | None) -> None:
    async with Spool(folder, room(folder, limit or len(DATA) * 2), size=size) as spool:
        await spool.write(data[:5000])
        await spool.write(data[5000:])
        await spool.finish(digest)


@pytest.mark.parametrize(
    ("data", "size", "limit", "kind", "reason"),
    [
        pytest.param(DATA[:-1] + b"x", None, None, DataLossError, "DIGEST_MISMATCH", id="changed"),
        pytest.param(DATA[:-1], len(DATA), None, DataLossError, "STREAM_TRUNCATED", id="short"),
        pytest.param(DATA + b"x", len(DATA), None, DataLossError, "STREAM_TRUNCATED", id="long"),
        pytest.param(DATA, None, 9999, InvalidArgumentError, "ARCHIVE_TOO_LARGE", id="over the limit"),
        pytest.param(DATA, 10_000, 9999, InvalidArgumentError, "ARCHIVE_TOO_LARGE", id="announced over the limit"),
    ],
)
async def test_a_wrong_stream_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, data: bytes, size: int | None, limit: int | None, kind: type[JaildError], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        await _take(tmp_path, data, DIGEST, size, limit)
    assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == []


async def test_a_wrong_digest_says_both(tmp_path: Path) -> None:
    with pytest.raises(DataLossError) as caught:
        await _take(tmp_path, b"other", DIGEST, None, None)
    assert DIGEST in caught.value.message
    assert hashlib.sha256(b"other").hexdigest() in caught.value.message


async def test_a_stream_that_is_given_up_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Spool(tmp_path, room(tmp_path)) as spool:
        await spool.write(DATA)
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


async def _fail_after_finish(folder: Path) -> None:
    async with Spool(folder, room(folder)) as spool:
        await spool.write(DATA)
        await spool.finish()
        raise ValueError("after the end")


async def test_an_error_after_the_end_takes_the_file_away_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="after the end"):
        await _fail_after_finish(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_spool_outside_its_context_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InternalError):
        await Spool(tmp_path, room(tmp_path)).write(b"x")


async def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _mode: str, *, buffering: int) -> IO[bytes]:
        path.touch()
        return open("/dev/full", "wb", buffering)  # noqa: PTH123 -- `Path.open` is this; the spool closes it

    monkeypatch.setattr(Path, "open", full)
    async with Spool(tmp_path, room(tmp_path)) as spool:
        with pytest.raises(ResourceExhaustedError) as caught:
            await spool.write(DATA)
    assert caught.value.reason == "NO_SPACE"
    assert list(tmp_path.iterdir()) == []


async def test_a_sweep_removes_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    crashed = Spool(tmp_path, room(tmp_path))
    await crashed.__aenter__()
    await crashed.write(DATA)
    (tmp_path / "other").touch()
    assert len(sweep(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert sweep(tmp_path / "none") == []
    await crashed.__aexit__(None, None, None)
