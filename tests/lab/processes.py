"""Programs in a machine of the lab, as the port `Processes` has them: an adapter under test does not see the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from jaild.model.errors import DeadlineExceededError, UnavailableError, command_failed
from jaild.ports.process import Completed, Errors, TerminalSize
from tests.lab.frames import PIECE, WINDOW, Kind
from tests.lab.wire import Wire

_KEPT_STDERR = 64 << 10  # bytes
_STDERR_GRACE = 1.0  # seconds that a program's children may keep stderr open after its end


class LabChild:
    """A program in the machine (implements `jaild.ports.process.Child`)."""

    def __init__(self, wire: Wire, argv: Sequence[str]) -> None:
        self._wire = wire
        self._argv = tuple(argv)
        self._channel = 0
        self._loop = asyncio.get_running_loop()
        self._started = time.monotonic()
        self._changed = asyncio.Condition()
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._ended: set[Kind] = set()  # the streams at their end of file
        self._unread = 0  # bytes of stdin that it has not taken
        self._takes_input = True
        self._status: int | None = None
        self._error: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int:
        """Not told: process ids of the machine mean nothing outside."""
        raise NotImplementedError

    def begin(self, cwd: Path | None, env: Mapping[str, str] | None, output: Path | None) -> None:
        """Ask the agent to start it."""
        self._channel = self._wire.open(self._heard)
        asked = {
            "argv": self._argv,
            "cwd": None if cwd is None else str(cwd),
            "env": dict(env or {}),
            "output": None if output is None else str(output),
        }
        self._wire.send(Kind.START, self._channel, json.dumps(asked).encode())

    async def write(self, data: bytes) -> None:
        """Write to its stdin; see the port."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            await self._until(lambda: not self._takes_input or self._over or self._unread < WINDOW)
            if not self._takes_input or self._over:
                raise BrokenPipeError(f"{self._argv[0]} takes no more input")
            self._unread += len(piece)
            self._wire.send(Kind.STDIN, self._channel, piece)

    async def close_stdin(self) -> None:
        """Say end of file."""
        if self._takes_input:
            self._takes_input = False
            self._wire.send(Kind.STDIN, self._channel)

    async def read(self, size: int = PIECE, *, whole: bool = False) -> AsyncIterator[bytes]:
        """Iterate over its stdout."""
        kept = bytearray()
        while piece := await self._read(size - len(kept)):
            kept += piece
            if len(kept) == size or not whole:
                yield bytes(kept)
                kept.clear()
        if kept:
            yield bytes(kept)

    async def _read(self, size: int) -> bytes:
        await self._until(lambda: self._stdout or Kind.STDOUT in self._ended or self._error)
        piece = bytes(self._stdout[:size])
        del self._stdout[:size]
        if piece:
            self._wire.send(Kind.ROOM, self._channel, number=len(piece))
        return piece

    async def wait(self) -> Completed:
        """Wait for its end."""
        await self._until(lambda: self._over)
        if self._error is not None:
            raise self._error
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STDERR_GRACE):
                await self._until(lambda: Kind.STDERR in self._ended)
        assert self._status is not None
        return Completed(
            argv=self._argv,
            status=self._status,
            stdout=b"",
            stderr=bytes(self._stderr),
            seconds=time.monotonic() - self._started,
        )

    def kill(self) -> None:
        """Send SIGKILL; what it still prints is dropped."""
        self._wire.send(Kind.KILL, self._channel)

    def send(self, number: signal.Signals) -> None:
        """Nothing needs it in the lab's machines, nor the two below."""
        raise NotImplementedError

    def resize(self, size: TerminalSize) -> None:
        """See `send`."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """See `send`."""
        raise NotImplementedError

    async def end(self) -> None:
        """Kill it if it runs, and wait until it is gone."""
        try:
            self.kill()
            await self._until(lambda: self._over)
        finally:
            self._wire.forget(self._channel)

    @property
    def _over(self) -> bool:
        return self._status is not None or self._error is not None

    async def _until(self, fact: object) -> None:
        async with self._changed:
            await self._changed.wait_for(fact)  # type: ignore[arg-type]

    def _heard(self, kind: Kind, data: bytes, number: int) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits for it any more
            self._loop.call_soon_threadsafe(self._take, kind, data, number)

    def _take(self, kind: Kind, data: bytes, number: int) -> None:
        if kind is Kind.STDOUT:
            self._stdout += data
        elif kind is Kind.STDERR:
            self._stderr += data
            del self._stderr[:-_KEPT_STDERR]
        elif kind is Kind.ROOM:
            self._unread -= number
        elif kind is Kind.STDIN_GONE:
            self._takes_input = False
        elif kind is Kind.EXIT:
            self._status = number
        elif kind is Kind.FAILED:
            self._error = _not_started(self._argv, json.loads(data))
        else:
            self._error = ConnectionResetError(f"{self._argv[0]}: the machine is gone")
        if kind in {Kind.STDOUT, Kind.STDERR} and not data:
            self._ended.add(kind)
        task = self._loop.create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class LabProcesses:
    """Runs programs in the machine at the other end of `wire` (implements `jaild.ports.process.Processes`)."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

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
        """Run to the end; a power cut meanwhile raises `ConnectionResetError`."""
        try:
            async with asyncio.timeout(timeout), self._started(argv, cwd, env, output) as child:
                completed = await _communicate(child, stdin or b"")
        except TimeoutError as error:
            raise DeadlineExceededError(
                "COMMAND_TIMEOUT", f"{' '.join(argv)}: not done after {timeout:g} s", hint="see the console"
            ) from error
        if check and completed.status != 0:
            raise command_failed(argv, completed.status, completed.error_text)
        return completed

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_stderr: Errors | None = None,
        terminal: TerminalSize | None = None,
        raw: bool = False,
    ) -> contextlib.AbstractAsyncContextManager[LabChild]:
        """Start with pipes; leaving the context kills it. What comes on stderr is told at the end only."""
        del on_stderr, raw
        assert terminal is None, "machines of the lab have none"
        return self._started(argv, cwd, env, None)

    @contextlib.asynccontextmanager
    async def _started(
        self, argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, output: Path | None
    ) -> AsyncIterator[LabChild]:
        child = LabChild(self._wire, argv)
        child.begin(cwd, env, output)
        try:
            yield child
        finally:
            await child.end()


async def _communicate(child: LabChild, stdin: bytes) -> Completed:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_feed(child, stdin))
        stdout = b"".join([piece async for piece in child.read()])
    done = await child.wait()
    return Completed(argv=done.argv, status=done.status, stdout=stdout, stderr=done.stderr, seconds=done.seconds)


async def _feed(child: LabChild, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # its status says whether leaving input unread was right
        await child.write(data)
    await child.close_stdin()


def _not_started(argv: Sequence[str], why: Mapping[str, object]) -> Exception:
    return UnavailableError(
        "PROGRAM_MISSING",
        f"{argv[0]}: {os.strerror(int(str(why['errno'])))}",
        hint=f"add it to tests/lab/image.py ({why['filename']})",
        resource=argv[0],
    )
