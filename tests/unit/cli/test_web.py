"""`jailctl web`: what it shows, where it listens, and what is imported without it."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jaild.cli.main import command
from jaild.web import server
from tests.unit.cli.daemon import Daemon


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been served, each time: the socket's address and the names of the daemons."""
    found: list[Any] = []

    def serve(listening: Any, daemons: Iterable[Any], interval: float, ready: Callable[[str], None]) -> None:
        found.append((listening.getsockname()[0], [name for name, _ in daemons], interval))
        ready("http://127.0.0.1:1/?token=t")

    monkeypatch.setattr(server, "serve", serve)
    return found


def web(*words: str) -> Result:
    return CliRunner().invoke(command, [*words])


def test_all_contexts_are_shown_or_those_that_are_named(served: list[Any], daemon: Daemon) -> None:
    for name in ("beta", "alpha"):
        assert web("context", "add", name, "--address", daemon.address).exit_code == 0
    done = web("web", "--port", "0")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "http://127.0.0.1:1/?token=t\n"  # for a program that reads it
    web("web", "--port", "0", "beta", "--interval", "5s")
    web("--context", "alpha", "web", "--port", "0")
    web("--address", daemon.address, "web", "--port", "0")
    assert served == [
        ("127.0.0.1", ["alpha", "beta"], 30.0),
        ("127.0.0.1", ["beta"], 5.0),
        ("127.0.0.1", ["alpha"], 30.0),
        ("127.0.0.1", [daemon.address], 30.0),
    ]
    assert "there is no context 'x'" in web("web", "x").stderr


def test_without_contexts_it_is_the_daemon_of_this_host(served: list[Any]) -> None:
    assert web("web", "--port", "0").exit_code == 0
    assert served == [("127.0.0.1", ["unix:///var/run/jaild/jaild.sock"], 30.0)]


def test_a_port_that_is_taken_is_told_with_what_to_do(served: list[Any]) -> None:
    with server.bound("127.0.0.1", 0) as taken:
        done = web("web", "--port", str(taken.getsockname()[1]))
    assert done.exit_code == 4
    assert "cannot listen on 127.0.0.1" in done.stderr
    assert "--port 0" in done.stderr
    assert served == []


def test_without_its_libraries_it_says_which_and_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "jaild.web" or name.startswith("starlette"):
            raise ModuleNotFoundError("no", name="starlette")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    done = web("web")
    assert done.exit_code == 4
    assert "WEB_MISSING" in done.stderr
    assert "pip install '.[web]'" in done.stderr


def test_no_other_command_imports_them() -> None:
    program = (
        "import sys; from jaild.cli import main\n"
        "for noun in main.NOUNS: main.command.get_command(None, noun)\n"
        "import jaild.assembly\n"
        "print({'starlette', 'uvicorn', 'jinja2', 'jaild.web'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
