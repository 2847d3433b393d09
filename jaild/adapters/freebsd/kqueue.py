"""What the kernel tells of processes that are not our children: kqueue(2).

EVFILT_PROC with NOTE_EXIT gives the exit status to whoever watches, parent or not; jail(8) itself reads it that way.
The status of a process that ended before it was watched is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class Events(Protocol):
    """Ends of processes, and changes of a file."""

    def watch(self, pid: int) -> None:
        """Watch a process from now on; saying it again changes nothing."""

    def watched(self, pid: int) -> bool:
        """Tell whether a process is watched."""

    def ended(self, pid: int) -> bool:
        """Tell whether a watched process has ended."""

    def status(self, pid: int) -> int | None:
        """Return a watched process's exit status, -N for signal N; None if it lives or that is not known."""

    def forget(self, pid: int) -> None:
        """Watch a process no longer. Harmless if it is not watched."""

    def send(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a watched process. Harmless when it has ended."""

    def changes(self, pid: int) -> int:
        """Return how often a watched process has executed a program or ended since it was watched."""

    async def changed(self, pid: int, since: int) -> None:
        """Return when `changes` is more than `since`."""

    async def end(self, pid: int) -> None:
        """Return when a watched process has ended."""

    def file(self, path: Path) -> contextlib.AbstractContextManager[asyncio.Event]:
        """Give an event that is set when a file is written or removed. `FileNotFoundError` if there is none."""


class _Watch:
    """A process that is watched."""

    def __init__(self) -> None:
        self.changes = 0
        self.over = False
        self.status: int | None = None
        self.news = asyncio.Event()

    def note(self, *, over: bool, status: int | None = None) -> None:
        self.changes += 1
        if over and not self.over:
            self.over, self.status = True, status
        self.news.set()
        self.news = asyncio.Event()


class KqueueEvents:
    """Implements `Events` on FreeBSD. One kqueue, read by the event loop that runs at its first use.

    `kernel` has what the module `select` has there; Any, since the type checker knows kqueue only where it runs.
    """

    def __init__(self, kernel: Any = select) -> None:
        self._kernel = kernel
        self._queue: Any = None
        self._watches: dict[int, _Watch] = {}
        self._files: dict[int, asyncio.Event] = {}  # by descriptor

    def watch(self, pid: int) -> None:
        """Watch a process from now on."""
        if pid in self._watches:
            return
        watch = self._watches[pid] = _Watch()
        notes = self._kernel.KQ_NOTE_EXIT | self._kernel.KQ_NOTE_EXEC
        try:
            self._tell(self._kernel.kevent(pid, self._kernel.KQ_FILTER_PROC, self._kernel.KQ_EV_ADD, notes))
        except ProcessLookupError:
            watch.note(over=True)

    def watched(self, pid: int) -> bool:
        """Tell whether a process is watched."""
        return pid in self._watches

    def ended(self, pid: int) -> bool:
        """Tell whether it has ended."""
        self._read()
        return self._watches[pid].over

    def status(self, pid: int) -> int | None:
        """Return its exit status."""
        return self._watches[pid].status

    def forget(self, pid: int) -> None:
        """Watch it no longer."""
        watch = self._watches.pop(pid, None)
        if watch is not None and not watch.over:
            with contextlib.suppress(FileNotFoundError):  # it ended just now, and its event went with it
                self._tell(self._kernel.kevent(pid, self._kernel.KQ_FILTER_PROC, self._kernel.KQ_EV_DELETE))

    def send(self, pid: int, number: signal.Signals) -> None:
        """Send it a signal."""
        # What has ended is known before its number can be another's: the kernel queues the event at the exit.
        if not self.ended(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def changes(self, pid: int) -> int:
        """Return how often it has executed a program or ended."""
        self._read()
        return self._watches[pid].changes

    async def changed(self, pid: int, since: int) -> None:
        """Return when `changes` is more than `since`."""
        watch = self._watches[pid]
        while watch.changes <= since:
            await watch.news.wait()

    async def end(self, pid: int) -> None:
        """Return when it has ended."""
        watch = self._watches[pid]
        while not watch.over:
            await watch.news.wait()

    @contextlib.contextmanager
    def file(self, path: Path) -> Iterator[asyncio.Event]:
        """Give an event that is set when a file is written or removed."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        event = self._files[fd] = asyncio.Event()
        notes = self._kernel.KQ_NOTE_WRITE | self._kernel.KQ_NOTE_EXTEND | self._kernel.KQ_NOTE_DELETE
        try:
            flags = self._kernel.KQ_EV_ADD | self._kernel.KQ_EV_CLEAR
            self._tell(self._kernel.kevent(fd, self._kernel.KQ_FILTER_VNODE, flags, notes))
            yield event
        finally:
            del self._files[fd]
            os.close(fd)  # takes its kevent with it

    def _tell(self, change: Any) -> None:
        if self._queue is None:
            self._queue = self._kernel.kqueue()
            asyncio.get_running_loop().add_reader(self._queue.fileno(), self._read)
        self._queue.control([change], 0)

    def _read(self) -> None:
        while self._queue is not None and (events := self._queue.control(None, 64, 0)):
            for event in events:
                self._note(event)

    def _note(self, event: Any) -> None:
        if event.filter == self._kernel.KQ_FILTER_VNODE:
            if (changed := self._files.get(event.ident)) is not None:
                changed.set()
        elif (watch := self._watches.get(event.ident)) is not None:
            over = bool(event.fflags & self._kernel.KQ_NOTE_EXIT)
            watch.note(over=over, status=os.waitstatus_to_exitcode(event.data) if over else None)
