"""A daemon to talk to, and jailctl to talk to it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jaild.cli.client import waiting
from jaild.cli.main import command
from tests.unit.cli.daemon import Daemon

Run = Callable[..., Result]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="jailctl-") as folder:  # a unix socket's path must be short
        made = Daemon(f"{folder}/jaild.sock")
        made.start()
        yield made
        made.stop()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without contexts and environment."""
    for name in ("JAILCTL_CONTEXT", "JAILCTL_ADDRESS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts to reach the daemon again, which take no time."""
    taken: list[float] = []
    monkeypatch.setattr(waiting, "sleep", taken.append)
    return taken


@pytest.fixture
def jailctl(daemon: Daemon) -> Run:
    """Run jailctl against the daemon."""

    def run(*arguments: str, stdin: bytes | None = None, **options: Any) -> Result:
        return CliRunner().invoke(command, ["--address", daemon.address, *arguments], input=stdin, **options)

    return run
