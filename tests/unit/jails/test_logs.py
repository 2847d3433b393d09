from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.engine.events import Events
from jaild.engine.supervisor import Supervisor
from jaild.jails.logparts import LogParts
from jaild.jails.logs import Logs
from jaild.model.jails.logparts import Rotation
from jaild.model.jails.logtimes import LogQuery, Mark, decode, encode, thinned
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore


class ScriptedClock(FakeClock):
    """Each sleep does the next thing that happens on the host meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.happenings: list[Callable[[], object]] = []

    async def sleep(self, seconds: float) -> None:
        """Let it happen."""
        await super().sleep(seconds)
        if not self.happenings:
            pytest.fail("it waits for more than will come")
        self.happenings.pop(0)()


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "web.log"


@pytest.fixture
def logs(tmp_path: Path, clock: ScriptedClock, log: Path) -> Logs:
    log.parent.mkdir()
    return daemon(tmp_path, clock)


def daemon(folder: Path, clock: FakeClock) -> Logs:
    """The logs as a new daemon has them."""
    supervisor = Supervisor(clock, Events(MemoryStore(), clock).emit)
    files = HostFiles(folder / "spool")
    return Logs(files, supervisor, clock, LogParts(files, clock, folder / "logs", Rotation()), folder / "times")


async def whole(logs: Logs, lines: int | None) -> bytes:
    return b"".join([piece.data async for piece in logs.read("web", LogQuery(lines=lines))])


def append(log: Path, text: bytes) -> Callable[[], object]:
    def write() -> None:
        with log.open("ab") as file:
            file.write(text)

    return write


async def test_a_jail_that_wrote_nothing_yet_has_an_empty_log(logs: Logs) -> None:
    assert await whole(logs, None) == b""
    assert await whole(logs, 10) == b""


async def test_no_number_of_lines_means_all_of_them_and_0_none(logs: Logs, log: Path) -> None:
    log.write_bytes(b"x" * 200_000 + b"\nend\n")
    assert await whole(logs, None) == log.read_bytes()
    assert await whole(logs, 0) == b""


async def test_a_follower_of_no_lines_gets_only_what_comes(logs: Logs, log: Path, clock: ScriptedClock) -> None:
    log.write_bytes(b"old\nhalf a line")
    clock.happenings = [append(log, b" and the rest\n")]
    assert (await anext(logs.read("web", LogQuery(lines=0, follow=True)))).data == b" and the rest\n"


async def test_only_the_last_lines_are_given_if_so_asked(logs: Logs, log: Path) -> None:
    log.write_bytes(b"one\ntwo\nthree\n")
    assert await whole(logs, 2) == b"two\nthree\n"
    assert await whole(logs, 9) == b"one\ntwo\nthree\n"


async def test_a_follower_gets_what_is_there_and_then_what_comes(logs: Logs, log: Path, clock: ScriptedClock) -> None:
    log.write_bytes(b"old\nlast\n")
    clock.happenings = [lambda: None, append(log, b"new\n"), append(log, b"newer\n")]
    stream = logs.read("web", LogQuery(lines=1, follow=True))
    assert [(await anext(stream)).data for _ in range(3)] == [b"last\n", b"new\n", b"newer\n"]


async def test_a_follower_may_begin_before_there_is_a_log(logs: Logs, log: Path, clock: ScriptedClock) -> None:
    clock.happenings = [append(log, b"first\n")]
    assert (await anext(logs.read("web", LogQuery(lines=10, follow=True)))).data == b"first\n"


async def test_a_log_that_was_begun_anew_is_followed_from_its_beginning(
    logs: Logs, log: Path, clock: ScriptedClock
) -> None:
    log.write_bytes(b"a long line that was there before\n")
    clock.happenings = [lambda: log.write_bytes(b"short\n"), lambda: None]
    stream = logs.read("web", LogQuery(follow=True))
    assert (await anext(stream)).data == b"a long line that was there before\n"
    assert (await anext(stream)).data == b"short\n"


async def timed(logs: Logs, **asked: float) -> list[tuple[bytes, float, float]]:
    query = LogQuery(times=True, since=asked.get("since", 0), until=asked.get("until", 0))
    return [(piece.data, piece.after, piece.by) async for piece in logs.read("web", query)]


async def plain(logs: Logs, **asked: float) -> bytes:
    query = LogQuery(since=asked.get("since", 0), until=asked.get("until", 0))
    return b"".join([piece.data async for piece in logs.read("web", query)])


async def test_lines_are_told_the_times_between_which_they_were_written_also_without_a_daemon(
    logs: Logs, log: Path, clock: FakeClock, tmp_path: Path
) -> None:
    append(log, b"before any\n")()
    clock.time = 100.0
    await logs.look_at_all()
    append(log, b"one\ntwo\nbeg")()
    clock.time = 101.0
    await logs.look_at_all()
    append(log, b"un\n")()
    clock.time = 160.0
    await logs.close()
    append(log, b"away\n")()
    clock.time = 400.0
    logs = daemon(tmp_path, clock)
    await logs.look_at_all()
    append(log, b"killed\n")()  # and what was looked at since is not on disk
    clock.time = 450.0
    logs = daemon(tmp_path, clock)
    append(log, b"goes on")()
    pieces = [
        (b"before any\n", 0.0, 100.0),
        (b"one\ntwo\n", 100.0, 101.0),
        (b"begun\n", 101.0, 160.0),
        (b"away\n", 160.0, 400.0),
        (b"killed\n", 400.0, 450.0),
        (b"goes on", 400.0, 450.0),
    ]
    assert await timed(logs) == pieces
    assert await timed(logs, since=101.5, until=400.0) == pieces[2:4]
    assert await plain(logs, since=101.5, until=160.0) == b"begun\n"
    assert await plain(logs, since=500.0) == b"goes on"


async def test_a_log_that_was_begun_anew_has_no_times_of_the_old_one(
    logs: Logs, log: Path, clock: FakeClock, tmp_path: Path
) -> None:
    await logs.look_at_all()
    clock.time = 100.0
    append(log, b"x" * 5000 + b"\n")()
    await logs.look_at_all()
    clock.time = 200.0
    log.write_bytes(b"new and longer, at once" * 400 + b"\n")
    ((_, after, by),) = await timed(logs)
    assert (after, by) == (100.0, 200.0)
    await logs.close()
    log.write_bytes(b"y" * log.stat().st_size)
    clock.time = 300.0
    ((_, after, by),) = await timed(daemon(tmp_path, clock))
    assert (after, by) == (200.0, 300.0)
    log.unlink()
    await logs.look_at_all()
    assert [path.name for path in (tmp_path / "times").iterdir()] == ["looked.json"]


async def test_a_follower_is_told_of_lines_when_they_have_ended(logs: Logs, log: Path, clock: ScriptedClock) -> None:
    clock.time = 10.0
    await logs.look_at_all()
    clock.happenings = [append(log, b"ha"), append(log, b"lf\n")]
    stream = logs.read("web", LogQuery(times=True, follow=True, until=100.0))
    piece = await anext(stream)
    assert piece.data == b"half\n"
    assert 10.0 <= piece.after < piece.by < 11.0
    clock.happenings = [lambda: setattr(clock, "time", 100.0)]
    assert [each async for each in stream] == []


def test_marks_of_which_there_are_too_many_say_less_and_nothing_wrong() -> None:
    marks = decode(b"".join(encode([Mark(end=n, after=n, by=n + 1)]) for n in range(1, 9)) + b"9 torn")
    left = [(2, 1, 3), (4, 3, 5), *((n, n, n + 1) for n in range(5, 9))]
    assert [(m.end, m.after, m.by) for m in thinned(marks)] == left
