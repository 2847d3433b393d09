"""Ctrl-C while gRPC is at work: the call is cancelled, and `KeyboardInterrupt` raised once gRPC is left.

An exception thrown into gRPC's own Python code between two of its lines leaves a call that nobody polls, and the
channel's `close()` waits for it for ever (seen with grpcio 1.85: Ctrl-C in the moment a stream is opened).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self

_END = object()


class _Deferred:
    """Within it Ctrl-C only cancels the call; `KeyboardInterrupt` comes at its end, instead of what the call raised."""

    def __init__(self, call: Any = None) -> None:
        self._call = call
        self._interrupted = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as by nohup
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self._interrupted:
            raise KeyboardInterrupt

    def _interrupt(self, _number: int, _frame: object) -> None:
        self._interrupted = True
        if self._call is not None:
            self._call.cancel()


def stream(start: Callable[[], Any]) -> Generator[Any, None, None]:
    """Yield what the call that `start` makes answers; hang up at the end, however it comes. May raise RpcError."""
    call = None
    try:
        with _Deferred():
            call = start()
        while True:
            with _Deferred(call):
                message = next(call, _END)
            if message is _END:
                return
            yield message
    finally:
        if call is not None:
            with _Deferred():
                call.cancel()


def result(start: Callable[[], Any]) -> Any:
    """Return the result of the future that `start` makes; Ctrl-C cancels it. May raise RpcError."""
    call = None
    try:
        with _Deferred():
            call = start()
        with _Deferred(call):
            return call.result()
    except KeyboardInterrupt:
        if call is not None:
            call.cancel()
        raise
