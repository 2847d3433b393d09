"""Port: running programs. One adapter (`jaild.adapters.system.process`) implements it, and starts them all."""

from __future__ import annotations

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


class Child(Protocol):
    """A running program with pipes. Leaving its context kills it (SIGKILL) and reaps it."""

    @property
    def pid(self) -> int:
        """Process id."""

    async def write(self, data: bytes) -> None:
        """Write to its stdin and wait until there is room. Raises `BrokenPipeError` when it is gone."""

    async def close_stdin(self) -> None:
        """Say end of file. Harmless when said twice or when the program is gone."""

    def read(self, size: int = 1 << 20, *, whole: bool = False) -> AsyncIterator[bytes]:
        """Iterate over its stdout until end of file: in pieces of at most `size` bytes, as they come.

        With `whole` each has `size` bytes, but for the last.
        """

    async def wait(self) -> Completed:
        """Wait for its end. `stdout` is empty (it was streamed), `stderr` its last 64 KiB. No status raises."""

    def kill(self) -> None:
        """Send SIGKILL. Harmless when it is gone."""


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
    ) -> AbstractAsyncContextManager[Child]:
        """Start with pipes on stdin, stdout and stderr. stderr is drained and its tail kept.

        With `on_stderr` each piece is also handed to it as it comes; while it waits, the program waits too.
        """
