from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.model.errors import DataLossError, JaildError


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_stream_becomes_a_file_with_its_digest_and_size(files: HostFiles) -> None:
    spooled = await files.spool(pieces(b"ab", b"cd"), sha256="", size=0)
    assert (spooled.path.read_bytes(), spooled.size) == (b"abcd", 4)
    assert spooled.sha256 == hashlib.sha256(b"abcd").hexdigest()
    await files.remove(spooled.path)
    assert not spooled.path.exists()


@pytest.mark.parametrize(
    ("sha256", "size", "reason"),
    [("0" * 64, 4, "DIGEST_MISMATCH"), ("", 5, "STREAM_TRUNCATED"), ("", 3, "STREAM_TRUNCATED")],
)
async def test_a_stream_that_is_not_as_announced_leaves_nothing(
    files: HostFiles, tmp_path: Path, sha256: str, size: int, reason: str
) -> None:
    with pytest.raises(DataLossError) as caught:
        await files.spool(pieces(b"ab", b"cd"), sha256=sha256, size=size)
    assert caught.value.reason == reason
    assert await files.names(tmp_path / "spool") == []


async def test_what_the_sender_raises_is_raised_as_it_is_and_leaves_nothing(files: HostFiles, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"ab"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await files.spool(broken(), sha256="", size=0)
    assert await files.names(tmp_path / "spool") == []


async def test_a_sweep_removes_what_a_crash_left_and_nothing_else(files: HostFiles, tmp_path: Path) -> None:
    assert await files.sweep() == []
    left = (await files.spool(pieces(b"ab"), sha256="", size=0)).path
    (tmp_path / "spool/other").write_bytes(b"")
    assert await files.sweep() == [left]
    assert await files.names(tmp_path / "spool") == ["other"]


# --- what may be mounted on


@pytest.fixture
def roots(tmp_path: Path, outside: Path) -> list[tuple[str, Path]]:
    base, release = tmp_path / "base", tmp_path / "release"
    for folder in (base / "usr/local", base / "etc", base / "srv", release / "etc", release / "share"):
        folder.mkdir(parents=True)
    (base / "home").symlink_to(outside)
    (base / "srv/file").write_bytes(b"")
    (base / "usr/local/only-in-the-base").mkdir()
    return [("/", base), ("/usr/local", release)]


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("/", ""),
        ("/etc", ""),
        ("/usr/local", ""),
        ("/usr/local/etc", ""),
        ("/usr/local/only-in-the-base", "/usr/local/only-in-the-base is not there"),
        ("/home", "/home is a symlink"),
        ("/home/passwd/x", "/home is a symlink"),
        ("/srv/file", "/srv/file is a file"),
        ("/srv/file/deeper", "/srv/file is a file"),
        ("/opt/app", "/opt is not there"),
    ],
)
async def test_a_mount_point_is_a_folder_in_the_layer_that_would_hold_it(
    files: HostFiles, roots: list[tuple[str, Path]], target: str, problem: str
) -> None:
    assert await files.obstacles(roots, [target]) == ({target: problem} if problem else {})


async def test_a_releases_own_mount_point_is_looked_for_in_the_base(files: HostFiles, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "release").mkdir()
    found = await files.obstacles([("/", tmp_path / "base"), ("/opt", tmp_path / "release")], ["/opt"])
    assert found == {"/opt": "/opt is not there"}


async def test_a_name_that_only_begins_like_a_layers_is_not_in_it(
    files: HostFiles, roots: list[tuple[str, Path]]
) -> None:
    (roots[0][1] / "usr/localized").mkdir()
    assert await files.obstacles(roots, ["/usr/localized"]) == {}


# --- what is wrapped


async def test_a_folder_that_is_no_system_is_told_so(files: HostFiles, tmp_path: Path) -> None:
    with pytest.raises(JaildError) as caught:
        await files.system(tmp_path)
    assert caught.value.reason == "NOT_A_BASE"
    assert (await files.libraries(tmp_path, "/usr/local")).files == ()
