"""A terminal that a screen is drawn on: written over in one piece, so that nothing flickers, and put back at the end.

Ctrl-Z, a signal and an error put it back, too.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from jaild.cli.top.frame import Line

# Control sequences of xterm and its kin (ECMA-48; DEC's private modes 25, cursor, and 1049, another screen).
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_COLUMNS, _LINES = 80, 24  # where the terminal does not say its size


def size() -> tuple[int, int]:
    """Return the terminal's columns and lines."""
    found = shutil.get_terminal_size((_COLUMNS, _LINES))
    return found.columns, found.lines


def styled(line: Line, *, colour: bool) -> str:
    """Return a line with its colour."""
    if not colour or not line.style:
        return line.text
    return click.style(line.text, bold=True) if line.style == "bold" else click.style(line.text, fg=line.style)


class Screen:
    """The terminal while it is ours."""

    def __init__(self, wakeup: int, *, colour: bool) -> None:
        self._wakeup = wakeup
        self._colour = colour

    def draw(self, lines: Sequence[Line]) -> None:
        """Write all of them over what is there."""
        text = "\r\n".join(styled(line, colour=self._colour) + _REST_OF_LINE for line in lines)
        _write(_HOME + text + _REST_OF_SCREEN)

    def key(self, seconds: float) -> str:
        """Wait so long for a key and return it; '' for none, or if something else happened: a new size, an answer."""
        readable, _, _ = select.select([sys.stdin.fileno(), self._wakeup], [], [], max(seconds, 0.0))
        if self._wakeup in readable:
            os.read(self._wakeup, 1024)
        if sys.stdin.fileno() not in readable:
            return ""
        pressed = os.read(sys.stdin.fileno(), 16)
        return pressed.decode("ascii", "ignore") if pressed else "q"  # the terminal is gone


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def shown(*, colour: bool) -> Iterator[tuple[Screen, Callable[[], None]]]:
    """Yield the screen, and what wakes up who waits for a key."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def enter() -> None:
        tty.setcbreak(terminal)
        _write(_ENTER)

    def leave() -> None:
        _write(_LEAVE)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def stop(_number: int, _frame: FrameType | None) -> None:
        leave()
        os.kill(os.getpid(), signal.SIGSTOP)  # and here it goes on
        enter()
        wake()

    def wake() -> None:
        os.write(writing, b".")

    handlers = {signal.SIGWINCH: lambda *_: wake(), signal.SIGTSTP: stop, signal.SIGTERM: _ended, signal.SIGHUP: _ended}
    with _handling(handlers):
        enter()
        try:
            yield Screen(reading, colour=colour), wake
        finally:
            leave()
            for descriptor in (reading, writing):
                os.close(descriptor)


def _ended(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


@contextmanager
def _handling(handlers: dict[signal.Signals, Callable[[int, FrameType | None], Any]]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
