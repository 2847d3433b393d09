"""What a build's commands write: kept in a file for each operation, its end for errors, its last line for readers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from jaild.engine.operations import Handle, Operations
from jaild.model import bounds
from jaild.model.errors import NotFoundError
from jaild.model.operation import Operation
from jaild.ports.clock import Clock
from jaild.ports.files import Files

KEPT = 100  # logs; older ones are removed when a build begins
_TAIL = 4000  # bytes that an error carries
_POLL = 0.25  # seconds; neither inotify nor kqueue is on both systems
_PIECE = 64 << 10


class BuildLog:
    """One build's log, as its steps write it."""

    def __init__(self, files: Files, path: Path, handle: Handle) -> None:
        self._files = files
        self._handle = handle
        self._heading = ""
        self._tail = b""
        self._room = bounds.BUILD_LOG
        self.path = path

    async def begin(self, step: str, heading: str) -> None:
        """Say which step begins; `step` is "step 2 of 5"."""
        self._heading, self._tail = step, b""
        await self._handle.phase("build", f"{step}: {heading}")
        await self._files.append(self.path, f"== {step}: {heading}\n".encode())

    async def write(self, piece: bytes) -> None:
        """Take a piece of output."""
        if not piece:
            return
        if self._room > 0:  # an error still carries the end of what came after
            kept, self._room = piece[: self._room], self._room - len(piece)
            more = b"" if self._room > 0 else f"\n== the log ends here, at {bounds.BUILD_LOG >> 20} MiB\n".encode()
            await self._files.append(self.path, kept + more)
        self._tail = (self._tail + piece)[-_TAIL:]
        last = self._tail.rstrip().rpartition(b"\n")[2].decode("utf-8", "replace")
        self._handle.note(message=f"{self._heading}: {last[:200]}")

    @property
    def tail(self) -> str:
        """The end of the step's output, whole lines where it was cut."""
        tail = self._tail if len(self._tail) < _TAIL else self._tail.partition(b"\n")[2]
        return tail.decode("utf-8", "replace").strip()


class BuildLogs:
    """The logs of this host's builds, by operation."""

    def __init__(self, files: Files, operations: Operations, clock: Clock, folder: Path) -> None:
        self._files = files
        self._operations = operations
        self._clock = clock
        self._folder = folder

    async def open(self, handle: Handle) -> BuildLog:
        """Begin an operation's log, and forget the oldest ones."""
        await self._files.make_folder(self._folder)
        path = self._path(handle.id)
        await self._files.append(path, b"")
        known = {f"{operation.id}.log": operation.created for operation in self._operations.list()}
        names = sorted(await self._files.names(self._folder), key=lambda name: known.get(name, 0.0))
        for name in names[:-KEPT]:
            await self._files.remove(self._folder / name)
        return BuildLog(self._files, path, handle)

    async def read(self, operation_id: str, *, follow: bool) -> AsyncIterator[bytes]:
        """Yield what a build wrote, with `follow` until its operation is done.

        `NotFoundError` (OPERATION_NOT_FOUND, BUILD_LOG_NOT_FOUND).
        """
        operation, path, position = self._operations.get(operation_id), self._path(operation_id), 0
        if operation.done and path.name not in await self._files.names(self._folder):
            raise _no_log(operation)
        while True:
            done = self._operations.get(operation_id).done  # asked first: what comes after it is read below
            while piece := await self._files.read_at(path, position, _PIECE):
                position += len(piece)
                yield piece
            if done or not follow:
                return
            await self._clock.sleep(_POLL)

    def _path(self, operation_id: str) -> Path:
        return self._folder / f"{operation_id}.log"


def _no_log(operation: Operation) -> NotFoundError:
    return NotFoundError(
        "BUILD_LOG_NOT_FOUND",
        f"{operation.name} ({operation.kind} of {operation.target}) has no log",
        remedy=f"only builds have one, and the last {KEPT} are kept",
        resource=operation.name,
    )
