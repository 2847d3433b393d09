from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.system.clock import SystemClock
from jaild.adapters.system.lock import after_last_commands, only_daemon
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import FailedPreconditionError, UnavailableError
from jaild.ports.process import Completed
from tests.pids import command_of, gone

# A daemon that is killed while its command COMMAND runs; the command's pid goes to a file.
_DAEMON = """
import asyncio, os, signal, sys
from pathlib import Path
from jaild.adapters.system.clock import SystemClock
from jaild.adapters.system.lock import after_last_commands
from jaild.adapters.system.process import ProcessRunner

async def main(folder, command):
    processes = ProcessRunner()
    async with after_last_commands(folder / "commands.lock", processes, SystemClock()):
        async with processes.start([str(folder / command), str(folder / "go")]) as child:
            (folder / "pid").write_text(str(child.pid))
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""
Killed = Callable[[str], int]
PROCESSES = ProcessRunner()


def test_a_second_daemon_on_one_state_folder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with only_daemon(lock), pytest.raises(FailedPreconditionError) as refusal, only_daemon(lock):
        pass
    assert refusal.value.reason == "ALREADY_RUNNING"
    assert refusal.value.detail["pid"].isdigit()


def test_the_lock_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    with only_daemon(tmp_path / "lock"):
        pass
    with only_daemon(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text().strip().isdigit()


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    """Start a command by a daemon that is killed then; return the command's pid. It ends when FOLDER/go is written."""
    os.mkfifo(tmp_path / "go")
    pids: list[int] = []

    def begin(command: str) -> int:
        (tmp_path / command).write_text('#!/bin/sh\nread -r _ < "$1"\n')
        (tmp_path / command).chmod(0o755)
        done = subprocess.run([sys.executable, "-c", _DAEMON, str(tmp_path), command], check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
        pids.append(int((tmp_path / "pid").read_text()))
        return pids[-1]

    yield begin
    for pid in pids:
        if str(tmp_path) in command_of(pid):
            os.kill(pid, signal.SIGKILL)


class Waits(SystemClock):
    """A clock whose minutes pass in no time; `at_sleep` is called in each sleep."""

    def __init__(self, at_sleep: Callable[[], None] = lambda: None) -> None:
        self.slept = 0.0
        self._at_sleep = at_sleep

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self._at_sleep()
        await asyncio.sleep(0)


@pytest.mark.parametrize("command", ["zfs", "bsdtar"])
async def test_the_next_daemon_waits_for_the_commands_of_a_killed_one(
    tmp_path: Path, killed: Killed, command: str
) -> None:
    pid = killed(command)
    waits = asyncio.ensure_future(_entered(tmp_path, SystemClock()))
    await asyncio.wait({waits}, timeout=0.2)
    assert not waits.done()
    (tmp_path / "go").write_text("go\n")
    await asyncio.wait_for(waits, 10)
    await gone(pid, 10)


async def test_a_command_that_does_not_end_is_named_and_nothing_is_begun(tmp_path: Path, killed: Killed) -> None:
    pid = killed("zfs")
    clock = Waits()
    with pytest.raises(UnavailableError) as caught:
        await _entered(tmp_path, clock)
    assert caught.value.reason == "COMMANDS_UNENDED"
    assert f"{pid} " in caught.value.detail["commands"]
    assert str(tmp_path / "zfs") in caught.value.detail["commands"]
    assert str(os.getpid()) not in caught.value.detail["commands"]
    assert clock.slept >= 120


class WithoutFuser(ProcessRunner):
    async def run(self, argv: Sequence[str | Path], **_: Any) -> Completed:
        raise UnavailableError("PROGRAM_MISSING", f"{argv[0]}: No such file or directory")


async def test_where_the_host_cannot_tell_who_holds_it_the_error_says_so(tmp_path: Path, killed: Killed) -> None:
    killed("zfs")
    with pytest.raises(UnavailableError, match="not known: fuser"):
        await _entered(tmp_path, Waits(), WithoutFuser())


@pytest.mark.parametrize("command", ["zfs-fuse", "runc"])
async def test_what_may_live_on_holds_no_later_daemon_up(tmp_path: Path, killed: Killed, command: str) -> None:
    killed(command)
    clock = Waits()
    await _entered(tmp_path, clock)
    assert clock.slept == 0


async def _entered(folder: Path, clock: SystemClock, processes: ProcessRunner = PROCESSES) -> None:
    async with after_last_commands(folder / "commands.lock", processes, clock):
        pass
