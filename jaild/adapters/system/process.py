"""Starting programs: the one file that does. Each gets a session of its own, so that ending it ends its helpers too."""

from __future__ import annotations

import asyncio
import asyncio.subprocess
import contextlib
import errno
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from jaild.adapters.system.pipes import PipeReader, PipeWriter, make_pipe
from jaild.adapters.system.programs import Programs
from jaild.adapters.system.terminals import TAKE, Terminal
from jaild.model.errors import DeadlineExceededError, InternalError, UnavailableError, command_failed
from jaild.ports.process import PATH, Completed, Errors, TerminalSize
from jaild.rpc import spans

_ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C"}
_KEPT_STDERR = 64 << 10  # bytes; a program that repeats an error for hours must not fill our memory
_STDERR_GRACE = 1.0  # seconds to wait for the end of stderr after the program's end: its children may keep it open
REAPED = 10.0  # seconds that a killed program is waited for
_SHOWN = 20  # of those that do not end
_TOLD = 200  # characters of their command
# They change state, and end by themselves. Nothing that stays, or starts what stays, may be here (zfs-fuse, runc, jail,
# nsenter, pkg): it would hold the next daemon up for as long as it lives.
_HELD_FOR = frozenset({"zfs", "zpool", "bsdtar", "mount", "umount"})
_programs = Programs()
_log = structlog.get_logger("jaild.process")


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Reads stderr, and tells the exit at once.

    Process.wait() of Python 3.11 waits for the pipes too, which a grandchild can hold.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_KEPT_STDERR, loop=loop)
        self.exited = asyncio.Event()
        self._at_exit: Callable[[], None] | None = None

    def tell_exit(self, at_exit: Callable[[], None]) -> None:
        """Call it at the exit, instead of what was to be called; now if that was."""
        self._at_exit = at_exit
        if self.exited.is_set():
            at_exit()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()
        if self._at_exit is not None:
            self._at_exit()


class _RunningChild:
    """A started program (implements `jaild.ports.process.Child`)."""

    def __init__(
        self,
        argv: tuple[str, ...],
        transport: asyncio.SubprocessTransport,
        protocol: _Protocol,
        stdin: PipeWriter | None,
        stdout: PipeReader | None,
        started: float,
        terminal: Terminal | None,
    ) -> None:
        self._argv = argv
        self._stdin = stdin
        self._stdout = stdout
        self._transport = transport
        self._protocol = protocol
        self.started = started  # monotonic
        self._tail = bytearray()
        self._drain: asyncio.Task[None] | None = None
        self._terminal = terminal
        self._span = spans.started(f"run {Path(argv[0]).name}", {"process.command_line": self.command[:_TOLD]})
        if terminal is not None:  # a pipe's end is awaited; a terminal may stay open in what was put in the background
            protocol.tell_exit(terminal.reader.finish)

    @property
    def command(self) -> str:
        """What it was started as."""
        return " ".join(self._argv)

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    async def write(self, data: bytes) -> None:
        if self._stdin is None or self._protocol.exited.is_set():
            raise BrokenPipeError(f"{self._argv[0]} takes no more input")
        await self._stdin.write(data)

    async def close_stdin(self) -> None:
        if self._terminal is not None:
            await self._terminal.end_of_file()
        elif self._stdin is not None:
            self._stdin.close()

    async def read(self, size: int = 1 << 20, *, whole: bool = False) -> AsyncIterator[bytes]:
        if (reader := self._stdout) is not None:
            take = reader.fill if whole else reader.read
            while piece := await take(size):
                yield piece

    async def wait(self) -> Completed:
        await self._protocol.exited.wait()
        if self._drain is not None:
            await asyncio.wait({self._drain}, timeout=_STDERR_GRACE)
        status = self._transport.get_returncode()
        if status is None:
            raise InternalError("COMMAND_FAILED", f"{self._argv[0]} ended without a status")
        return Completed(
            argv=self._argv,
            status=status,
            stdout=b"",
            stderr=bytes(self._tail),
            seconds=time.monotonic() - self.started,
        )

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        if not self._protocol.exited.is_set():
            with contextlib.suppress(ProcessLookupError):  # it ended, and we have not been told yet
                os.killpg(self.pid, number)

    def resize(self, size: TerminalSize) -> None:
        if self._terminal is not None:
            self._terminal.resize(size)

    def hang_up(self) -> None:
        if self._terminal is not None:
            self._terminal.close()

    def keep_stderr(self, on_stderr: Errors | None = None) -> None:
        """Start reading stderr, keeping its end and handing on what comes."""
        if self._protocol.stderr is not None:
            self._drain = asyncio.ensure_future(self._keep_tail(self._protocol.stderr, on_stderr))

    async def _keep_tail(self, stream: asyncio.StreamReader, on_stderr: Errors | None) -> None:
        while piece := await stream.read(_KEPT_STDERR):
            self._tail += piece
            del self._tail[:-_KEPT_STDERR]
            if on_stderr is not None:
                await on_stderr(piece)

    async def end(self) -> None:
        """Kill it if it runs, close the pipes and reap it; see `_end`."""
        try:
            await self._end()
        finally:
            if status := self._transport.get_returncode():
                self._span.fail(f"status {status}")
            self._span.end()

    async def _end(self) -> None:
        """Do so.

        One that waits in the kernel for a disk that does not answer cannot be killed: nobody waits for it for longer
        than a few seconds, and it is reaped when it ends.
        """
        self.kill()
        try:
            async with asyncio.timeout(REAPED):
                await self._protocol.exited.wait()
        except TimeoutError:
            _log.error("killed, and it does not end: a disk that does not answer?", argv=self._argv, pid=self.pid)
        finally:
            # In this order: close() polls a child that runs, and would race asyncio's own watcher for its status.
            if self._protocol.exited.is_set():
                self._close()
            else:
                _unended.add(self)
                self._protocol.tell_exit(self._ended_at_last)

    def _ended_at_last(self) -> None:
        _log.warning("ended at last", argv=self._argv, pid=self.pid)
        _unended.discard(self)
        self._close()

    def _close(self) -> None:
        self._transport.close()
        self.hang_up()
        for end in (self._stdin, self._stdout):
            if end is not None:
                end.close()
        if self._drain is not None:
            self._drain.cancel()


