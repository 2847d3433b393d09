"""Logs are put away while they are written and followed: none of their lines is lost, and what is kept is bounded."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jaild import config
from jaild.adapters.files.host import HostFiles
from jaild.adapters.system.clock import SystemClock
from jaild.engine.events import Events
from jaild.engine.supervisor import Supervisor
from jaild.jails.logparts import LogParts
from jaild.jails.logs import Logs
from jaild.model.errors import InternalError, InvalidArgumentError, JaildError, ResourceExhaustedError, UnavailableError
from jaild.model.jails.logparts import Kept, Rotation, chains, surplus
from jaild.model.jails.logtimes import LogQuery
from jaild.ports.clock import Clock
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore

SMALL = Rotation(size="4K", age=3600, keep="1M", days=1)
LINES = 30_000
WRITTEN = b"".join(b"line %06d of one that does not rest\n" % number for number in range(LINES))
# Writes as jails do: to the end of a file that it holds open; each line once.
WRITER = f"""
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range({LINES}):
    os.write(log, b"line %06d of one that does not rest\\n" % number)
"""


def daemon(folder: Path, clock: Clock, rotation: Rotation = SMALL) -> Logs:
    (folder / "logs").mkdir(exist_ok=True)
    files = HostFiles(folder / "spool")
    supervisor = Supervisor(clock, Events(MemoryStore(), clock).emit)
    return Logs(files, supervisor, clock, LogParts(files, clock, folder / "logs", rotation), folder / "times")


async def read(logs: Logs, **asked: object) -> bytes:
    return b"".join([piece.data async for piece in logs.read("web", LogQuery(**asked))])  # type: ignore[arg-type]


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"line %06d\n" % number for number in range(first, last))


def away(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "logs").glob("*.gz"))


def write(folder: Path, text: bytes) -> None:
    with (folder / "logs/web.log").open("ab") as log:
        log.write(text)


async def turned(logs: Logs) -> None:
    await logs.look_at_all()
    await logs.put_away()


async def test_what_is_put_away_takes_no_space_in_the_log_and_is_read_as_if_it_were_there(tmp_path: Path) -> None:
    logs = daemon(tmp_path, FakeClock())
    whole = b""
    for turn in range(4):
        text = numbered(turn * 10_000, (turn + 1) * 10_000)
        write(tmp_path, text + b"unfinished ")
        whole += text + b"unfinished "
        await turned(logs)
    log = tmp_path / "logs/web.log"
    assert log.stat().st_size == len(whole)
    assert log.stat().st_blocks * 512 < 32 << 10
    assert len(away(tmp_path)) > 4
    put = b"".join(gzip.decompress((tmp_path / "logs" / name).read_bytes()) for name in away(tmp_path))
    assert whole.startswith(put)
    assert len(whole) - len(put) < 4096
    assert await read(logs) == whole
    lines = whole.splitlines(keepends=True)
    for count in (1, 2, 10_001, 10_002, 25_000, 90_000):
        assert await read(logs, lines=count) == b"".join(lines[-count:])
    assert await read(logs, lines=3, times=True) == b"".join(lines[-3:])
    assert await read(daemon(tmp_path, FakeClock())) == whole  # another daemon's


async def test_age_makes_it_due_as_well_as_size_and_a_line_that_goes_on_stays(tmp_path: Path) -> None:
    clock = FakeClock()
    logs = daemon(tmp_path, clock)
    write(tmp_path, b"one\ntw")
    await turned(logs)
    clock.time += 3599
    await turned(logs)
    assert away(tmp_path) == []
    clock.time += 2
    await turned(logs)
    assert away(tmp_path) == ["web.log.0000000000000000-0000000000000004.gz"]
    clock.time += 7200
    await turned(logs)
    assert len(away(tmp_path)) == 1
    write(tmp_path, b"o\n")
    assert await read(logs) == b"one\ntwo\n"


async def test_the_oldest_parts_go_by_bytes_and_by_age_but_for_the_last_which_says_where_the_log_goes_on(
    tmp_path: Path,
) -> None:
    logs = daemon(tmp_path, FakeClock(), Rotation(size="4K", keep="20K"))
    for turn in range(6):
        write(tmp_path, numbered(turn * 2000, (turn + 1) * 2000))
        await turned(logs)
    kept = away(tmp_path)
    assert 1 < len(kept) < 30
    first = int(kept[0].split(".")[2].split("-")[0]) // len(numbered(0, 1))
    assert first > 0
    assert await read(logs) == numbered(first, 12_000)
    assert await read(logs, since=1.0, times=True) == numbered(first, 12_000)
    old = daemon(tmp_path, FakeClock(1e12), Rotation(days=1))
    await turned(old)
    assert away(tmp_path) == kept[-1:]
    write(tmp_path, b"more\n")
    assert (await read(old)).endswith(b"line 011999\nmore\n")


def test_which_go_is_by_age_and_then_by_what_fits() -> None:
    kept = {"a": Kept(size=10, time=1.0), "b": Kept(size=10, time=200_000.0), "c": Kept(size=10, time=200_001.0)}
    assert surplus(kept, Rotation(keep="20", days=1), 200_002.0) == ["a"]
    assert surplus(kept, Rotation(keep="19", days=100), 200_002.0) == ["b", "a"]


def test_only_parts_that_follow_on_one_another_are_the_logs() -> None:
    names = [f"web.log.{begin:016}-{end:016}.gz" for begin, end in ((0, 9), (20, 30), (30, 50))]
    found = chains([*names, "web.log", "web.log.1764500000.0.gz", "db.log.x.gz"])
    assert {log: [(part.begin, part.end) for part in parts] for log, parts in found.items()} == {
        "web.log": [(20, 30), (30, 50)]
    }


@pytest.mark.parametrize("running", [True, False])
async def test_a_log_that_somebody_empties_begins_anew_and_what_was_put_away_of_it_is_kept(
    tmp_path: Path, *, running: bool
) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))
    await turned(logs)
    if not running:
        await logs.close()
        logs = daemon(tmp_path, FakeClock(1_000_100.0))
    (tmp_path / "logs/web.log").write_bytes(b"")
    write(tmp_path, b"new\n")
    await turned(logs)
    assert await read(logs) == b"new\n"
    old = away(tmp_path)
    put = b"".join(gzip.decompress((tmp_path / "logs" / name).read_bytes()) for name in old)
    assert numbered(0, 2000).startswith(put)
    assert put
    write(tmp_path, numbered(0, 2000))
    await turned(logs)
    assert len(away(tmp_path)) > len(old)
    assert await read(logs) == b"new\n" + numbered(0, 2000)


@pytest.mark.parametrize("step", ["compress", "free"])
async def test_a_crash_at_either_step_loses_nothing_and_the_next_daemon_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))

    async def dies(*_: object) -> None:
        raise RuntimeError("died")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):  # noqa: PT012 -- the patch is its own
        patch.setattr(HostFiles, step, dies)
        await turned(logs)
    logs = daemon(tmp_path, FakeClock())
    assert await read(logs) == numbered(0, 2000)
    write(tmp_path, numbered(2000, 4000))
    await turned(logs)
    assert await read(logs) == numbered(0, 4000)
    assert (tmp_path / "logs/web.log").stat().st_blocks * 512 < 32 << 10


async def test_where_nothing_can_be_freed_nothing_is_put_away_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_able(*_: object) -> bool:
        return False

    monkeypatch.setattr(HostFiles, "can_free", not_able)
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, b"short\n")
    await turned(logs)
    write(tmp_path, numbered(0, 2000))
    with pytest.raises(UnavailableError) as told:
        await turned(logs)
    assert told.value.reason == "LOGS_NOT_ROTATED"
    assert away(tmp_path) == []
    assert await read(logs) == b"short\n" + numbered(0, 2000)


@pytest.mark.usefixtures("threads")
async def test_who_follows_a_log_that_never_rests_gets_each_line_once_however_often_it_is_put_away(
    tmp_path: Path,
) -> None:
    logs = daemon(tmp_path, SystemClock(), Rotation(size="64K"))
    log = tmp_path / "logs/web.log"
    log.touch()
    slow: list[bytes] = []
    quick: list[bytes] = []

    async def follow(into: list[bytes], pause: Callable[[], object]) -> None:
        async for piece in logs.read("web", LogQuery(follow=True)):
            into.append(piece.data)
            if sum(map(len, into)) >= len(WRITTEN):
                return
            pause()
            await asyncio.sleep(0)

    async def rotate() -> None:
        while True:
            await turned(logs)

    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(log)])  # noqa: ASYNC220 -- its start takes no time
    try:
        async with asyncio.timeout(120):
            rotating = asyncio.create_task(rotate())
            await asyncio.gather(follow(quick, lambda: None), follow(slow, lambda: slow[1:] or writer.wait()))
            rotating.cancel()
    finally:
        writer.kill()
        writer.wait()
    assert b"".join(quick) == WRITTEN
    assert b"".join(slow) == WRITTEN
    assert len(away(tmp_path)) > 1


@pytest.mark.parametrize("wrong", ["{size: much}", "{age: 1}", "{days: 0}", "{keep: -1}", "{count: 3}"])
def test_what_cannot_be_meant_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "jaild.yaml").write_text(f"log_rotation: {wrong}")
    with pytest.raises(InvalidArgumentError, match="log_rotation"):
        config.load(tmp_path / "jaild.yaml", {})


async def test_archives_of_somebody_else_beside_a_log_are_left_alone(tmp_path: Path) -> None:
    logs = daemon(tmp_path, FakeClock(1e12), Rotation(days=1))
    theirs = ["web.log.0.gz", "web.log.1.gz", "web.log.20261130.gz"]  # newsyslog's, logrotate's
    for name in theirs:
        (tmp_path / "logs" / name).write_bytes(b"theirs")
    await turned(logs)
    assert away(tmp_path) == sorted(theirs)


@pytest.mark.parametrize("running", [True, False])
async def test_a_new_jails_log_is_not_taken_for_that_of_an_older_one_of_its_name(
    tmp_path: Path, *, running: bool
) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 1000))
    await turned(logs)
    (tmp_path / "logs/web.log").unlink()
    if not running:
        logs = daemon(tmp_path, FakeClock())
    await logs.look_at_all()
    write(tmp_path, numbered(5000, 9000))
    assert await read(logs) == numbered(5000, 9000)
    await turned(logs)
    assert await read(logs) == numbered(5000, 9000)


async def test_a_log_that_was_begun_anew_is_known_as_such_also_if_its_parts_could_not_be_set_aside_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = daemon(tmp_path, FakeClock(), Rotation(size="4K"))
    write(tmp_path, numbered(0, 2000))
    await turned(logs)

    async def dies(*_: object) -> None:
        raise RuntimeError("died")

    (tmp_path / "logs/web.log").write_bytes(numbered(3000, 9000))
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):  # noqa: PT012 -- the patch is its own
        patch.setattr(HostFiles, "rename", dies)
        await logs.look_at_all()
    assert await read(daemon(tmp_path, FakeClock())) == numbered(3000, 9000)


async def test_who_follows_a_log_that_is_emptied_gets_what_was_put_away_no_second_time(tmp_path: Path) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))
    await turned(logs)
    got = b""
    async for piece in logs.read("web", LogQuery(follow=True)):
        got += piece.data
        if got == numbered(0, 2000):
            (tmp_path / "logs/web.log").write_bytes(b"new\n")
        if len(got) > len(numbered(0, 2000)):
            break
    assert got == numbered(0, 2000) + b"new\n"


async def test_a_part_that_somebody_removed_is_passed_over(tmp_path: Path) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))
    await turned(logs)
    first, second, *_ = chains(away(tmp_path))["web.log"]
    (tmp_path / "logs" / second.name).unlink()
    whole = numbered(0, 2000)
    assert await read(logs) == whole[: first.end] + whole[second.end :]


async def test_what_is_kept_is_read_once_where_a_mark_goes_over_what_is_not(tmp_path: Path) -> None:
    clock = FakeClock()
    logs = daemon(tmp_path, clock, Rotation(size="64K", keep="20K"))
    for turn in range(12):
        write(tmp_path, numbered(turn * 2000, (turn + 1) * 2000))
        clock.time += 1
        await logs.look_at_all()
    await logs.put_away()
    position = chains(away(tmp_path))["web.log"][0].begin
    assert position
    written = numbered(0, 24_000)
    assert await read(logs, times=True) == written[position:]
    assert await read(logs, until=1_000_002.0) == b""


async def test_what_cannot_be_put_away_leaves_nothing_half_done_and_the_oldest_go_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))
    await turned(logs)
    kept = away(tmp_path)
    logs = daemon(tmp_path, FakeClock(1e12))
    write(tmp_path, numbered(2000, 4000))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    await logs.look_at_all()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceExhaustedError):
        await logs.put_away()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["web.log", kept[-1]]


async def test_a_log_is_on_disk_as_far_as_a_part_of_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))
    await logs.look_at_all()
    log, synced = (tmp_path / "logs/web.log").stat().st_ino, list[int]()
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    await logs.put_away()
    assert synced[0] == log  # shorter after a power cut, it would be taken for one that was begun anew


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[: len(whole) // 2], lambda whole: whole[:30] + b"\xff" * 30 + whole[60:]]
)
async def test_a_part_that_is_damaged_is_told_by_its_path(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))
    await turned(logs)
    part = tmp_path / "logs" / away(tmp_path)[0]
    part.write_bytes(damage(part.read_bytes()))
    for asked in ({}, {"lines": 5000}):
        with pytest.raises(InternalError, match=part.name) as told:
            await read(logs, **asked)
        assert told.value.reason == "FILE_FAILED"


async def test_a_part_with_many_marks_is_not_read_anew_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    logs = daemon(tmp_path, clock, Rotation(size="16K"))
    for turn in range(100):
        write(tmp_path, numbered(turn * 20, (turn + 1) * 20))
        clock.time += 1
        await logs.look_at_all()
    await logs.put_away()
    real, looks = HostFiles.read_compressed, list[Path]()

    async def counted(files: HostFiles, path: Path, skip: int, size: int) -> bytes:
        looks.append(path)
        return await real(files, path, skip, size)

    monkeypatch.setattr(HostFiles, "read_compressed", counted)
    assert await read(logs, times=True) == numbered(0, 2000)
    assert len(looks) == len(away(tmp_path))


async def test_a_log_that_cannot_be_put_away_keeps_no_other_from_it(tmp_path: Path) -> None:
    logs = daemon(tmp_path, FakeClock())
    write(tmp_path, numbered(0, 2000))
    (tmp_path / "logs/aa.log").write_bytes(numbered(0, 2000))
    await logs.look_at_all()
    (tmp_path / "logs/aa.log").unlink()
    (tmp_path / "logs/aa.log").mkdir()
    with pytest.raises(JaildError, match="aa"):
        await logs.put_away()
    assert away(tmp_path)
