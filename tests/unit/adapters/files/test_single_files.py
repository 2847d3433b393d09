from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from jaild.adapters.files.errors import explain
from jaild.adapters.files.host import HostFiles
from jaild.model.errors import (
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from jaild.ports.files import Files
from tests.unit.adapters.files.conftest import untouched


def test_it_is_what_the_port_asks_for(files: HostFiles) -> None:
    port: Files = files
    assert port is files


async def test_a_missing_file_is_told_by_its_path(files: HostFiles, tmp_path: Path) -> None:
    for attempt in (files.read(tmp_path / "no"), files.digest(tmp_path / "no")):
        with pytest.raises(NotFoundError, match="no") as caught:
            await attempt
        assert caught.value.reason == "FILE_NOT_FOUND"


async def test_what_is_written_replaces_the_old_file_and_leaves_nothing_beside_it(
    files: HostFiles, tmp_path: Path
) -> None:
    path = tmp_path / "in" / "generation.json"
    path.parent.mkdir()
    await files.write(path, b"old")
    await files.write(path, b"new")
    assert await files.read(path) == b"new"
    assert await files.digest(path) == hashlib.sha256(b"new").hexdigest()
    assert await files.names(path.parent) == ["generation.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


async def test_a_secret_is_in_no_file_of_wider_mode_not_even_for_a_moment(
    files: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = os.fsync

    def look(descriptor: int) -> None:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())
        original(descriptor)

    monkeypatch.setattr("jaild.adapters.files.plain.os.fsync", look)
    (tmp_path / "spec").write_bytes(b"old")
    (tmp_path / "spec").chmod(0o600)
    await files.write(tmp_path / "spec", b"new", mode=0o600)
    assert set(seen) == {0o600}


async def test_restricting_takes_from_others_what_they_have_and_nothing_from_the_owner(
    files: HostFiles, tmp_path: Path
) -> None:
    file, folder, closed = tmp_path / "file", tmp_path / "folder", tmp_path / "closed"
    file.touch(0o644)
    folder.mkdir(0o755)
    closed.touch(0o400)
    await files.restrict([file, folder, closed, tmp_path / "missing"])
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, folder, closed)] == [0o600, 0o700, 0o400]


async def test_what_is_kept_from_others_already_is_not_opened(
    files: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.touch(0o600)
    monkeypatch.setattr("jaild.adapters.files.plain.os.open", pytest.fail)
    await files.restrict([closed])


async def test_a_write_that_fails_leaves_the_old_content(
    files: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in" / "record"
    path.parent.mkdir()
    await files.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jaild.adapters.files.plain.os.fsync", full)
    with pytest.raises(ResourceExhaustedError) as caught:
        await files.write(path, b"new")
    assert caught.value.reason == "NO_SPACE"
    assert path.read_bytes() == b"old"
    assert await files.names(path.parent) == ["record"]


async def test_content_and_folder_are_on_disk_before_a_write_returns(
    files: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        "jaild.adapters.files.plain.os.fsync",
        lambda fd: synced.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"),
    )
    await files.write(tmp_path / "record", b"x")
    assert synced == ["file", "folder"]


async def test_a_symlink_is_replaced_by_a_write_and_not_followed_by_a_read(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    link = tmp_path / "record"
    link.symlink_to(outside / "passwd")
    with pytest.raises(InternalError) as caught:
        await files.read(link)
    assert caught.value.reason == "FILE_FAILED"
    await files.write(link, b"mine")
    assert not link.is_symlink()
    assert untouched(outside)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_both_no_space(number: int) -> None:
    error = explain(OSError(number, os.strerror(number)), Path("/x"))
    assert isinstance(error, ResourceExhaustedError)
    assert error.reason == "NO_SPACE"


def test_a_forbidden_file_is_a_matter_of_permission() -> None:
    error = explain(PermissionError(errno.EPERM, "Operation not permitted"), Path("/x"))
    assert isinstance(error, PermissionDeniedError)


def test_any_other_failure_names_the_path_and_what_the_system_said() -> None:
    error = explain(OSError(errno.EIO, "Input/output error", "deep"), Path("/x"))
    assert isinstance(error, InternalError)
    assert (error.reason, error.detail["errno"]) == ("FILE_FAILED", "EIO")
    assert "/x: Input/output error at deep" in error.message


# --- logs


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\nb\nc", 9, b"a\nb\nc"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 3, b""),
        (b"x" * 200_000 + b"\nlast\n", 1, b"last\n"),
        (b"first\n" + b"x" * 200_000, 1, b"x" * 200_000),
        (b"first\n" + b"y" * (65_536 - 1) + b"\n", 1, b"y" * 65_535 + b"\n"),
    ],
)
async def test_the_last_lines_begin_after_the_newline_before_them(
    files: HostFiles, tmp_path: Path, content: bytes, lines: int, expected: bytes
) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    start, found = await files.line_start(path, lines)
    assert content[start:] == expected
    assert found == len(expected.splitlines())


async def test_a_log_that_is_not_there_yet_is_empty(files: HostFiles, tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert await files.read_at(path, 5, 10) == b""
    assert await files.size(path) == 0
    assert await files.line_start(path, 3) == (0, 0)


async def test_a_piece_of_a_log_is_what_lies_there(files: HostFiles, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0123456789")
    assert await files.read_at(path, 4, 2) == b"45"
    assert await files.read_at(path, 10, 2) == b""


async def test_a_file_where_others_have_written_is_read_by_no_link_and_only_if_it_is_one(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    root = tmp_path / "copy"
    (root / "generations" / "1").mkdir(parents=True)
    (root / "generations" / "1" / "g").write_bytes(b"12345678")
    (root / "generations" / "1" / "link").symlink_to("g")
    (root / "generations" / "2").symlink_to(outside)
    os.mkfifo(root / "generations" / "1" / "fifo")
    assert await files.read_below(root, Path("generations/1/g"), 8) == b"12345678"
    for path, error in (
        ("generations/1/link", InternalError),
        ("generations/2/passwd", InternalError),
        ("generations/1/fifo", FailedPreconditionError),
        ("generations/1/no", NotFoundError),
        ("generations/3/g", NotFoundError),
    ):
        with pytest.raises(error):
            await files.read_below(root, Path(path), 8)
    with pytest.raises(FailedPreconditionError) as refused:
        await files.read_below(root, Path("generations/1/g"), 7)
    assert refused.value.reason == "NOT_A_PLAIN_FILE"


async def test_folders_are_told_with_what_is_asked_for_in_each_and_links_and_files_are_none(
    files: HostFiles, tmp_path: Path
) -> None:
    for name in ("2/etc", "10"):
        (tmp_path / "a" / name).mkdir(parents=True)
    (tmp_path / "a/2/b").symlink_to("nowhere")
    (tmp_path / "a/2/more").touch()
    (tmp_path / "a/file").touch()
    (tmp_path / "a/link").symlink_to("2")
    found = await files.folders(tmp_path / "a", ["b", "c", "etc"])
    assert found == {"10": frozenset(), "2": frozenset({"b", "etc"})}
    assert await files.folders(tmp_path / "none", ["b"]) == {}
