"""What operators do each day, by jailctl on a real daemon: files in and out, a console, one command in many jails."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.node import Node
from tests.patience import patient

pytestmark = pytest.mark.real(*LINUX_HOST)
SECONDS = patient(20.0)
JAILCTL = Path(sys.executable).with_name("jailctl")
BIG = 64 << 20


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def pair(node: Node) -> Iterator[tuple[str, str]]:
    """Two running jails with a label."""
    names = ("day-1", "day-2")
    for name in names:
        node.api.create(name, trees.spec("tiny-1", "web/1", labels="{team: day}"))
    yield names
    for name in names:
        node.api.delete(name)


def jailctl(node: Node, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    argv: list[str | Path] = [JAILCTL, "--address", f"unix://{node.folder}/jaild.sock", *words]
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=SECONDS, check=False)


def inside(node: Node, jail: str, script: str) -> str:
    done = jailctl(node, "jail", "exec", "-u", "root", jail, "-I", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_tree_is_copied_into_a_running_jail_and_out_of_one_that_is_stopped(
    node: Node, pair: tuple[str, str], tmp_path: Path
) -> None:
    jail, _ = pair
    tree = tmp_path / "site"
    (tree / "inner").mkdir(parents=True)
    with (tree / "big").open("wb") as file:
        file.write(os.urandom(BIG))
        file.seek(4 * BIG)
        file.write(b"end")
    (tree / "inner/link").symlink_to("../big")
    (tree / "inner/script").write_text("#!/bin/sh\n")
    (tree / "inner/script").chmod(0o751)
    os.chown(tree / "inner/script", 1, 12345)

    done = jailctl(node, "jail", "cp", "-a", str(tree), f"{jail}:/var/lib")
    assert done.returncode == 0, done.stderr
    told = inside(node, jail, "stat -c '%a %u %g %s' /var/lib/site/inner/script /var/lib/site/big; ls /var/lib/site")
    assert told.splitlines()[0] == "751 1 12345 10"
    assert told.splitlines()[1].split()[3] == str(4 * BIG + 3)
    blocks = int(inside(node, jail, "stat -c %b /var/lib/site/big"))
    assert blocks * 512 < 2 * BIG

    assert jailctl(node, "jail", "stop", jail).returncode == 0
    back = jailctl(node, "jail", "cp", "-a", f"{jail}:/var/lib/site", str(tmp_path / "back"))
    assert back.returncode == 0, back.stderr
    assert subprocess.run(["diff", "-r", tree, tmp_path / "back"], check=False).returncode == 0
    assert (tmp_path / "back/inner/script").stat().st_gid == 12345
    assert (tmp_path / "back/big").stat().st_blocks * 512 < 2 * BIG
    into = jailctl(node, "jail", "cp", "-", f"{jail}:/root/note", stdin=b"while it was stopped")
    assert into.returncode == 0, into.stderr
    assert jailctl(node, "jail", "start", jail).returncode == 0
    assert inside(node, jail, "cat /root/note") == "while it was stopped"
    assert jailctl(node, "jail", "cp", f"{jail}:/etc/os-release", "-").stdout.startswith(b"ID=tiny")


def test_no_link_of_a_jail_leads_out_of_it_and_what_is_a_generations_is_refused(
    node: Node, pair: tuple[str, str], tmp_path: Path
) -> None:
    _, jail = pair
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    inside(node, jail, f"ln -s {tmp_path} /var/out; ln -s ../../../../../../../../{tmp_path} /var/up")
    for way in ("out", "up"):  # in the jail they lead to its own /tmp, which is in memory
        stolen = jailctl(node, "jail", "cp", f"{jail}:/var/{way}/secret", "-")
        assert (stolen.returncode, stolen.stdout, b"PATH_IN_MEMORY" in stolen.stderr) == (4, b"", True)
        planted = jailctl(node, "jail", "cp", str(secret), f"{jail}:/var/{way}/planted")
        assert planted.returncode == 4
    assert names_in(tmp_path) == ["secret"]
    for path in ("/etc/motd", "/usr/local/version", "/bin/sh"):
        refused = jailctl(node, "jail", "cp", str(secret), f"{jail}:{path}")
        assert (refused.returncode, b"PATH_OF_GENERATION" in refused.stderr) == (4, True), refused.stderr


def test_a_command_in_all_jails_with_a_label_tells_whose_line_is_whose(node: Node, pair: tuple[str, str]) -> None:
    script = "hostname; [ $(hostname) = day-1 ]"
    done = jailctl(node, "jail", "exec", "-l", "team=day", "--", "sh", "-c", script)
    assert sorted(done.stdout.decode().splitlines()) == [f"{name} | {name}" for name in pair]
    assert done.returncode == 9
    assert "1 of 2 failed" in done.stderr.decode()
    assert "day-2: exit status 1" in done.stderr.decode()
    told = jailctl(node, "jail", "exec", "-l", "team=day", "-o", "json", "--", "true").stdout.decode()
    assert sorted((line["jail"], line["exitStatus"]) for line in map(json.loads, told.splitlines())) == [
        (f"jails/{name}", 0) for name in pair
    ]


def test_a_console_is_a_shell_on_a_terminal_with_its_size_its_keys_and_its_status(
    node: Node, pair: tuple[str, str]
) -> None:
    jail, _ = pair
    child, terminal = pty.fork()
    if child == 0:
        os.execv(JAILCTL, ["jailctl", "--address", f"unix://{node.folder}/jaild.sock", "jail", "console", jail])  # noqa: S606
    termios.tcsetwinsize(terminal, (33, 77))
    shown = typed(terminal, "echo home=$HOME in $PWD as $0\n", "home=/root in /root as -")  # a login, by su(1)
    shown += typed(terminal, "echo size $(stty size) $TERM\n", "size 33 77")
    shown += typed(terminal, "echo be''gun; sleep 1000\n", "begun")
    shown += typed(terminal, "\x03", "#")
    shown += typed(terminal, "test -t 0 && echo tty-yes; exit 7\n", "tty-yes")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 7, shown


def test_jails_start_after_those_that_they_name_and_stop_before_them(node: Node) -> None:
    for name, boot in (
        ("order-a", "{order: 1, after: [order-b]}"),
        ("order-b", "{order: 1, after: [order-c]}"),
        ("order-c", "{order: 9}"),
    ):
        node.api.create(name, trees.spec("tiny-1", "web/1", boot=boot))
    refused = jailctl(node, "jail", "configure", "order-c", "--set", "boot.after=[order-a]", "--plan")
    assert (refused.returncode, b"order-c after order-a after order-b after order-c" in refused.stdout) == (4, True)
    last = int(jailctl(node, "events", "-o", "json").stdout.splitlines()[-1].split(b'"sequence": "')[1].split(b'"')[0])
    planned = jailctl(node, "host", "stop-jails", "--plan").stdout.decode()
    order = [planned.index(f"order-{jail}") for jail in "abc"]
    assert order == sorted(order)
    assert jailctl(node, "host", "stop-jails").returncode == 0
    assert jailctl(node, "host", "start-jails").returncode == 0
    told = jailctl(node, "events", "--after", str(last), "-o", "json").stdout.splitlines()
    seen = [(event["kind"], event["target"].removeprefix("jails/order-")) for event in map(json.loads, told)]
    assert [jail for kind, jail in seen if kind == "jail.started" and len(jail) == 1] == ["c", "b", "a"]
    for name in ("order-a", "order-b", "order-c"):
        node.api.delete(name)


def test_a_list_is_watched_by_events(node: Node, pair: tuple[str, str]) -> None:
    argv: list[str | Path] = [
        JAILCTL,
        "--address",
        f"unix://{node.folder}/jaild.sock",
        "jail",
        "ls",
        "--watch",
        "-o",
        "json",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        lines = iter(watching.stdout.readline, "")
        next(line for line in lines if pair[0] in line)
        assert jailctl(node, "jail", "restart", pair[0]).returncode == 0
        changed = next(found for found in map(json.loads, lines) if found["object"]["name"] == f"jails/{pair[0]}")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(SECONDS) == 0
    assert changed["change"] == "changed"


def typed(terminal: int, keys: str, wanted: str) -> str:
    """Type keys, and return what is shown until `wanted` is there beyond their echo."""
    os.write(terminal, keys.encode())
    shown, until = "", time.monotonic() + SECONDS
    while wanted not in shown.replace(keys.strip(), "") and time.monotonic() < until:
        if select.select([terminal], [], [], 1.0)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    assert wanted in shown.replace(keys.strip(), ""), shown
    return shown
