"""The three standard streams, whatever the program was started with: closed ones, a full disk, another encoding.

For both programs: jaild and jailctl.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO

STDOUT = "stdout"  # the `filename` of an `OSError` that a write to it ended with


class _Patient(io.FileIO):
    """A descriptor that may be non-blocking, as others left it who share it: it is waited for."""

    def write(self, data: object, /) -> int:
        while (written := super().write(data)) is None:  # type: ignore[arg-type]  # Buffer has no name before 3.12
            select.select((), (self,), ())
        return written


class _Stdout(_Patient):
    """Results: one that cannot be written is a failure, told once."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            _open_nothing(self.fileno())  # what is still buffered would be refused again, at the interpreter's end
            error.filename = STDOUT
            raise


class _Stderr(_Patient):
    """What is said about the work. Where it cannot be said, the work goes on."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def settle() -> None:
    r"""Make all three streams ones that can be used; to be called before anything is opened.

    A closed one becomes /dev/null: the next file or socket would get its number, and what the program or a child of it
    prints would be written into that. What an encoding cannot say is written out (`\u2603`).
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _open_nothing(number)
    if sys.stdin is None:  # what the interpreter makes of a closed one
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = _text(_Stdout(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Stderr(2, "w", closefd=False), sys.stderr)


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    encoding = before.encoding if before is not None else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True)


def _open_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing == number:  # the lowest that was free
        os.set_inheritable(nothing, True)
        return
    os.dup2(nothing, number)
    os.close(nothing)
