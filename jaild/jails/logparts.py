"""What jails wrote, put away while they go on writing: compressed parts beside each log, and none of its lines lost.

    lines that are whole ─► compressed, on disk ─► their place in the log becomes a hole ─► the oldest parts go

Nobody's file is taken away or made shorter, so no process that writes and nobody who follows notices. A crash between
the two steps leaves the place as it was; it becomes a hole with the next one.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from jaild.model.errors import UnavailableError
from jaild.model.jails import logparts
from jaild.model.jails.logparts import Kept, Part, Rotation
from jaild.model.jails.logtimes import TAIL
from jaild.ports.clock import Clock
from jaild.ports.files import Files

AHEAD = 1 << 20  # bytes of what is compressed that are read at once
_LOOK = 64 << 10  # bytes in which a part is to end with a line


class LogParts:
    """The logs in `folder`, by their file names, with what was put away of them."""

    def __init__(self, files: Files, clock: Clock, folder: Path, rotation: Rotation) -> None:
        self.folder = folder
        self._files = files
        self._clock = clock
        self._rotation = rotation
        self._parts: dict[str, list[Part]] = {}
        self._since: dict[str, float] = {}  # when the oldest byte that is not put away was seen first
        self._able = False

    async def load(self) -> None:
        """Read which parts there are."""
        self._parts = logparts.chains(await self._files.names(self.folder))

    def logs(self) -> AbstractSet[str]:
        """Return the logs of which something was put away."""
        return self._parts.keys()

    def begin(self, log: str) -> int:
        """Return where what is not put away begins."""
        parts = self._parts.get(log)
        return parts[-1].end if parts else 0

    def oldest(self, log: str) -> int:
        """Return where what is kept begins."""
        parts = self._parts.get(log)
        return parts[0].begin if parts else 0

    async def read(self, log: str, position: int, size: int, stop: int | None = None) -> tuple[int, bytes]:
        """Return at most `size` bytes from a position, or from where what is kept begins; and where they begin.

        `stop`: nothing from there on.
        """
        while True:
            position = max(position, self.oldest(log))
            room = size if stop is None else min(size, stop - position)
            if room <= 0:
                return position, b""
            part = next((part for part in self._parts.get(log, ()) if position < part.end), None)
            if part is None:
                return position, await self._files.read_at(self.folder / log, position, room)
            path, skip = self.folder / part.name, position - part.begin
            if found := await self._files.read_compressed(path, skip, min(room, part.end - position)):
                return position, found
            position = part.end  # somebody removed it, or it became too old meanwhile

    def ahead(self, log: str) -> ReadAhead:
        """Return a reader of a log, for one that asks for little at a time."""
        return ReadAhead(self, log)

    async def line_start(self, log: str, lines: int) -> int:
        """Return where the last `lines` lines begin; where what is kept begins if there are fewer."""
        position, found = await self._files.line_start(self.folder / log, lines, self.begin(log))
        for part in reversed(self._parts.get(log, ())):
            if found >= lines:
                break
            start, more = await self._files.compressed_line_start(self.folder / part.name, lines - found)
            position, found = part.begin + start, found + more
        return position

    async def begun_anew(self, log: str) -> None:
        """Keep what was put away of a log that somebody emptied or removed, by names that say nothing of positions."""
        while parts := self._parts.get(log):  # each is forgotten when it is done: what fails is gone on with
            await self._files.rename(self.folder / parts[0].name, logparts.set_aside(parts[0], self._clock.now()))
            del parts[0]
        self._parts.pop(log, None)
        self._since.pop(log, None)

    async def renamed(self, log: str, new: str) -> None:
        """Give a log another name, with what was put away of it. What has that name is set aside first.

        Done again after a crash in it, it ends the same.
        """
        if await self._files.size(self.folder / log):
            await self._set_aside(new)
        for name in await self._files.names(self.folder):
            if name == log or logparts.log_of(name) == log:
                await self._files.rename(self.folder / name, f"{new}{name.removeprefix(log)}")
        self._since.pop(log, None)
        await self.load()

    async def _set_aside(self, log: str) -> None:
        """Keep what a former jail of that name wrote, compressed as a log is that was begun anew."""
        size, begin = await self._files.size(self.folder / log), self.begin(log)
        await self.begun_anew(log)
        if size > begin:
            part = Part(log=log, begin=begin, end=size)
            aside = logparts.set_aside(part, self._clock.now())
            await self._files.compress(self.folder / log, begin, size, self.folder / aside)
        await self._files.remove(self.folder / log)

    async def put_away(self, log: str, end: int) -> bool:
        """Put away what lies before `end`, where a line begins, as far as that is due; return whether any was.

        `UnavailableError` (LOGS_NOT_ROTATED) on a file system that cannot free a part of a file.
        """
        done = False
        while self._is_due(log, end):
            if not await self._put_away(log, await self._cut(log, end)):
                break
            done = True
        return done

    def _is_due(self, log: str, end: int) -> bool:
        waiting, now = end - self.begin(log), self._clock.now()
        if waiting <= 0:
            self._since.pop(log, None)
            return False
        return self._rotation.is_due(waiting, now - self._since.setdefault(log, now))

    async def _cut(self, log: str, end: int) -> int:
        """Return the end of the next part, no larger than makes it due: each look into it begins at its start."""
        most = self._rotation.bytes
        cut = self.begin(log) + most
        if cut >= end:
            return end
        look = min(_LOOK, most)
        newline = (await self._files.read_at(self.folder / log, cut - look, look)).rfind(b"\n")
        return cut - look + newline + 1 if newline >= 0 else cut

    async def _put_away(self, log: str, end: int) -> bool:
        await self._require_able()
        part, parts = Part(log=log, begin=self.begin(log), end=end), self._parts.setdefault(log, [])
        await self._files.compress(self.folder / log, part.begin, end, self.folder / part.name)
        is_emptied = await self._files.size(self.folder / log) < end or self._parts.get(log) is not parts
        if is_emptied:  # meanwhile: it is not known what was read
            await self._files.remove(self.folder / part.name)
            return False
        parts.append(part)
        self._since.pop(log, None)
        if end > TAIL:  # by its end it is known again
            await self._files.free(self.folder / log, end - TAIL)
        return True

    async def drop_oldest(self) -> None:
        """Remove what is too old, or more than is kept."""
        sizes = await self._files.sizes(self.folder)
        away = [name for name in sizes if name.endswith(".gz")]
        times = await self._files.times(self.folder, away)
        kept = {name: Kept(size=sizes[name], time=time) for name, time in times.items()}
        for log in {log for name in kept if (log := logparts.log_of(name))}:
            its = {name: file for name, file in kept.items() if logparts.log_of(name) == log}
            for name in logparts.surplus(its, self._rotation, self._clock.now()):
                parts = self._parts.get(log, [])
                if parts and parts[-1].name == name:
                    continue  # it says where the log goes on
                parts[:] = [part for part in parts if part.name != name]  # first: who reads looks here again
                await self._files.remove(self.folder / name)

    async def _require_able(self) -> None:
        self._able = self._able or await self._files.can_free(self.folder)
        if not self._able:
            raise UnavailableError(
                "LOGS_NOT_ROTATED",
                f"the file system of {self.folder} cannot free a part of a file: the jails' logs grow for ever",
                hint="put it on ZFS, or another one that can; or empty them: newsyslog, logrotate with copytruncate",
            )


class ReadAhead:
    """Reads more of what is compressed than it is asked for: each look into a part begins at the part's start."""

    def __init__(self, parts: LogParts, log: str) -> None:
        self._parts = parts
        self._log = log
        self.forget()

    def forget(self) -> None:
        """Read anew: the log was begun anew."""
        self._begin, self._data = 0, b""

    async def read(self, position: int, size: int, stop: int) -> tuple[int, bytes]:
        """Return as `LogParts.read` does."""
        if position >= self._parts.begin(self._log):
            return await self._parts.read(self._log, position, size, stop)
        if not self._begin <= position < self._begin + len(self._data):
            self._begin, self._data = await self._parts.read(self._log, position, AHEAD)
        position = max(position, self._begin)
        end = max(min(position + size, stop), position)
        return position, self._data[position - self._begin : end - self._begin]
