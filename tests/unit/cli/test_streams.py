"""Bytes to and from the daemon: archives, exec, logs, events."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.system.terminals import TAKE
from jaild.cli.client import interrupts
from jaild.cli.client.upload import CHUNK
from jaild.v1 import apps_pb2, bases_pb2, events_pb2, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status

MAIN = "from jaild.cli.main import main; main()"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "redis.tar"
    path.write_bytes(bytes(range(256)) * (CHUNK // 256) * 2 + b"end")
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    path = tmp_path / "redis.yaml"
    path.write_text("command: [redis-server]\n")
    return str(path)


def test_a_push_sends_a_header_with_digest_and_size_and_then_every_byte(
    jailctl: Run, daemon: Daemon, archive: Path, manifest: str
) -> None:
    daemon.answers = [operation(apps_pb2.Release(), kind="push", target="apps/redis/releases/7.2")]

    result = jailctl("app", "push", "redis/7.2", str(archive), "--manifest", manifest, "--from", "7.0")

    first, *chunks = daemon.uploads
    content = archive.read_bytes()
    assert result.exit_code == 0, result.output
    assert (first.header.parent, first.header.release_id) == ("apps/redis", "7.2")
    assert first.header.sha256 == hashlib.sha256(content).hexdigest()
    assert first.header.size_bytes == len(content)
    assert first.header.manifest_yaml == "command: [redis-server]\n"
    assert getattr(first.header, "from") == "apps/redis/releases/7.0"
    assert b"".join(part.chunk for part in chunks) == content
    assert max(len(part.chunk) for part in chunks) == CHUNK


def test_a_given_digest_is_sent_as_it_was_given(jailctl: Run, daemon: Daemon, archive: Path) -> None:
    daemon.answers = [operation(bases_pb2.Base())]

    jailctl("base", "import", "debian-12", str(archive), "--sha256", "abc")

    assert daemon.uploads[0].header.sha256 == "abc"


def test_stdin_is_streamed_with_neither_size_nor_digest(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(bases_pb2.Base())]

    jailctl("base", "import", "debian-12", "-", stdin=b"tar\xff")

    first, chunk = daemon.uploads
    assert (first.header.base_id, first.header.size_bytes, first.header.sha256) == ("debian-12", 0, "")
    assert chunk.chunk == b"tar\xff"


def test_a_path_on_the_host_is_named_and_no_byte_is_sent(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(bases_pb2.Base())]

    jailctl("base", "import", "14.3", "/usr/dist", "--on-host")

    (only,) = daemon.uploads
    assert only.header.path == "/usr/dist"


def test_a_distribution_sets_manifest_goes_along_with_the_archives_name_in_it(
    jailctl: Run, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.answers = [operation(bases_pb2.Base())] * 2
    (tmp_path / "MANIFEST").write_text("base-dbg.txz\tabc\t7\n")
    for name in ("base-dbg.txz", "renamed.txz"):
        (tmp_path / name).write_bytes(b"x")
        jailctl("base", "import", "14.3", str(tmp_path / name), "--manifest", str(tmp_path / "MANIFEST"))

    headers = [part.header for part in daemon.uploads if part.HasField("header")]
    assert [header.manifest_entry for header in headers] == ["base-dbg.txz", ""]


@pytest.mark.parametrize("path", [".", "/nonexistent.tar"])
def test_what_cannot_be_streamed_is_a_wrong_command_line(jailctl: Run, daemon: Daemon, path: str) -> None:
    assert jailctl("base", "import", "debian-12", path).exit_code == 2
    assert daemon.uploads == []


def test_an_upload_that_is_refused_says_why(jailctl: Run, daemon: Daemon, archive: Path) -> None:
    daemon.answers = [status("ALREADY_EXISTS", "BASE_EXISTS", "debian-12 is there", hint="choose another name")]

    result = jailctl("base", "import", "debian-12", str(archive))

    assert result.exit_code == 6
    assert "choose another name" in result.stderr


def test_exec_passes_bytes_both_ways_and_ends_with_the_commands_status(jailctl: Run, daemon: Daemon) -> None:
    result = jailctl("jail", "exec", "-e", "A=b", "-u", "www", "web", "--", "sh", "-c", "42", stdin=b"\x00in\xff")

    assert result.stdout_bytes == b"\x00in\xff"
    assert result.stderr_bytes == b"err\xff"
    assert result.exit_code == 42
    (start,) = daemon.asked(jails_pb2.ExecStart)
    assert list(start.command) == ["sh", "-c", "42"]
    assert (dict(start.environment), start.user) == ({"A": "b"}, "www")


def test_a_value_for_exec_can_come_from_ones_own_environment_where_no_list_of_processes_shows_it(
    jailctl: Run, daemon: Daemon
) -> None:
    given = jailctl("jail", "exec", "-e", "TOKEN", "web", "--", "0", env={"TOKEN": "hunter2"})
    assert given.exit_code == 0
    (start,) = daemon.asked(jails_pb2.ExecStart)
    assert dict(start.environment) == {"TOKEN": "hunter2"}
    assert jailctl("jail", "exec", "-e", "NOT_SET", "web", "--", "true").exit_code == 2


def test_exec_needs_no_dashes_and_takes_the_commands_options_for_the_commands(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("jail", "exec", "web", "ls", "--help", "0").exit_code == 0
    (start,) = daemon.asked(jails_pb2.ExecStart)
    assert list(start.command) == ["ls", "--help", "0"]


def test_exec_takes_its_own_options_up_to_the_dashes(jailctl: Run, daemon: Daemon) -> None:
    for words, command, user in (
        (["web", "-u", "www", "--", "id", "-u"], ["id", "-u"], "www"),
        (["-u", "www", "web", "--no-stdin", "--", "0"], ["0"], "www"),
        (["web", "grep", "-u", "--", "x"], ["grep", "-u", "--", "x"], ""),
        (["web", "--", "sh", "-c", "0", "--"], ["sh", "-c", "0", "--"], ""),
    ):
        jailctl("jail", "exec", *words)
        start = daemon.asked(jails_pb2.ExecStart)[-1]
        assert (list(start.command), start.user) == (command, user)
    assert "No such option" in jailctl("jail", "exec", "web", "--nonsense", "--", "0").stderr


def test_exec_without_stdin_sends_none(jailctl: Run) -> None:
    assert jailctl("jail", "exec", "--no-stdin", "web", "0", stdin=b"mine").stdout_bytes == b""


def test_exec_ends_with_its_command_although_stdin_stays_open(daemon: Daemon) -> None:
    argv = [sys.executable, "-c", MAIN, "--address", daemon.address, "jail", "exec", "web", "quit"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(30) == 7
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_exec_at_a_terminal_has_one_in_the_jail_and_gives_it_every_key(daemon: Daemon) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    before = termios.tcgetattr(ours)
    argv = [*TAKE, sys.executable, "-c", MAIN, "--address", daemon.address, "jail", "exec", "web", "5"]
    environment = {**os.environ, "TERM": "vt100"}
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    said = b""

    def hear(text: bytes) -> None:
        nonlocal said
        while text not in said:
            said += os.read(ours, 1024)

    while termios.tcgetattr(ours)[3] & termios.ICANON:
        time.sleep(0.01)
    os.write(ours, b"\x03raw\r")
    hear(b"\x03raw\r")
    termios.tcsetwinsize(ours, (50, 132))
    hear(b"rows: 50\n  columns: 132")
    os.write(ours, b"\x04")
    hear(b"err")
    assert process.wait(20) == 5
    assert termios.tcgetattr(ours) == before
    os.close(ours)
    (start,) = daemon.asked(jails_pb2.ExecStart)
    assert (start.terminal.columns, start.environment["TERM"]) == (80, "vt100")


def test_exec_without_a_terminal_passes_the_first_signal_on_and_ends_at_the_second(
    jailctl: Run, daemon: Daemon
) -> None:
    argv = [sys.executable, "-c", MAIN, "--address", daemon.address, "jail", "exec", "web", "5"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"begun")
        process.stdin.flush()
        assert os.read(process.stdout.fileno(), 99) == b"begun"
        process.send_signal(signal.SIGTERM)
        assert os.read(process.stdout.fileno(), 99) == b'signal: "TERM"\n'
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert jailctl("jail", "exec", "-t", "web", "5").exit_code == 2


def test_following_logs_until_interrupted_is_no_failure(jailctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = interrupts.stream

    def interrupted(start: Callable[[], Any]) -> Iterator[Any]:
        for part in stream(start):
            yield part
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(interrupts, "stream", interrupted)

    result = jailctl("jail", "logs", "-f", "web")

    assert result.stdout_bytes == b"one\n\xff"
    assert result.exit_code == 0


def test_lines_of_a_log_have_their_times(jailctl: Run, daemon: Daemon) -> None:
    times = ("--since", "2001-09-09T01:46:40Z", "--until", "2000000000")
    result = jailctl("jail", "logs", "web", "-t", "--tail", "5", *times)
    assert result.stdout.splitlines() == [
        "../1970-01-01T00:00:03Z old",
        "../1970-01-01T00:00:03Z half",
        "1970-01-01T00:01:04Z new",
    ]
    (asked,) = daemon.asked(jails_pb2.TailLogsRequest)
    assert (asked.lines, asked.since.seconds, asked.until.seconds) == (5, 1_000_000_000, 2_000_000_000)
    for since in ("1h30m", "yesterday"):
        assert jailctl("jail", "logs", "web", "--since", since).exit_code == (2 if since == "yesterday" else 0)


def test_events_are_lines_of_json(jailctl: Run) -> None:
    lines = jailctl("events", "--after", "1", "-o", "json").stdout.splitlines()

    assert [json.loads(line)["sequence"] for line in lines] == ["2", "3"]


def test_followed_events_resume_after_the_last_one_seen(jailctl: Run, daemon: Daemon, pauses: list[float]) -> None:
    result = jailctl("events", "-f")

    assert [line.split()[0] for line in result.stdout.splitlines()] == ["1", "2", "3", "4"]
    assert [request.after_sequence for request in daemon.asked(events_pb2.WatchEventsRequest)] == [0, 2, 4]
    assert pauses == [0.5, 0.5]
    assert result.exit_code == 0
