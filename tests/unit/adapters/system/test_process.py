from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.system import process
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import DeadlineExceededError, InternalError, UnavailableError
from jaild.ports.process import TerminalSize
from tests.pids import command_of, gone

# What starts a program in a session of its own and keeps its pipes: util-linux has the one, FreeBSD the other.
DETACHED = ("setsid", "--fork") if shutil.which("setsid") else ("daemon",)


@pytest.fixture
def processes() -> ProcessRunner:
    return ProcessRunner()


async def _content(file: Path) -> str:
    async with asyncio.timeout(5):
        while not (file.exists() and file.read_text().endswith("\n")):  # noqa: ASYNC110 -- written by another program
            await asyncio.sleep(0.005)
    return file.read_text()


async def test_a_terminal_controls_the_session_of_its_program(processes: ProcessRunner) -> None:
    script = "test -t 0 && test -t 1 && test -t 2 && stty size </dev/tty; trap 'exit 7' INT; cat"
    terminal = TerminalSize(rows=24, columns=80)
    async with asyncio.timeout(10), processes.start(["sh", "-c", script], terminal=terminal) as child:
        said = aiter(child.read())
        assert (await anext(said)).strip() == b"24 80"
        await child.write(b"one\r")
        shown = b""
        while shown.count(b"one\r\n") < 2:  # by the terminal, and by cat
            shown += await anext(said)
        await child.write(b"\x03")
        assert b"".join([piece async for piece in said]).strip() == b"^C"
        assert (await child.wait()).status == 7
        with pytest.raises(BrokenPipeError):
            await child.write(b"x")
    with pytest.raises(UnavailableError):
        async with processes.start(["nosuch-program"], terminal=terminal):
            pass
    # Its end is what is there when it ends, though another process keeps the terminal; signals are as by default.
    async with (
        asyncio.timeout(10),
        processes.start(["sh", "-c", "sleep 9 & yes | head -n 1"], terminal=terminal) as child,
    ):
        assert b"".join([piece async for piece in child.read()]) == b"y\r\n"
    async with processes.start(["sh", "-c", "cat; exit 4"], terminal=terminal) as child:
        await child.write(b"no end of a line")
        await child.close_stdin()
        assert (await child.wait()).status == 4
    async with processes.start(["sh", "-c", "echo up; exec cat"], terminal=terminal) as child:
        assert await anext(aiter(child.read())) == b"up\r\n"
        child.hang_up()
        assert (await child.wait()).status == -signal.SIGHUP
        child.resize(terminal)
        child.hang_up()


async def test_output_and_status_are_returned_as_the_program_left_them(processes: ProcessRunner) -> None:
    done = await processes.run(["sh", "-c", "cat; echo bad >&2; exit 3"], stdin=b"x\xff\n", check=False)
    assert (done.status, done.stdout, done.stderr) == (3, b"x\xff\n", b"bad\n")
    assert done.text == "x\udcff\n"


async def test_a_bad_status_raises_with_the_command_the_status_and_what_it_said(processes: ProcessRunner) -> None:
    with pytest.raises(InternalError) as caught:
        await processes.run(["sh", "-c", "echo no luck >&2; exit 7"])
    assert caught.value.reason == "COMMAND_FAILED"
    assert caught.value.detail["status"] == "7"
    assert "no luck" in caught.value.message


async def test_a_missing_program_is_named(processes: ProcessRunner) -> None:
    with pytest.raises(UnavailableError, match="jaild-no-such-program") as caught:
        await processes.run(["jaild-no-such-program"])
    assert caught.value.reason == "PROGRAM_MISSING"


async def test_a_program_is_looked_for_once_and_again_when_it_has_gone(
    processes: ProcessRunner, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "tool").write_text(f"#!/bin/sh\necho $0 {folder.name}\n")
    (second / "tool").chmod(0o755)
    surroundings = {"PATH": f"{first}:{second}:/bin"}
    assert (await processes.run(["tool"], env=surroundings)).text == f"{second}/tool second\n"
    (first / "tool").chmod(0o755)
    assert (await processes.run(["tool"], env=surroundings)).text == f"{second}/tool second\n"
    (second / "tool").unlink()
    assert (await processes.run(["tool"], env=surroundings)).text == f"{first}/tool first\n"
    (first / "tool").chmod(0o644)
    with pytest.raises(UnavailableError, match="Permission denied") as caught:
        await processes.run(["tool"], env=surroundings)
    assert caught.value.reason == "PROGRAM_MISSING"


async def test_a_missing_working_directory_is_not_blamed_on_the_program(
    processes: ProcessRunner, tmp_path: Path
) -> None:
    with pytest.raises(InternalError, match="cannot start in"):
        await processes.run(["true"], cwd=tmp_path / "none")


