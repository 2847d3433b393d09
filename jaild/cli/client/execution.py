"""A command in a jail, and this process's stdin, terminal and signals for it.

On a terminal, ours is raw meanwhile: what is typed, Ctrl-C too, is the jail's, and a new size is told. Without one, the
signals that we get are the command's, and the second ends the call.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from typing import IO, Any

import grpc

from jaild.cli.client.connection import Api
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.v1 import jails_pb2

_CHUNK = 1 << 16
_AHEAD = 4  # chunks of stdin that are read before they can be sent
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALLED = 128  # and the signal's number, as a shell says it


def is_foreground() -> bool:
    """Return whether stdin is a terminal, and ours to read: a job in the background that reads it is stopped."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal that does not control our session
        return sys.stdin.isatty()


class Execution:
    """One command. `source` is what its stdin comes from; None for none."""

    def __init__(self, api: Api, start: jails_pb2.ExecStart, source: IO[bytes] | None) -> None:
        self._api = api
        self._start = start
        self._source = source
        self._terminal = start.HasField("terminal")
        # Its put() may be called in a signal handler while get() is at work.
        self._given: queue.SimpleQueue[jails_pb2.ExecInJailRequest | OSError | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._unread: OSError | None = None
        self._call: Any = None
        self._signalled = 0

    def run(self) -> int:
        """Write what it says and return its status: 128 + N if it is the signal N to us that ended the call."""
        with self._at_the_terminal(), self._handling():
            self._call = self._api.jails.ExecInJail(self._requests())
            try:
                return self._read()
            except grpc.RpcError as error:
                if self._unread is not None:
                    why = f"cannot read stdin: {self._unread.strerror}"
                    raise Failure(why, Exit.UNEXPECTED) from self._unread
                if self._signalled and error.code() is grpc.StatusCode.CANCELLED:
                    return _SIGNALLED + self._signalled
                raise
            finally:
                self._given.put(None)
                self._call.cancel()

    def _read(self) -> int:
        status: int | None = None
        for part in self._call:  # to its very end: what the daemon notes of the call is that it came to one
            for stream, data in ((sys.stdout.buffer, part.stdout), (sys.stderr.buffer, part.stderr)):
                if data:
                    stream.write(data)
                    stream.flush()
            if part.HasField("exit_status"):
                status = part.exit_status
        if status is None:
            hint = "its status is not known"
            raise Failure("the daemon hung up before the command ended", Exit.UNAVAILABLE, hint=hint)
        return status

    def _requests(self) -> Iterator[jails_pb2.ExecInJailRequest]:
        """Yield the start, then what is given. gRPC ends the call, and so the command, if it raises."""
        yield jails_pb2.ExecInJailRequest(start=self._start)
        # A thread that waits for stdin keeps neither this iterator nor, as a daemon thread, the process alive.
        threading.Thread(target=self._read_stdin, daemon=True).start()
        while (given := self._given.get()) is not None:
            if isinstance(given, OSError):
                self._unread = given
                raise given
            yield given
            if given.WhichOneof("part") == "stdin":
                self._room.release()

    def _read_stdin(self) -> None:
        # Unbuffered: it returns what is there, and holds no lock that the interpreter wants at its end.
        raw = getattr(self._source, "raw", self._source)
        try:
            while raw is not None and (block := raw.read(_CHUNK)):
                self._room.acquire()
                self._say(stdin=block)
        except OSError as error:
            self._given.put(error)
        else:
            self._say(end_of_stdin=True)

    def _say(self, **part: Any) -> None:
        self._given.put(jails_pb2.ExecInJailRequest(**part))

    @contextlib.contextmanager
    def _handling(self) -> Iterator[None]:
        """Within it signals only set things down: one that raises in gRPC's code leaves a call that nobody ends."""
        handlers: dict[signal.Signals, Callable[..., None]] = dict.fromkeys(_ENDING, self._end)
        if self._terminal:
            handlers |= {signal.SIGWINCH: self._resized, signal.SIGCONT: self._continued}
        before = {number: signal.getsignal(number) for number in handlers}
        mine = [number for number, handler in before.items() if handler is not signal.SIG_IGN]  # as by nohup
        for number in mine:
            signal.signal(number, handlers[number])
        try:
            yield
        finally:
            for number in mine:
                signal.signal(number, before[number])

    def _end(self, number: int, _frame: object) -> None:
        if self._terminal or self._signalled:
            self._signalled = self._signalled or number
            if self._call is not None:
                self._call.cancel()
            return
        self._signalled = number
        self._say(signal=signal.Signals(number).name.removeprefix("SIG"))

    def _resized(self, _number: int, _frame: object) -> None:
        self._say(resize=terminal_size())

    def _continued(self, number: int, frame: object) -> None:
        tty.setraw(sys.stdin.fileno(), termios.TCSADRAIN)  # the shell has set it to what it likes
        self._resized(number, frame)

    @contextlib.contextmanager
    def _at_the_terminal(self) -> Iterator[None]:
        if not self._terminal:
            yield
            return
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        tty.setraw(descriptor, termios.TCSADRAIN)
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def terminal_size() -> jails_pb2.TerminalSize:
    """Return the size of the terminal that stdin is."""
    try:
        columns, rows = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        return jails_pb2.TerminalSize()
    return jails_pb2.TerminalSize(rows=rows, columns=columns)
