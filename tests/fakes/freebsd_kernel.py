"""The part of kqueue(2) that jaild uses, for machines without it: processes and files that a test ends and changes."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.freebsd.kqueue import KqueueEvents

VNODE, PROC = -4, -5


@dataclass
class Kevent:
    """A change or an event."""

    ident: int
    filter: int
    flags: int = 0
    fflags: int = 0
    data: int = 0


class FakeKernel:
    """What the module `select` has on FreeBSD. `exists` says whether a process is there."""

    KQ_FILTER_VNODE, KQ_FILTER_PROC = VNODE, PROC
    KQ_EV_ADD, KQ_EV_DELETE, KQ_EV_CLEAR = 1, 2, 32
    KQ_NOTE_DELETE, KQ_NOTE_WRITE, KQ_NOTE_EXTEND = 1, 2, 4
    KQ_NOTE_EXIT, KQ_NOTE_EXEC = 1 << 31, 1 << 29
    kevent = Kevent

    def __init__(self, exists: Callable[[int], bool]) -> None:
        self._exists = exists
        self._queues: list[FakeKqueue] = []

    def kqueue(self) -> FakeKqueue:
        """Make a queue."""
        queue = FakeKqueue(self._exists)
        self._queues.append(queue)
        return queue

    def exited(self, pid: int, status: int) -> None:
        """Say that a process ended; `status` as wait(2) tells it."""
        self._say(lambda c: (c.filter, c.ident) == (PROC, pid), Kevent(pid, PROC, 0, self.KQ_NOTE_EXIT, status))

    def executed(self, pid: int) -> None:
        """Say that a process executed a program."""
        self._say(lambda c: (c.filter, c.ident) == (PROC, pid), Kevent(pid, PROC, 0, self.KQ_NOTE_EXEC))

    def written(self, path: Path) -> None:
        """Say that a file was written."""
        for queue in self._queues:
            for change in list(queue.wanted):
                if change.filter == VNODE and _is_open(change.ident, path):
                    queue.add(Kevent(change.ident, VNODE, 0, self.KQ_NOTE_WRITE))

    def _say(self, wanted: Callable[[Kevent], bool], event: Kevent) -> None:
        for queue in self._queues:
            if any(map(wanted, queue.wanted)):
                queue.add(event)

    def close(self) -> None:
        """Give the descriptors back."""
        for queue in self._queues:
            queue.close()


def _is_open(descriptor: int, path: Path) -> bool:
    try:
        opened = os.fstat(descriptor)
    except OSError:  # closed, which takes its kevent with it
        return False
    return os.path.samestat(opened, path.stat())


class FakeKqueue:
    """One queue, readable while it has events."""

    def __init__(self, exists: Callable[[int], bool]) -> None:
        self.wanted: list[Kevent] = []
        self._exists = exists
        self._events: deque[Kevent] = deque()
        self._readable, self._signal = os.pipe()

    def fileno(self) -> int:
        """Return what an event loop waits for."""
        return self._readable

    def add(self, event: Kevent) -> None:
        """Queue an event."""
        self._events.append(event)
        os.write(self._signal, b".")

    def control(self, changes: list[Kevent] | None, most: int, _timeout: float | None = None) -> list[Kevent]:
        """Take changes, or give events without waiting."""
        for change in changes or ():
            if change.filter == PROC and change.flags & FakeKernel.KQ_EV_DELETE:
                if change.ident not in [w.ident for w in self.wanted]:
                    raise FileNotFoundError(change.ident)
                self.wanted = [w for w in self.wanted if w.ident != change.ident]
            elif change.filter == PROC and not self._exists(change.ident):
                raise ProcessLookupError(change.ident)
            else:
                self.wanted.append(change)
        given = [self._events.popleft() for _ in range(min(most, len(self._events)))]
        if given:
            os.read(self._readable, len(given))
        return given

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._readable)
        os.close(self._signal)


class FakeEvents(KqueueEvents):
    """The real thing over a kernel that is none: signals go to the kernel's processes, never to this machine's."""

    def __init__(self, kernel: FakeKernel, kill: Callable[[int, signal.Signals], None]) -> None:
        super().__init__(kernel)
        self._kill = kill

    def send(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process of the fake."""
        if not self.ended(pid):
            self._kill(pid, number)
