"""Journals are written although the file system is full."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.adapters import sqlite_errors as module
from jaild.adapters.files.ballast import Ballast
from jaild.adapters.sqlite import SqliteStore
from jaild.engine.events import Events
from jaild.model.errors import InternalError, ResourceExhaustedError
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore
from tests.unit.adapters.test_store import AUDIT, journal

SIZE = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def fill_up(folder: Path) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(4096))
        except OSError:
            return path


def test_the_ballast_is_whole_or_not_there(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", SIZE)
    assert ballast.fill()
    assert ballast.fill()
    assert (tmp_path / "ballast").stat().st_size == SIZE
    assert ballast.give_up()
    assert not ballast.give_up()
    assert list(tmp_path.iterdir()) == []


def test_the_ballast_does_not_take_the_last_room(tmp_path: Path) -> None:
    assert not Ballast(tmp_path / "ballast", SIZE, lambda _: 2 * SIZE - 1).fill()
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_of_its_making_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "ballast.part").write_bytes(b"x")
    assert not Ballast(tmp_path / "ballast", SIZE, lambda _: 0).fill()
    assert list(tmp_path.iterdir()) == []


def test_its_content_cannot_be_compressed_away(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", SIZE)
    ballast.fill()
    assert len(set((tmp_path / "ballast").read_bytes())) == 256


@pytest.mark.real("mount")
async def test_a_journal_is_written_on_a_full_file_system_and_the_ballast_comes_back_when_there_is_room(
    small: Path,
) -> None:
    store = SqliteStore(small / "jaild.db", Ballast(small / "ballast", SIZE), pause=lambda _: None)
    await store.open()
    try:
        assert (small / "ballast").stat().st_size == SIZE
        assert store.trouble() == ""
        filler = await asyncio.to_thread(fill_up, small)
        large = msgspec.structs.replace(journal(1, outgoing=True), message="x" * 100_000)
        await store.put_journal(large)
        assert await store.journals() == [large]
        assert not (small / "ballast").exists()
        assert "full" in store.trouble()
        for refused in (store.append_event(0.0, "k", "t", "", {}), store.append_audit(0.0, AUDIT)):
            with pytest.raises(ResourceExhaustedError) as caught:  # the room that was gained is for journals
                await refused
            assert caught.value.reason == "NO_SPACE"
        filler.unlink()
        await store.put_journal(large)
        assert (small / "ballast").stat().st_size == SIZE
        assert store.trouble() == ""
        assert (await store.append_event(0.0, "k", "t", "", {})).sequence == 1
    finally:
        await store.close()


@pytest.mark.real("mount")
async def test_without_a_ballast_left_the_want_of_space_is_told(small: Path) -> None:
    store = SqliteStore(small / "jaild.db", Ballast(small / "ballast", SIZE), pause=lambda _: None)
    await store.open()
    try:
        await asyncio.to_thread(fill_up, small)
        with pytest.raises(ResourceExhaustedError) as caught:
            await store.put_journal(msgspec.structs.replace(journal(1, outgoing=True), message="x" * 5_000_000))
        assert caught.value.reason == "NO_SPACE"
    finally:
        await store.close()


@pytest.mark.real("mount")
async def test_a_daemon_that_starts_on_a_full_file_system_reads_its_journals(small: Path) -> None:
    store = SqliteStore(small / "jaild.db", Ballast(small / "ballast", SIZE), pause=lambda _: None)
    await store.open()
    await store.put_journal(journal(1, outgoing=True))
    await store.close()
    await asyncio.to_thread(fill_up, small)
    again = SqliteStore(small / "jaild.db", Ballast(small / "ballast", SIZE), pause=lambda _: None)
    await again.open()
    try:
        assert await again.journals() == [journal(1, outgoing=True)]
        assert "full" in again.trouble()
    finally:
        await again.close()


async def test_a_change_goes_on_when_its_event_cannot_be_stored_and_the_next_one_tells_of_it() -> None:
    store = MemoryStore()
    events = Events(store, FakeClock(1.0))
    store.failure = ResourceExhaustedError("NO_SPACE", "full")
    await events.emit("a", "jails/web")
    await events.emit("b", "jails/web")
    assert events.trouble() == "full"
    store.failure = None
    await events.emit("c", "jails/web")
    found = [(event.kind, event.message) for event in await store.events(0, "", 9)]
    assert found == [("host.events_lost", "2 events are in the log only: no room"), ("c", "")]


class AtItsQuota(sqlite3.Connection):
    """A connection whose first write fails as SQLite does where ZFS answers EDQUOT (tried on zfs-fuse)."""

    failed = False

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith("insert") and not self.failed:
            self.failed = True
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
            raise error
        return super().execute(statement, *values)


@pytest.fixture
def _at_its_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=AtItsQuota))


@pytest.mark.parametrize(("free", "written"), [(0, True), (1 << 30, False)])
@pytest.mark.usefixtures("_at_its_quota")
async def test_a_datasets_quota_is_a_full_file_system_and_another_io_error_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, free: int, written: bool
) -> None:
    store = SqliteStore(tmp_path / "jaild.db", Ballast(tmp_path / "ballast", SIZE), pause=lambda _: None)
    await store.open()
    try:
        monkeypatch.setattr(module, "free_bytes", lambda _: free)
        if written:
            await store.put_journal(journal(1, outgoing=True))
            assert len(await store.journals()) == 1
        else:
            with pytest.raises(InternalError) as caught:
                await store.put_journal(journal(1, outgoing=True))
            assert caught.value.reason == "STORE_FAILED"
        assert (tmp_path / "ballast").exists() is not written
    finally:
        await store.close()


@pytest.mark.usefixtures("_at_its_quota")
async def test_a_ballast_that_cannot_be_removed_leaves_the_want_of_space_to_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = Ballast(tmp_path / "ballast", SIZE)
    store = SqliteStore(tmp_path / "jaild.db", ballast, pause=lambda _: None)
    await store.open()

    def refused() -> bool:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    try:
        monkeypatch.setattr(module, "free_bytes", lambda _: 0)
        monkeypatch.setattr(ballast, "give_up", refused)
        with pytest.raises(ResourceExhaustedError) as caught:
            await store.put_journal(journal(1, outgoing=True))
        assert caught.value.reason == "NO_SPACE"
    finally:
        await store.close()
