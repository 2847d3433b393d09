"""`jailctl top`: what a screen has at any size, what keys do, and that the terminal is as it was afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from jaild.cli.top.frame import Line, Look, Order, frame
from jaild.cli.top.live import pressed
from jaild.cli.top.snapshot import Snapshot
from jaild.v1 import host_pb2, jails_pb2, rollouts_pb2, stats_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

NOW = 1_000_000
STATES = jails_pb2.Jail


def at(ago: int) -> Timestamp:
    return Timestamp(seconds=NOW - ago)


def jail(name: str, state: Any = STATES.STATE_RUNNING, **fields: Any) -> jails_pb2.Jail:
    return jails_pb2.Jail(name=f"jails/{name}", state=state, **fields)


def standby(ago: int, *, behind: bool = False) -> list[jails_pb2.StandbyStatus]:
    return [jails_pb2.StandbyStatus(host="beta", recovery_point_time=at(ago), behind=behind)]


def used(name: str, memory: int = 1 << 20) -> stats_pb2.JailStats:
    return stats_pb2.JailStats(name=f"jails/{name}", running=True, cpu_seconds=1.0, memory_bytes=memory, processes=3)


HOST = host_pb2.HostInfo(name="alpha", version="1.0", start_time=at(7200), available_bytes=1 << 40)
ALL = Snapshot(
    taken=NOW,
    host=HOST,
    jails=(
        jail("web-frontend", start_time=at(90), generation=12, standbys=standby(200, behind=True)),
        jail("db", start_time=at(9000), generation=3, standbys=standby(30)),
        jail("gone", STATES.STATE_CRASH_LOOP, message="it ended by itself more often than its policy allows"),
        jail("idle", STATES.STATE_STOPPED),
    ),
    stats={"jails/web-frontend": used("web-frontend"), "jails/db": used("db", 1 << 30)},
    loads={"jails/web-frontend": 0.5, "jails/db": 0.25},
    changes=(
        operation(
            kind="migrate",
            target="jails/db",
            phase="precopy",
            bytes_done=1 << 20,
            bytes_total=4 << 20,
            bytes_per_second=1 << 19,
            create_time=at(10),
            facts={"migration": "m1"},
        ),
    ),
    targets={"m1": "beta"},
    rollouts=(
        rollouts_pb2.Rollout(
            name="rollouts/0123456789",
            target="bases/deb-2",
            state=rollouts_pb2.Rollout.STATE_PAUSED,
            steps=[
                rollouts_pb2.RolloutStep(state=rollouts_pb2.RolloutStep.STATE_DONE),
                rollouts_pb2.RolloutStep(state=rollouts_pb2.RolloutStep.STATE_FAILED),
            ],
        ),
    ),
)


def texts(look: Look, snapshot: Snapshot = ALL) -> list[str]:
    return [line.text for line in frame(snapshot, look)]


def names(order: Order, snapshot: Snapshot = ALL) -> list[str]:
    return [line.split()[0] for line in texts(Look(order=order), snapshot)[4:]]


def test_a_screen_of_80_columns_has_what_is_under_way_and_a_row_for_each_jail() -> None:
    head, rollout, change, columns, *rows = texts(Look(height=24))
    assert head.startswith("alpha  jaild 1.0, up 2h  4 jails, 2 running  1T free")
    assert len(head) == 80
    assert rollout == "rollout 01234567 to deb-2  paused  1 of 2 jails, 1 failed"
    assert change == "migrate db to beta  precopy  25% of 4M  512K/s  10s"
    assert columns.split() == ["NAME", "STATE", "GEN", "CPU", "MEM", "PROC", "REPL", "UP", "NOTE"]
    assert rows[0].split() == ["web-frontend", "running", "12", "50%", "1M", "3", "3m!", "90s"]
    assert rows[1].split() == ["db", "running", "3", "25%", "1G", "3", "30s", "2h"]
    assert rows[2].split()[:3] == ["gone", "crash-loop", "it"]
    assert rows[3].split() == ["idle", "stopped"]


@pytest.mark.parametrize("width", [20, 40, 60, 79, 80, 200])
@pytest.mark.parametrize("height", [3, 8, 24, 60])
def test_no_line_is_wider_than_the_screen_and_there_are_no_more_than_it_has(width: int, height: int) -> None:
    for look in (Look(width=width, height=height), Look(width=width, height=height, help=True, trouble="away " * 40)):
        lines = texts(look)
        assert len(lines) <= height
        assert all(len(line) <= width for line in lines), lines


def test_a_narrow_screen_keeps_what_matters_most() -> None:
    columns = texts(Look(width=44, height=24))[3].split()
    assert {"NAME", "STATE", "CPU"} <= set(columns)
    assert "PROC" not in columns


def test_where_the_system_counts_it_what_is_read_and_written_is_shown() -> None:
    stats = used("db")
    stats.read_bytes_per_second, stats.write_bytes_per_second = 2 << 20, 0
    looked = Snapshot(taken=NOW, host=HOST, jails=(jail("db"),), stats={"jails/db": stats})
    _, columns, row = texts(Look(width=120), looked)
    assert {"READ", "WRITE"} < set(columns.split())
    assert row.split()[-2:] == ["2M/s", "0B/s"]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (Order.CPU, ["web-frontend", "db"]),
        (Order.MEMORY, ["db", "web-frontend"]),
        (Order.NAME, ["db", "gone", "idle", "web-frontend"]),
        (Order.STATE, ["gone", "db", "web-frontend", "idle"]),
        (Order.UP, ["web-frontend", "db"]),
        (Order.REPLICA, ["web-frontend", "db"]),
    ],
)
def test_jails_are_in_the_order_that_was_asked_for(order: Order, first: list[str]) -> None:
    assert names(order)[: len(first)] == first


def test_what_the_operator_must_fix_stands_on_top_and_in_red() -> None:
    host = host_pb2.HostInfo(name="alpha", warnings=["the disk is full"], drain=host_pb2.HostDrain(reason="new disks"))
    lines = frame(Snapshot(taken=NOW, host=host), Look(trouble="cannot be reached"))
    assert lines[1:4] == [
        Line("not of now: cannot be reached", "red"),
        Line("takes no jails: new disks", "yellow"),
        Line("to fix: the disk is full", "red"),
    ]
    assert [line.style for line in frame(ALL, Look()) if line.text.startswith("gone")] == ["red"]


def test_more_changes_than_fit_are_counted() -> None:
    many = Snapshot(taken=NOW, host=HOST, jails=ALL.jails, changes=ALL.changes * 9)
    assert texts(Look(height=24), many)[6] == "and 4 more under way"
    assert texts(Look(height=10), many)[2] == "and 8 more under way"


def test_control_characters_do_not_reach_the_terminal() -> None:
    bad = Snapshot(taken=NOW, host=HOST, jails=(jail("x", message="a\x1b[2Jb\nc"),))
    assert texts(Look(), bad)[2].endswith("a\\x1b[2Jb c")


def test_keys_sort_scroll_and_help() -> None:
    look = Look(first=1)
    assert pressed(look, "m", 9) == Look(order=Order.MEMORY)
    assert [pressed(look, key, 9).first for key in ("j", "k", "\x1b[B", "\x1b[A", "\x1b[6~", "\x1b[5~")] == [
        2,
        0,
        2,
        0,
        8,
        0,
    ]
    assert pressed(look, "h", 9).help
    assert pressed(look, "", 0).first == 0
    assert pressed(Look(help=True), "c", 9).help is False


def measured(cpu: float, at_second: int) -> stats_pb2.JailStats:
    return stats_pb2.JailStats(
        name="jails/web", running=True, cpu_seconds=cpu, sample_time=Timestamp(seconds=at_second), memory_bytes=1 << 20
    )


@pytest.fixture
def looked_at(daemon: Daemon) -> Daemon:
    daemon.jails = [jail("web")]
    daemon.stats = [[measured(second / 2, second)] for second in range(1, 500)]
    return daemon


def test_once_it_is_measured_twice_and_printed_in_whole(jailctl: Run, looked_at: Daemon) -> None:
    looked_at.jails = [jail("web", message="a long message " * 20)]
    result = jailctl("top", "--once")
    assert result.exit_code == 0
    assert "50%" in result.stdout
    assert "a long message " * 19 in result.stdout
    assert "\x1b" not in result.stdout


def test_so_many_frames_follow_each_other(jailctl: Run, looked_at: Daemon) -> None:  # noqa: ARG001
    assert jailctl("top", "-n", "3", "--interval", "0.01").stdout.count("NAME") == 3


def test_programs_get_all_of_it(jailctl: Run, looked_at: Daemon) -> None:  # noqa: ARG001
    found = json.loads(jailctl("top", "-o", "json").stdout)
    assert found["jails"][0]["stats"]["cpuCores"] == 0.5
    assert {"host", "operations", "rollouts"} < set(found)


class Terminal:
    """A terminal of 80 columns with jailctl top on it."""

    def __init__(self, daemon: Daemon, term: str = "xterm") -> None:
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        argv = [sys.executable, "-c", "from jaild.cli.main import main; main()", "--address", daemon.address, "top"]
        told = {**os.environ, "TERM": term, "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            [*argv, "--interval", "0.1"], stdin=theirs, stdout=theirs, stderr=theirs, env=told, start_new_session=True
        )
        self.seen = ""

    def until(self, wanted: Callable[[str], bool]) -> None:
        """Read what is written until that holds of all of it."""
        deadline = time.monotonic() + 30
        while not wanted(self.seen):
            readable, _, _ = select.select([self.ours], [], [], deadline - time.monotonic())
            assert readable, self.seen[-2000:]
            self.seen += os.read(self.ours, 65536).decode(errors="replace")

    def press(self, key: str) -> None:
        os.write(self.ours, key.encode())

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal(looked_at: Daemon) -> Iterator[Terminal]:
    made = Terminal(looked_at)
    yield made
    made.close()


LEFT = "\x1b[?1049l"


def test_on_a_terminal_it_is_drawn_over_and_over_until_q_and_nothing_is_left_of_it(terminal: Terminal) -> None:
    terminal.until(lambda seen: seen.count("\x1b[H\x1b[1m") > 2 and "50%" in seen)
    assert terminal.seen.startswith("\x1b[?1049h")
    assert "\x1b[2J" not in terminal.seen.partition("\x1b[2J")[2]  # cleared once, and written over from then on
    terminal.press("h")
    terminal.until(lambda seen: "quit" in seen)
    terminal.press("q")
    terminal.until(lambda seen: LEFT in seen)
    assert terminal.process.wait(20) == 0
    assert termios.tcgetattr(terminal.theirs) == terminal.before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_puts_the_terminal_back_too(terminal: Terminal, number: signal.Signals, status: int) -> None:
    terminal.until(lambda seen: "50%" in seen)
    terminal.process.send_signal(number)
    terminal.until(lambda seen: LEFT in seen)
    assert terminal.process.wait(20) == status
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_a_daemon_that_goes_away_is_told_and_keys_are_still_heard(terminal: Terminal, looked_at: Daemon) -> None:
    terminal.until(lambda seen: "50%" in seen)
    looked_at.stop()
    terminal.until(lambda seen: "not of now" in seen)
    terminal.press("q")
    assert terminal.process.wait(20) == 0


def test_a_terminal_that_cannot_be_written_over_gets_one_frame_after_the_other(looked_at: Daemon) -> None:
    made = Terminal(looked_at, term="dumb")
    try:
        made.until(lambda seen: seen.count("NAME") > 1)
        assert "\x1b" not in made.seen
    finally:
        made.close()
