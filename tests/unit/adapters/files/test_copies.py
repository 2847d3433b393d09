from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest

from jaild.adapters.files import copy as treecopy
from jaild.adapters.files.host import HostFiles
from jaild.model.errors import CancelledError, FailedPreconditionError, InternalError
from tests.unit.adapters.files.conftest import untouched


async def test_a_copy_has_modes_links_and_times_and_no_pipes(files: HostFiles, tmp_path: Path, outside: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_bytes(b"x" * 3_000_000)
    (source / "sub/file").chmod(0o4711)
    (source / "link").symlink_to(outside)
    os.mkfifo(source / "pipe")
    for name in ("sub/file", "sub"):
        os.utime(source / name, ns=(10**18, 10**18 + 7))
    source.chmod(0o1777)
    await files.copy(source, tmp_path / "copy")
    copied = tmp_path / "copy"
    assert await files.names(copied) == ["link", "sub"]
    assert (copied / "link").readlink() == outside
    assert (copied / "sub/file").read_bytes() == b"x" * 3_000_000
    assert stat.S_IMODE((copied / "sub/file").stat().st_mode) == 0o4711
    assert stat.S_IMODE(copied.stat().st_mode) == 0o1777
    assert [(copied / path).stat().st_mtime_ns for path in ("sub", "sub/file")] == [10**18 + 7] * 2
    assert untouched(outside)


@pytest.mark.real("root")
async def test_a_copy_has_the_owners_of_everything_also_of_links(files: HostFiles, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"")
    (source / "link").symlink_to("file")
    for path in (source, source / "file", source / "link"):
        os.chown(path, 4711, 4712, follow_symlinks=False)
    await files.copy(source, tmp_path / "copy")
    for name in ("", "file", "link"):
        status = (tmp_path / "copy" / name).lstat()
        assert (status.st_uid, status.st_gid) == (4711, 4712)


async def test_an_empty_folder_is_copied_into_and_a_full_one_is_not(files: HostFiles, tmp_path: Path) -> None:
    source, copied = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    copied.mkdir()
    (source / "file").write_bytes(b"1")
    await files.copy(source, copied)
    with pytest.raises(FailedPreconditionError) as caught:
        await files.copy(source, copied)
    assert caught.value.reason == "DESTINATION_NOT_EMPTY"


async def test_a_destination_that_is_a_symlink_is_not_copied_into(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    source, empty = tmp_path / "source", tmp_path / "empty"
    source.mkdir()
    empty.mkdir()
    (source / "file").write_bytes(b"1")
    (tmp_path / "copy").symlink_to(empty)
    with pytest.raises(InternalError):
        await files.copy(source, tmp_path / "copy")
    assert await files.names(empty) == []
    assert untouched(outside)


def test_a_copy_that_is_told_to_stop_stops_at_the_next_entry(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(CancelledError):
        treecopy.copy(source, tmp_path / "copy", stopped)
    assert not (tmp_path / "copy/file").exists()


async def test_cancelling_waits_until_the_thread_touches_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def work(_source: Path, _destination: Path, stopped: threading.Event, **_more: object) -> None:
        begun.set()
        if stopped.wait(10):
            over.set()

    monkeypatch.setattr(treecopy, "copy", work)
    task = asyncio.ensure_future(HostFiles(tmp_path).copy(tmp_path / "a", tmp_path / "b"))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over.is_set()


async def test_files_that_are_to_be_left_out_are_left_out_by_their_whole_path(files: HostFiles, tmp_path: Path) -> None:
    for path in ("lib/seed", "seed", "lib/x/seed"):
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_text(path)
    (tmp_path / "source/link").symlink_to("seed")
    await files.copy(tmp_path / "source", tmp_path / "copy", without=["lib/seed", "link", "missing"])
    found = sorted(path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*"))
    assert found == ["lib", "lib/x", "lib/x/seed", "link", "seed"]


async def test_files_are_found_by_patterns_and_no_link_is_followed_to_one(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    root = tmp_path / "root"
    (root / "db/entropy").mkdir(parents=True)
    for name in ("b", "a"):
        (root / "db/entropy" / name).write_text(name)
    (root / "db/entropy/folder").mkdir()
    (root / "db/entropy/link").symlink_to("a")
    (root / "lib").symlink_to(outside)
    inside = next(path.name for path in outside.iterdir())
    patterns = ["db/entropy/*", "db/entropy/a", f"lib/{inside}", "missing/x", "db/entropy/a/x"]
    assert await files.matching(root, patterns) == ("db/entropy/a", "db/entropy/b", "db/entropy/a")
