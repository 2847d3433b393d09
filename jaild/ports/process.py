"""Port: running programs. One adapter (`jaild.adapters.system.process`) implements it, and starts them all."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # where programs are looked for


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A program that ended."""

    argv: tuple[str, ...]
    status: int  # exit status; -N if signal N ended it
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self) -> str:
        """Stdout as text, undecodable bytes escaped."""
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def error_text(self) -> str:
        """Stderr as text, undecodable bytes replaced."""
        return self.stderr.decode("utf-8", "replace")


Errors = Callable[[bytes], Awaitable[None]]  # takes a piece of stderr


@dataclass(frozen=True)
class TerminalSize:
    """How much a terminal shows; 0 where that is not known."""

    rows: int
    columns: int


class Child(Protocol):
    """A running program with pipes, or with a terminal. Leaving its context kills it (SIGKILL) and reaps it."""

    @property
    def pid(self) -> int:
        """Process id."""

    async def write(self, data: bytes) -> None:
        """Write to its stdin and wait until there is room. Raises `BrokenPipeError` when it is gone."""

    async def close_stdin(self) -> None:
        """Say end of file: on a terminal by typing it. Harmless when said twice or when the program is gone."""

    def read(self, size: int = 1 << 20, *, whole: bool = False) -> AsyncIterator[bytes]:
        """Iterate over its stdout until end of file: in pieces of at most `size` bytes, as they come.

        With `whole` each has `size` bytes, but for the last.
        """

    async def wait(self) -> Completed:
        """Wait for its end. `stdout` is empty (it was streamed), `stderr` its last 64 KiB. No status raises."""

    def kill(self) -> None:
        """Send SIGKILL. Harmless when it is gone."""

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process group, which it leads. Harmless when it is gone."""

    def resize(self, size: TerminalSize) -> None:
        """Give its terminal another size; it gets SIGWINCH. Harmless without a terminal, and when it is gone."""

    def hang_up(self) -> None:
        """Take its terminal away: it gets SIGHUP, as when a line breaks. Harmless without one."""


class Processes(Protocol):
    """Starts programs: argv lists, never a shell."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float = 120.0,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        output: Path | None = None,
    ) -> Completed:
        """Run to the end and return output and status.

        With `check` a status other than 0 raises `InternalError` (COMMAND_FAILED) with argv, status and stderr.
        After `timeout` seconds the program is killed and `DeadlineExceededError` (COMMAND_TIMEOUT) raised; on
        cancellation it is killed too. `env` is added to a minimal environment (PATH, LC_ALL=C), not to the daemon's.
        With `output`, stdout and stderr are appended to that file instead (and are empty in the result): descriptors
        that children of the program may keep open after it ended. A missing program: `UnavailableError`
        (PROGRAM_MISSING) naming it.
        """

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_stderr: Errors | None = None,
        terminal: TerminalSize | None = None,
        raw: bool = False,
    ) -> AbstractAsyncContextManager[Child]:
        """Start with pipes on stdin, stdout and stderr. stderr is drained and its tail kept.

        With `on_stderr` each piece is also handed to it as it comes; while it waits, the program waits too.
        With `terminal` all three are a new terminal of that size, which controls the program's session: `read` gives
        what it shows, until the program ends, and `write` types. `raw`: it passes all on as it is, for a program that
        brings a terminal of its own.
        """
