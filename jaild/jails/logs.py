"""What jails write on stdout and stderr."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.jails.runs import Runs
from jaild.ports.clock import Clock
from jaild.ports.files import Files

_POLL = 0.25  # seconds; neither inotify nor kqueue is on both systems, and a quarter second is soon enough for eyes
_PIECE = 64 << 10


class Logs:
    """Reads jails' logs."""

    def __init__(self, files: Files, runs: Runs, clock: Clock) -> None:
        self._files = files
        self._runs = runs
        self._clock = clock

    async def read(self, jail: str, *, lines: int, follow: bool) -> AsyncIterator[bytes]:
        """Yield the last `lines` lines (0: all there is), then with `follow` what comes until the caller closes."""
        path = self._runs.log_path(jail)
        position = await self._files.line_start(path, lines) if lines else 0
        while True:
            piece = await self._files.read_at(path, position, _PIECE)
            if piece:
                position += len(piece)
                yield piece
            elif not follow:
                return
            else:
                if await self._files.size(path) < position:
                    position = 0  # rotated
                await self._clock.sleep(_POLL)
