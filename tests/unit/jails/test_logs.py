from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.engine.events import Events
from jaild.engine.inventory import Inventory
from jaild.engine.supervisor import Supervisor
from jaild.jails.runs import Logs, Runs
from jaild.model.layout import Layout
from tests.fakes.clock import FakeClock
from tests.fakes.runtime import FakeRuntime
from tests.fakes.store import MemoryStore
from tests.fakes.zfs import FakeZfs


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
    files = HostFiles(tmp_path / "spool")
    inventory = Inventory(Layout("tank/jaild"), FakeZfs(tmp_path / "zfs"), files)
    events = Events(MemoryStore(), clock)
    runs = Runs(inventory, FakeRuntime(), Supervisor(clock, events.emit), events, clock, log.parent)
    return Logs(files, runs, clock)


async def whole(logs: Logs, lines: int) -> bytes:
    return b"".join([piece async for piece in logs.read("web", lines=lines, follow=False)])


def append(log: Path, text: bytes) -> Callable[[], object]:
    def write() -> None:
        with log.open("ab") as file:
            file.write(text)

    return write


async def test_a_jail_that_wrote_nothing_yet_has_an_empty_log(logs: Logs) -> None:
    assert await whole(logs, 0) == b""
    assert await whole(logs, 10) == b""


async def test_no_number_of_lines_means_all_of_them(logs: Logs, log: Path) -> None:
    log.write_bytes(b"x" * 200_000 + b"\nend\n")
    assert await whole(logs, 0) == log.read_bytes()


async def test_only_the_last_lines_are_given_if_so_asked(logs: Logs, log: Path) -> None:
    log.write_bytes(b"one\ntwo\nthree\n")
    assert await whole(logs, 2) == b"two\nthree\n"
    assert await whole(logs, 9) == b"one\ntwo\nthree\n"


async def test_a_follower_gets_what_is_there_and_then_what_comes(logs: Logs, log: Path, clock: ScriptedClock) -> None:
    log.write_bytes(b"old\nlast\n")
    clock.happenings = [lambda: None, append(log, b"new\n"), append(log, b"newer\n")]
    stream = logs.read("web", lines=1, follow=True)
    assert [await anext(stream) for _ in range(3)] == [b"last\n", b"new\n", b"newer\n"]


async def test_a_follower_may_begin_before_there_is_a_log(logs: Logs, log: Path, clock: ScriptedClock) -> None:
    clock.happenings = [append(log, b"first\n")]
    assert await anext(logs.read("web", lines=10, follow=True)) == b"first\n"


async def test_a_log_that_was_begun_anew_is_followed_from_its_beginning(
    logs: Logs, log: Path, clock: ScriptedClock
) -> None:
    log.write_bytes(b"a long line that was there before\n")
    clock.happenings = [lambda: log.write_bytes(b"short\n"), lambda: None]
    stream = logs.read("web", lines=0, follow=True)
    assert await anext(stream) == b"a long line that was there before\n"
    assert await anext(stream) == b"short\n"
