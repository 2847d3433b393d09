"""Ctrl-C, SIGTERM and SIGHUP: end the demo where it is, but never in the middle of setting up or cleaning up."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN = 0.05  # seconds


class Interrupts:
    """While entered, the first signal raises `KeyboardInterrupt`; while held, it waits for `release`.

    After the first one all are held: what follows is the cleaning up.
    """

    def __init__(self) -> None:
        self._held = False
        self._pending = False
        self._before: dict[int, object] = {}
        self._unraisable = sys.unraisablehook

    def hold(self) -> None:
        """Let signals wait."""
        self._held = True

    def release(self) -> None:
        """Let signals through again; one that waited raises now."""
        self._held = False
        if self._pending:
            self._interrupt()

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._swallowed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.unraisablehook = self._unraisable
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself returned

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        self._pending = False
        self._held = True
        raise KeyboardInterrupt

    def _swallowed(self, told: sys.UnraisableHookArgs) -> None:
        """Interrupt again if it was raised where Python swallows what is raised: in a callback of a weak reference."""
        if told.exc_type is not KeyboardInterrupt:
            self._unraisable(told)
            return
        self._held = False
        threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGINT)).start()  # when that callback is over
