"""Terminals for programs: a pseudo-terminal of the host (openpty(3)), the same on FreeBSD and Linux.

The program's side becomes its stdin, stdout and stderr, and, by `take_terminal.py`, the one that controls its session.
Ours is read and written as a pipe is.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty

from jaild.adapters.system import take_terminal
from jaild.adapters.system.pipes import PipeReader, PipeWriter
from jaild.ports.process import TerminalSize

TAKE = (sys.executable, "-I", "-S", take_terminal.__file__)  # what the program's command line begins with
_CLOSED = -1
_END_OF_FILE = b"\x04"


def is_there() -> bool:
    """Whether this process has a terminal that controls it, and that has not hung up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class Terminal:
    """A new terminal. `raw`: it passes on all as it is, for a program that brings another one (runc)."""

    def __init__(self, size: TerminalSize, *, raw: bool) -> None:
        ours, self.theirs = os.openpty()
        self._ours = ours
        self.reader = PipeReader(ours)
        self.writer = PipeWriter(os.dup(ours))
        self.resize(size)
        if raw:
            tty.setraw(self.theirs)

    def resize(self, size: TerminalSize) -> None:
        """Change its size; the kernel tells its foreground process group by SIGWINCH."""
        if self._ours != _CLOSED:
            termios.tcsetwinsize(self._ours, (size.rows, size.columns))

    async def end_of_file(self) -> None:
        """Type it twice: once ends a line that was begun, and is no end of the file then."""
        with contextlib.suppress(BrokenPipeError):
            await self.writer.write(_END_OF_FILE * 2)

    def close(self) -> None:
        """Hang up: the session's leader and its foreground process group get SIGHUP."""
        self.writer.close()
        self.reader.close()
        self._ours = _CLOSED
