"""Programs that are only told: every argument list is kept, and a function says what the program says."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jaild.model.errors import DeadlineExceededError, command_failed
from jaild.ports.process import Completed, Errors, TerminalSize

Argv = tuple[str, ...]


@dataclass(frozen=True)
class Said:
    """What a program says and how it ends."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


class Hangs(Exception):  # noqa: N818 - what an answer raises to say that its program does not end
    """The program runs until it is killed."""


@dataclass
class Told:
    """One call: what was started, and what it said."""

    argv: Argv
    said: Said | None  # None: it hung, and was killed
    env: Mapping[str, str] = field(default_factory=dict)  # what was added to the minimal one


Answer = Callable[[Argv, bytes], Awaitable[Said]]


@dataclass
class ScriptedProcesses:
    """Implements `jaild.ports.process.Processes`: `answer` is asked for every program."""

    answer: Answer
    calls: list[Told] = field(default_factory=list)
    cwd: Path | None = None  # of the last one that was started

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
        """Note and answer."""
        assert cwd is None
        assert output is None
        told = tuple(argv)
        try:
            said = await self.answer(told, stdin or b"")
        except Hangs:
            self.calls.append(Told(told, None, env or {}))
            raise DeadlineExceededError(
                "COMMAND_TIMEOUT", f"{' '.join(argv)}: not done after {timeout:g} s, killed"
            ) from None
        self.calls.append(Told(told, said, env or {}))
        if check and said.status != 0:
            raise command_failed(argv, said.status, said.stderr)
        return _completed(told, said)

    @asynccontextmanager
    async def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_stderr: Errors | None = None,
        terminal: TerminalSize | None = None,
        raw: bool = False,
    ) -> AsyncIterator[ScriptedChild]:
        """Note; the answer is asked for when the program's input has ended."""
        self.cwd = cwd
        assert terminal is None
        assert not raw
        child = ScriptedChild(tuple(argv), self.answer, on_stderr)
        yield child
        self.calls.append(Told(child.argv, child.said, env or {}))


class ScriptedChild:
    """Implements `jaild.ports.process.Child`."""

    def __init__(self, argv: Argv, answer: Answer, on_stderr: Errors | None) -> None:
        self.argv = argv
        self._on_stderr = on_stderr
        self.said: Said | None = None
        self.pid = 1 << 22  # more than any Linux gives
        self._answer = answer
        self._input = b""
        self._closed = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Keep the input."""
        self._input += data

    async def close_stdin(self) -> None:
        """Note that there is no more of it."""
        self._closed.set()

    async def read(self, size: int = 1 << 20, *, whole: bool = False) -> AsyncIterator[bytes]:
        """Give what it says in answer to its input: always in whole pieces."""
        del whole
        await self._closed.wait()
        self.said = await self._answer(self.argv, self._input)
        text = self.said.stdout.encode()
        for start in range(0, len(text), size):
            yield text[start : start + size]
        if self._on_stderr is not None and self.said.stderr:
            await self._on_stderr(self.said.stderr.encode())

    async def wait(self) -> Completed:
        """Give its end: of one whose output nobody reads, when its input has ended."""
        if self.said is None:
            await self._closed.wait()
            self.said = await self._answer(self.argv, self._input)
        return _completed(self.argv, self.said)

    def kill(self) -> None:
        """It says nothing more."""
        self._closed.set()

    def send(self, number: signal.Signals) -> None:
        """It ends of any."""
        del number
        self._closed.set()

    def resize(self, size: TerminalSize) -> None:
        """It has no terminal."""

    def hang_up(self) -> None:
        """It has no terminal."""


def _completed(argv: Argv, said: Said) -> Completed:
    return Completed(
        argv=argv, status=said.status, stdout=said.stdout.encode(), stderr=said.stderr.encode(), seconds=0.0
    )
