"""Which hand-written files of jaild a piece of work goes through, and how often one calls into another."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

import jaild

_HOME = f"{Path(jaild.__file__).parent}/"
COMPOSITION = "daemon.py", "/build.py"  # put the daemon and its rooms together: no part of any flow
_RESUMABLE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_BEGIN = 20  # bytes of code; a coroutine that goes on after an await is always further


@dataclass
class Trace:
    """Files are named from `jaild/` on; generated ones do not count."""

    files: set[str] = field(default_factory=set)
    calls: int = 0  # a function in one file called, by itself, a function in another

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Take an event of `sys.setprofile`. What goes on after an await is not called a second time."""
        file = _file(frame.f_code)
        if event != "call" or not file or _goes_on(frame):
            return
        caller = _file(frame.f_back.f_code) if frame.f_back is not None else ""
        if file.endswith(COMPOSITION) or caller.endswith(COMPOSITION):
            return
        self.files.add(file)
        if caller and caller != file:
            self.calls += 1


def _file(code: CodeType) -> str:
    if not code.co_filename.startswith(_HOME) or "_pb2" in code.co_filename:
        return ""
    return code.co_filename.removeprefix(_HOME)


def _goes_on(frame: FrameType) -> bool:
    return frame.f_code.co_name.startswith("<") or (bool(frame.f_code.co_flags & _RESUMABLE) and frame.f_lasti > _BEGIN)


@contextmanager
def traced() -> Iterator[Trace]:
    """Follow all that this thread does."""
    trace = Trace()
    before = sys.getprofile()
    sys.setprofile(trace.note)
    try:
        yield trace
    finally:
        sys.setprofile(before)