async def test_a_program_gets_a_minimal_environment_and_not_the_daemons(
    processes: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAILD_SECRET", "1")
    text = (await processes.run(["env"], env={"MORE": "2"})).text
    assert "JAILD_SECRET" not in text
    assert {"LC_ALL=C", "MORE=2"} <= set(text.splitlines())


async def test_after_the_timeout_the_program_and_its_children_are_dead(
    processes: ProcessRunner, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(DeadlineExceededError) as caught:
        await processes.run(["sh", "-c", f"sleep 60 & echo $$ $! > {pids}; wait"], timeout=0.3)
    assert caught.value.reason == "COMMAND_TIMEOUT"
    for pid in pids.read_text().split():
        await gone(int(pid))


async def test_cancelling_kills_the_program_and_its_children(processes: ProcessRunner, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    task = asyncio.create_task(processes.run(["sh", "-c", f"sleep 60 & echo $$ $! > {pids}; wait"]))
    text = await _content(pids)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in text.split():
        await gone(int(pid))


async def test_cancelling_while_the_program_is_being_started_kills_its_children_too(
    processes: ProcessRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    started, start = [], subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    task = asyncio.create_task(processes.run(["sh", "-c", f"sleep 60 & echo $$ $! > {pids}; wait"]))
    while not started:  # noqa: ASYNC110 -- and asyncio has not said so yet
        await asyncio.sleep(0)
    monkeypatch.undo()
    until = time.monotonic() + 5
    while not (pids.exists() and pids.read_text().endswith("\n")):  # without a turn of the loop
        assert time.monotonic() < until
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    for pid in pids.read_text().split():
        await gone(int(pid))


async def test_a_program_that_cannot_be_killed_keeps_nobody_waiting_and_is_reaped_when_it_ends(
    processes: ProcessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "REAPED", 0.1)
    with monkeypatch.context() as kernel:
        kernel.setattr(os, "killpg", lambda _pid, _signal: None)  # as for one that waits for a disk
        async with asyncio.timeout(5), processes.start(["sleep", "60"]) as child:
            pid = child.pid
    (told,) = process.unended()
    assert f"sleep 60 (pid {pid}) was killed" in told
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        await child.wait()
    assert process.unended() == ()


async def test_a_daemon_that_keeps_the_pipes_open_ends_in_a_timeout_and_not_in_a_hang(
    processes: ProcessRunner, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(DeadlineExceededError):
        await processes.run([*DETACHED, "sh", "-c", f"echo $$ > {pid}; exec sleep 60"], timeout=1)
    daemon = int(await _content(pid))
    assert command_of(daemon) == "sleep 60"
    os.kill(daemon, signal.SIGKILL)


async def test_output_to_a_file_does_not_wait_for_children_that_keep_it_open(
    processes: ProcessRunner, tmp_path: Path
) -> None:
    pid, log = tmp_path / "pid", tmp_path / "log"
    log.write_text("before\n")
    done = await processes.run(["sh", "-c", f"sleep 60 & echo $! > {pid}; echo out; echo err >&2"], output=log)
    os.kill(int(pid.read_text()), 9)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert log.read_text() == "before\nout\nerr\n"


async def test_a_bad_status_with_output_to_a_file_quotes_only_what_was_added(
    processes: ProcessRunner, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with pytest.raises(InternalError) as caught:
        await processes.run(["sh", "-c", "echo now; exit 1"], output=log)
    assert caught.value.detail["stderr"] == "now"


async def test_of_a_flood_on_stderr_only_the_end_is_kept(processes: ProcessRunner) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2"
    done = await processes.run(["sh", "-c", script])
    assert len(done.stderr) == 64 << 10
    assert done.stderr.endswith(b"line 19999\n")


async def test_input_that_nobody_reads_is_no_error_when_the_program_succeeds(processes: ProcessRunner) -> None:
    assert (await processes.run(["true"], stdin=b"x" * (4 << 20))).status == 0


async def test_a_started_child_streams_both_ways(processes: ProcessRunner) -> None:
    async with processes.start(["cat"]) as child:
        await child.write(b"a" * 100_000)
        await child.close_stdin()
        await child.close_stdin()
        data = b"".join([piece async for piece in child.read(4096)])
        done = await child.wait()
    assert (data, done.status, done.stdout) == (b"a" * 100_000, 0, b"")


async def test_whole_pieces_have_their_size_but_for_the_last(processes: ProcessRunner) -> None:
    script = "i=0; while [ $i -lt 50 ]; do printf 1234567; i=$((i+1)); done"
    async with processes.start(["sh", "-c", script]) as child:
        pieces = [piece async for piece in child.read(100, whole=True)]
    assert [len(piece) for piece in pieces] == [100, 100, 100, 50]
    assert b"".join(pieces) == b"1234567" * 50


async def test_starting_and_ending_programs_leaves_no_descriptor_open(processes: ProcessRunner) -> None:
    await processes.run(["true"])
    before = sorted(Path("/dev/fd").iterdir())
    await processes.run(["cat"], stdin=b"x")
    with pytest.raises(UnavailableError):
        await processes.run(["jaild-no-such-program"], stdin=b"x")
    async with processes.start(["cat"]):
        pass
    assert sorted(Path("/dev/fd").iterdir()) == before


async def test_writing_to_a_child_that_is_gone_raises_broken_pipe(processes: ProcessRunner) -> None:
    async with processes.start(["sh", "-c", "exec <&-; echo gone >&2; exit 4"]) as child:
        with pytest.raises(BrokenPipeError):
            await child.write(b"x" * (8 << 20))
        done = await child.wait()
    assert (done.status, done.stderr) == (4, b"gone\n")


async def test_leaving_the_context_kills_the_child_even_with_unread_output_and_unwritten_input(
    processes: ProcessRunner,
) -> None:
    async with processes.start(["sh", "-c", "yes & exec sleep 60"]) as child:
        writing = asyncio.create_task(child.write(b"x" * (8 << 20)))
        async for _ in child.read():
            break
        pid = child.pid
    await asyncio.wait({writing})
    assert isinstance(writing.exception(), BrokenPipeError)
    await gone(pid)


async def test_waiting_does_not_need_the_output_to_be_read(processes: ProcessRunner) -> None:
    async with processes.start(["sh", "-c", "head -c 3000 /dev/zero; exit 5"]) as child:
        assert (await child.wait()).status == 5
        child.kill()
