"""What the demo needs of the two hosts and the client's machine, whatever they are made of."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol


class Machine(Protocol):
    """A host, or something that passes for one."""

    @property
    def name(self) -> str:
        """alpha, beta, client."""

    @property
    def address(self) -> str:
        """Where its daemon listens."""

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command that runs `argv` there."""

    def run(self, argv: Sequence[str | Path], *, timeout: float = 60.0) -> str:
        """Run to the end; `ProgramError` for a status other than 0."""

    def start(
        self, argv: Sequence[str | Path], *, stdout: int | IO[Any] | None = None, stderr: int | IO[Any] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program."""

    def stop(self, process: subprocess.Popen[str]) -> int:
        """End a program that `start` started, by SIGTERM and after a while SIGKILL; return its status."""

    def kill(self, process: subprocess.Popen[str]) -> int:
        """The same by SIGKILL, at once."""


class Machines(Protocol):
    """All of them. `bridge` is the interface that jails join on either host."""

    @property
    def alpha(self) -> Machine:
        """The source."""

    @property
    def beta(self) -> Machine:
        """The target."""

    @property
    def client(self) -> Machine:
        """Reaches both."""

    @property
    def bridge(self) -> str:
        """Its name."""