_unended: set[_RunningChild] = set()  # killed, and not ended yet


def unended() -> tuple[str, ...]:
    """Return a sentence about each program that does not end although it was killed, oldest first; at most a few."""
    now = time.monotonic()
    longest = sorted(_unended, key=lambda child: child.started)[:_SHOWN]
    return tuple(
        f"{child.command[:_TOLD]} (pid {child.pid}) was killed and does not end, {now - child.started:.0f} s after its"
        " start: see what it waits for, a disk most likely"
        for child in longest
    )


def await_by_pidfd() -> None:
    """Let pidfds tell the ends of programs, where there are any (Linux), and not a thread for each that waits for it.

    To be called with the daemon's loop. From 3.12 on Python does so by itself.
    """
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)


class ProcessRunner:
    """Runs programs on asyncio (implements `jaild.ports.process.Processes`)."""

    def __init__(self) -> None:
        self._handed_down: list[int] = []

    @contextlib.contextmanager
    def handing_down(self, descriptor: int) -> Iterator[None]:
        """Let the commands that change state inherit a descriptor: its lock is theirs too, after our death as well."""
        self._handed_down.append(descriptor)
        try:
            yield
        finally:
            self._handed_down.remove(descriptor)

    def _inherited(self, argv: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._handed_down) if Path(argv[0]).name in _HELD_FOR else ()

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
        """Run to the end; see `Processes.run` for the errors."""
        with _opened(output) as file:
            before = file.tell() if file else 0
            wanted = _Wanted(stdin=stdin is not None, output=file)
            child = await _spawn(argv, wanted, cwd, env, self._inherited(argv))
            try:
                async with asyncio.timeout(timeout):
                    completed = await _communicate(child, stdin)
            except TimeoutError as error:
                raise _timed_out(argv, timeout) from error
            finally:
                await child.end()
        if check and completed.status != 0:
            stderr = completed.error_text if output is None else _appended(output, before)
            raise command_failed(argv, completed.status, stderr)
        return completed

    @contextlib.asynccontextmanager
    async def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_stderr: Errors | None = None,
        terminal: TerminalSize | None = None,
        raw: bool = False,
    ) -> AsyncIterator[_RunningChild]:
        """Start with pipes, or with a terminal; leaving the context kills and reaps it."""
        wanted = _Wanted(stdin=terminal is None, large=True, terminal=terminal, raw=raw)
        child = await _spawn(argv, wanted, cwd, env, self._inherited(argv))
        try:
            child.keep_stderr(on_stderr)
            yield child
        finally:
            await child.end()


async def _communicate(child: _RunningChild, stdin: bytes | None) -> Completed:
    child.keep_stderr()
    async with asyncio.TaskGroup() as tasks:
        if stdin is not None:
            tasks.create_task(_feed(child, stdin))
        pieces = [piece async for piece in child.read()]
    completed = await child.wait()
    return Completed(
        argv=completed.argv,
        status=completed.status,
        stdout=b"".join(pieces),
        stderr=completed.stderr,
        seconds=completed.seconds,
    )


