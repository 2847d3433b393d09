"""Completion in the shells themselves: TAB at a terminal of bash and of zsh, and what fish would offer there."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from jaild.adapters.system.terminals import TAKE
from jaild.cli.main import command
from jaild.v1 import jails_pb2
from tests.unit.cli.daemon import Daemon

# What is typed, what is completed to or offered by one TAB, and what is not.
TYPED = (
    ("jailctl jail st", ("start", "stop", "standby"), "create"),
    ("jailctl jail stop --fo", ("--force", "--follow-owner"), "--plan"),
)
NAMES = ("jailctl jail start w", ("web", "web-2"), "cache")  # as the daemon says, if it does so within 0.7 s
PATIENCE = 60.0  # seconds
AGAIN = 1.5  # seconds after which TAB is pressed again: zsh offers names when it has completed what they share


@pytest.fixture
def environment(tmp_path: Path, daemon: Daemon) -> dict[str, str]:
    """A user's, with jailctl in the path and its completion where each shell looks for it."""
    daemon.jails = [jails_pb2.Jail(name=f"jails/{name}") for name in ("web", "web-2", "cache")]
    places = {
        "bash": tmp_path / "jailctl.bash",
        "zsh": tmp_path / "functions/_jailctl",
        "fish": tmp_path / "fish/completions/jailctl.fish",
    }
    for shell, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(CliRunner().invoke(command, ["completion", shell]).stdout)
    (tmp_path / "inputrc").write_text("set show-all-if-ambiguous on\nset bell-style none\n")
    jailctl = tmp_path / "bin/jailctl"
    jailctl.parent.mkdir()
    main = shlex.quote("from jaild.cli.main import main; main()")
    jailctl.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {main} "$@"\n')
    jailctl.chmod(0o755)
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "INPUTRC": str(tmp_path / "inputrc"),
        "PATH": f"{jailctl.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "JAILCTL_ADDRESS": daemon.address,
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }


@contextmanager
def at_terminal(argv: list[str], environment: dict[str, str]) -> Iterator[int]:
    """Run a shell at a terminal, and yield our end of that."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, (50, 200))
    with subprocess.Popen(
        [*TAKE, *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as shell:
        os.close(theirs)
        yield ours
        shell.kill()
    os.close(ours)


def heard(terminal: int, seconds: float) -> str:
    """Return what the shell writes next; '' if that is nothing for so long."""
    ready, _, _ = select.select([terminal], [], [], seconds)
    return os.read(terminal, 4096).decode(errors="replace") if ready else ""


def tab(terminal: int, line: str, wanted: tuple[str, ...], again: float = PATIENCE) -> str:
    """Type a line and TAB, after `again` seconds of silence once more; return what is shown, and clear the line."""
    os.write(terminal, line.encode())
    shown, until = "", time.monotonic() + PATIENCE
    while not all(word in shown for word in wanted) and time.monotonic() < until:
        os.write(terminal, b"\t")
        while not all(word in shown for word in wanted) and (more := heard(terminal, again)):
            shown += more
    os.write(terminal, b"\x15")
    return shown


@pytest.mark.parametrize(
    ("argv", "begin"),
    [
        pytest.param(
            ["bash", "--norc", "--noprofile", "-i"],
            "PS1=; source $HOME/jailctl.bash; echo rea''dy",
            marks=pytest.mark.real("Linux", "bash"),
            id="bash",
        ),
        pytest.param(
            ["zsh", "-f", "-i"],
            "PS1=; fpath=($HOME/functions $fpath); autoload -Uz compinit; compinit -u -D; echo rea''dy",
            marks=pytest.mark.real("Linux", "zsh"),
            id="zsh",
        ),
    ],
)
def test_a_tab_completes_verbs_names_and_options(environment: dict[str, str], argv: list[str], begin: str) -> None:
    with at_terminal(argv, environment) as terminal:
        os.write(terminal, f"{begin}\n".encode())
        shown, until = "", time.monotonic() + PATIENCE
        while "ready" not in shown and time.monotonic() < until:
            shown += heard(terminal, PATIENCE)
        for line, wanted, other in (*TYPED, NAMES):
            shown = tab(terminal, line, wanted, AGAIN if line is NAMES[0] else PATIENCE)
            assert [word for word in wanted if word not in shown] == [], (line, shown)
            assert other not in shown


@pytest.mark.real("Linux", "fish")
def test_fish_offers_verbs_names_and_options(environment: dict[str, str]) -> None:
    for line, wanted, _ in (*TYPED, NAMES):
        offered: list[str] = []
        for _ in range(3):  # the daemon may have been too slow for jailctl
            asked = ["fish", "-c", f"complete -C '{line}'"]
            done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
            offered = [each.partition("\t")[0] for each in done.stdout.splitlines()]
            if offered:
                break
        assert {*offered} >= {*wanted}, (line, done.stdout, done.stderr)
        assert all(each.startswith(line.rpartition(" ")[2]) for each in offered)