async def _feed(child: _RunningChild, data: bytes) -> None:
    # A program may end without reading all its input; its status says whether that was right.
    with contextlib.suppress(BrokenPipeError):
        await child.write(data)
    await child.close_stdin()


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """Where a program's standard streams go."""

    stdin: bool  # a pipe; if not, there is nothing to read
    output: IO[bytes] | None = None  # stdout and stderr; None for pipes
    large: bool = False  # what streams go through
    terminal: TerminalSize | None = None  # in the place of all three
    raw: bool = False


async def _spawn(
    argv: Sequence[str], wanted: _Wanted, cwd: Path | None, env: Mapping[str, str] | None, inherited: tuple[int, ...]
) -> _RunningChild:
    """Start a program. Cancelled meanwhile, end it with its children; asyncio kills the program alone then.

    And it waits for the pipes to be closed, which the children keep open for as long as they live (Python 3.11).
    """
    starting = asyncio.ensure_future(_started(argv, wanted, cwd, env, inherited))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        ending = asyncio.ensure_future(_ended(starting))
        while not ending.done():
            with contextlib.suppress(asyncio.CancelledError):  # once more: it is raised below
                await asyncio.wait({ending})
        raise


async def _ended(starting: asyncio.Future[_RunningChild]) -> None:
    await asyncio.wait({starting})
    if starting.exception() is None:
        await starting.result().end()


async def _started(
    argv: Sequence[str], wanted: _Wanted, cwd: Path | None, env: Mapping[str, str] | None, inherited: tuple[int, ...]
) -> _RunningChild:
    loop = asyncio.get_running_loop()
    environment = {**_ENVIRONMENT, **(env or {})}
    started = time.monotonic()
    theirs: list[int] = []
    with contextlib.ExitStack() as ours:
        writer: PipeWriter | None = None
        reader: PipeReader | None = None
        terminal: Terminal | None = None
        path = _programs.path(argv[0], environment["PATH"])
        command: Sequence[str] = argv
        try:
            if wanted.terminal is not None:
                terminal = Terminal(wanted.terminal, raw=wanted.raw)
                theirs.append(terminal.theirs)
                ours.callback(terminal.close)
                writer, reader = terminal.writer, terminal.reader
                command, path = (*TAKE, _there(argv[0], path), *argv[1:]), None
            if wanted.stdin:
                for_it, for_us = make_pipe(large=wanted.large)
                theirs.append(for_it)
                ours.callback((writer := PipeWriter(for_us)).close)
            if wanted.output is None and terminal is None:
                for_us, for_it = make_pipe(large=wanted.large)
                theirs.append(for_it)
                ours.callback((reader := PipeReader(for_us)).close)
            transport, protocol = await loop.subprocess_exec(
                lambda: _Protocol(loop),
                *command,
                stdin=theirs[0] if wanted.stdin or terminal else DEVNULL,
                stdout=wanted.output or theirs[-1],
                stderr=wanted.output or (theirs[-1] if terminal else PIPE),
                executable=path,
                cwd=cwd,
                env=environment,
                # Either of the next two keeps Python from posix_spawn(3): on Linux it takes vfork(2), as cheap.
                start_new_session=True,
                pass_fds=inherited,
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            if cwd is not None and str(error.filename) == str(cwd):
                raise InternalError("COMMAND_FAILED", f"{argv[0]}: cannot start in {cwd}: {error.strerror}") from error
            raise UnavailableError(
                "PROGRAM_MISSING",
                f"{argv[0]}: {error.strerror}",
                hint=f"install {argv[0]}, or put it on PATH",
                resource=argv[0],
            ) from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        ours.pop_all()
    return _RunningChild(tuple(argv), transport, protocol, writer, reader, started, terminal)


def _there(name: str, path: str | None) -> str:
    """Return the path of a program for whoever starts it; `FileNotFoundError` as the system itself would say it."""
    if path is None and "/" not in name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return path or name


def _opened(output: Path | None) -> contextlib.AbstractContextManager[IO[bytes] | None]:
    return contextlib.nullcontext() if output is None else output.open("ab")


def _appended(output: Path, before: int) -> str:
    with output.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(before, size - _KEPT_STDERR))
        return file.read(_KEPT_STDERR).decode("utf-8", "replace")


def _timed_out(argv: Sequence[str], timeout: float) -> DeadlineExceededError:
    return DeadlineExceededError(
        "COMMAND_TIMEOUT",
        f"{' '.join(argv)}: not done after {timeout:g} s, killed",
        hint="look at what it was waiting for (disk, network, a lock), then try again",
        detail={"argv": " ".join(argv), "seconds": f"{timeout:g}"},
    )
