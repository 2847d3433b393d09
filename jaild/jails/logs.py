"""Jails' logs: read, followed, and marked with times, which they do not have of themselves (`model.jails.logtimes`)."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from jaild.engine.supervisor import Supervisor
from jaild.jails.logparts import AHEAD, LogParts, ReadAhead
from jaild.model.errors import JaildError, NotFoundError
from jaild.model.jails import logtimes
from jaild.model.jails.logtimes import LogPiece, LogQuery, Mark
from jaild.ports.clock import Clock
from jaild.ports.files import Files

_EVERY = 1.0  # seconds from one look at all logs to the next: what a line's time is true to
_KEEP = 60.0  # seconds between notes on disk that all were looked at: what a crash makes the next time vaguer by
_POLL = 0.25  # seconds; neither inotify nor kqueue is on both systems, and a quarter second is soon enough for eyes
_PIECE = 64 << 10
_DROP = 3600.0  # seconds between looks at what is too old, where nothing is put away
_ROTATE = 10.0  # seconds between looks at what is to be put away
_LOG = ".log"
_LOOKED = "looked.json"  # a file beside those of the marks; they are called NAME.times


class _Looked(msgspec.Struct, frozen=True):
    """When all logs were looked at, and up to where each was marked then: after a power cut marks may be missing."""

    at: float = 0.0
    ends: dict[str, int] = {}


_NONE = Mark(end=0, by=0.0)


@dataclass
class _Seen:
    """A log as it was looked at last."""

    size: int = 0
    mark: Mark = _NONE  # the last one; what is beyond it was written after its `after`
    looked: float = 0.0  # what is beyond `size` was written after this time
    count: int = 0  # of marks on disk
    newest: deque[Mark] = field(default_factory=lambda: deque(maxlen=256))  # since it was begun to be looked at
    begun: int = 0  # another number each time that it is begun anew
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Logs:
    """The logs that `parts` are of; their marks are kept in `times`."""

    def __init__(self, files: Files, supervisor: Supervisor, clock: Clock, parts: LogParts, times: Path) -> None:
        self._files = files
        self._supervisor = supervisor
        self._clock = clock
        self._parts = parts
        self._folder = parts.folder
        self._times = times
        self._seen: dict[str, _Seen] = {}
        self._last = _Looked()  # of the daemon before this one
        self._scanned = 0.0  # when all were looked at last
        self._is_first = True
        self._beginnings = itertools.count(1)
        self._kept = 0.0
        self._dropped = 0.0

    def run(self) -> None:
        """Look at all logs from now on, in the background."""
        self._supervisor.run("times of logs", self.look_at_all, every=_EVERY)
        self._supervisor.run("rotation of logs", self.put_away, every=_ROTATE)

    async def put_away(self) -> None:
        """Put away what is due of each log, up to its last whole line. Raises as `LogParts.put_away`, all done."""
        if self._is_first:
            await self.look_at_all()
        done, failed = False, list[JaildError]()
        for name, seen in [*self._seen.items()]:
            try:
                done = await self._parts.put_away(f"{name}{_LOG}", seen.mark.end) or done
            except JaildError as error:  # one that is damaged keeps no other from it
                failed.append(error)
        if done or failed or self._clock.now() - self._dropped >= _DROP:  # above all if there was no room for it
            self._dropped = self._clock.now()
            await self._parts.drop_oldest()
        if failed:
            raise failed[0]

    async def close(self) -> None:
        """Look once more, so that the next daemon knows from when on nobody did."""
        if not self._is_first:
            await self.look_at_all()
            await self._keep()

    async def look_at_all(self) -> None:
        """Mark how far each log has grown."""
        before = self._clock.now()
        sizes = await self._files.sizes(self._folder)
        if self._is_first:
            await self._recall({f"{name.removesuffix(_LOG)}.times" for name in sizes})
        for name, size in sizes.items():
            if not name.endswith(_LOG):
                continue
            seen = self._seen.get(name.removesuffix(_LOG))
            if seen is not None and seen.looked and seen.size == size and not seen.lock.locked():
                seen.looked = before  # as nearly all are: nobody waits for thousands of them
            else:
                await self._note(name.removesuffix(_LOG))
        for log in self._parts.logs() - sizes.keys():
            await self._parts.begun_anew(log)
        for name in self._seen.keys() - {name.removesuffix(_LOG) for name in sizes}:
            await self._files.remove(self._marks(name))
            del self._seen[name]
        self._scanned, self._is_first = before, False
        if before - self._kept >= _KEEP or before < self._kept:
            await self._keep()

    async def _recall(self, wanted: set[str]) -> None:
        """Learn when the daemon before this one looked last; drop marks of logs that are gone."""
        await self._parts.load()
        await self._files.make_folder(self._times)
        for name in await self._files.names(self._times):
            if name != _LOOKED and name not in wanted:
                await self._files.remove(self._times / name)
        with suppress(NotFoundError, msgspec.DecodeError):  # there was none, or what is there is somebody else's
            self._last = msgspec.json.decode(await self._files.read(self._times / _LOOKED), type=_Looked)

    async def _keep(self) -> None:
        looked = _Looked(self._scanned, {name: seen.mark.end for name, seen in self._seen.items()})
        await self._files.write(self._times / _LOOKED, msgspec.json.encode(looked))
        self._kept = looked.at

    async def renamed(self, jail: str, new: str) -> None:
        """Give a jail's log the jail's new name. The jail must be down; done again, it ends the same."""
        if self._is_first:
            await self.look_at_all()
        await self._parts.renamed(f"{jail}{_LOG}", f"{new}{_LOG}")
        await self._files.rename(self._marks(jail), self._marks(new).name)
        if (seen := self._seen.pop(jail, None)) is not None:
            self._seen[new] = seen

    def _path(self, jail: str) -> Path:
        return self._folder / f"{jail}{_LOG}"

    def _marks(self, jail: str) -> Path:
        return self._times / f"{jail}.times"

    async def _look(self, jail: str) -> _Seen:
        if self._is_first:
            await self.look_at_all()
        return await self._note(jail)

    async def _note(self, jail: str) -> _Seen:
        """Mark a log up to where it has grown."""
        seen = self._seen.setdefault(jail, _Seen())
        async with seen.lock:
            before = self._clock.now()
            size = await self._files.size(self._path(jail))
            is_new = not seen.looked
            if is_new:
                came = not self._is_first  # what was put away under its name is of another one
                await self._load(jail, seen)
                seen.begun = next(self._beginnings) if came else 0
                if came or size < self._parts.begin(f"{jail}{_LOG}"):
                    await self._parts.begun_anew(f"{jail}{_LOG}")
            if (is_new or size != seen.size) and not await self._is_the_same(jail, seen, size):
                await self._parts.begun_anew(f"{jail}{_LOG}")
                await self._files.remove(self._marks(jail))  # last: they tell the next daemon, if this one dies
                seen.size, seen.mark, seen.count = 0, Mark(end=0, after=seen.looked, by=0.0), 0
                seen.begun = next(self._beginnings)
                seen.newest.clear()
            if size > seen.size:
                await self._mark(jail, seen, size)
            seen.size, seen.looked = size, max(before, 0.001)
        return seen

    async def _load(self, jail: str, seen: _Seen) -> None:
        """Begin with what the daemon before this one knew; nothing if the log came while this one looked."""
        if not self._is_first:
            seen.looked = self._scanned
            seen.mark = Mark(end=0, after=self._scanned, by=0.0)
            return
        if marks := await self._read_marks(jail):
            seen.mark, seen.count, seen.size = marks[-1], len(marks), marks[-1].end
        elif jail not in self._last.ends:
            seen.mark = Mark(end=0, after=self._last.at, by=0.0)
        is_whole = seen.mark.end == self._last.ends.get(jail, 0)
        seen.looked = max(self._last.at if is_whole else 0.0, seen.mark.by)

    async def _is_the_same(self, jail: str, seen: _Seen, size: int) -> bool:
        return size >= seen.mark.end and await self._tail(jail, seen.mark.end) == seen.mark.tail

    async def _tail(self, jail: str, end: int) -> int:
        begin = max(0, end - logtimes.TAIL)
        return logtimes.tail_of(await self._files.read_at(self._path(jail), begin, end - begin)) if end else 0

    async def _mark(self, jail: str, seen: _Seen, size: int) -> None:
        """Mark it up to its last whole line; on disk first, so that what a cancel leaves is wider, not wrong."""
        begin = max(seen.mark.end, size - _PIECE)
        piece = await self._files.read_at(self._path(jail), begin, size - begin)
        whole = piece.rfind(b"\n") + 1
        if not whole and begin == seen.mark.end:
            return  # a line that goes on
        end = begin + (whole or len(piece))
        mark = Mark(end=end, after=seen.looked, by=self._clock.now(), tail=await self._tail(jail, end))
        if seen.count >= logtimes.LIMIT:
            marks = logtimes.thinned(await self._read_marks(jail))
            await self._files.write(self._marks(jail), logtimes.encode(marks))
            seen.count = len(marks)
        await self._files.append(self._marks(jail), logtimes.encode([mark]))
        seen.mark, seen.count = mark, seen.count + 1
        seen.newest.append(mark)

    async def _read_marks(self, jail: str) -> list[Mark]:
        try:
            return logtimes.decode(await self._files.read(self._marks(jail)))
        except NotFoundError:
            return []

    # -- reading

    def jails(self) -> Iterable[tuple[str, int, int]]:
        """Return each jail with a log, how far it is marked, and which beginning of it that is; 0: the first."""
        return [(jail, seen.mark.end, seen.begun) for jail, seen in self._seen.items()]

    async def position(self, jail: str, since: float) -> int:
        """Return where in a log that begins which may have been written since a time."""
        return logtimes.begin_of(await self._read_marks(jail), since)

    async def marked(self, jail: str, position: int) -> AsyncGenerator[LogPiece, None]:
        """Yield what is written from a position on, as far as it is marked, which is at a line's end if it has one."""
        newest = self._seen[jail].newest if jail in self._seen else ()
        marks = [*newest] if newest and newest[0].end <= position else await self._read_marks(jail)
        ahead = self._parts.ahead(f"{jail}{_LOG}")
        for mark in marks:
            async for piece in _between(ahead, position, mark.end, mark.after, mark.by):
                yield piece
            position = max(position, mark.end)

    async def read(self, jail: str, asked: LogQuery) -> AsyncIterator[LogPiece]:
        """Yield what was asked for, to the end that there is now, or with `follow` until the caller closes."""
        log, (position, stop) = f"{jail}{_LOG}", (0, None)
        if self._is_first:
            await self.look_at_all()
        if asked.since or asked.until or asked.times:
            await self._look(jail)
            marks = await self._read_marks(jail)
            position = logtimes.begin_of(marks, asked.since)
            stop = logtimes.end_of(marks, asked.until) if asked.until else None
        if asked.lines is not None:
            position = max(position, await self._parts.line_start(log, asked.lines))
        pieces = self._timed(jail, position, stop, asked) if asked.times else self._plain(log, position, stop, asked)
        async for piece in pieces:
            yield piece

    async def _plain(self, log: str, position: int, stop: int | None, asked: LogQuery) -> AsyncIterator[LogPiece]:
        while True:
            piece = _PIECE if position >= self._parts.begin(log) else AHEAD
            position, data = await self._parts.read(log, position, piece, stop)
            if data:
                position += len(data)
                yield LogPiece(data=data)
            elif not asked.follow or stop is not None or (asked.until and self._clock.now() >= asked.until):
                return
            else:
                if await self._files.size(self._folder / log) < position:
                    await self._look(log.removesuffix(_LOG))  # what was put away of it is not to come again
                    position = 0  # begun anew
                await self._clock.sleep(_POLL)

    async def _timed(self, jail: str, position: int, stop: int | None, asked: LogQuery) -> AsyncIterator[LogPiece]:
        seen = await self._look(jail)
        begun = seen.begun
        marks: Sequence[Mark] = await self._read_marks(jail)
        ahead = self._parts.ahead(f"{jail}{_LOG}")
        while True:
            if seen.begun != begun:
                begun, position, marks = seen.begun, 0, ()
                ahead.forget()
            for mark in [*marks, *seen.newest]:
                if position < mark.end and (stop is None or mark.end <= stop):
                    async for piece in _between(ahead, position, mark.end, mark.after, mark.by):
                        yield piece
                    position = mark.end
            if not asked.follow or stop is not None:
                break
            if asked.until and self._clock.now() >= asked.until:
                break
            await self._clock.sleep(_POLL)
            marks, seen = (), await self._look(jail)
        if stop is None:  # a line that is not ended yet
            async for piece in _between(ahead, position, seen.size, seen.mark.after, self._clock.now()):
                yield piece


async def _between(log: ReadAhead, begin: int, end: int, after: float, by: float) -> AsyncIterator[LogPiece]:
    while begin < end:
        begin, data = await log.read(begin, _PIECE, end)
        if not data:
            return
        yield LogPiece(data=data, after=after, by=by, begin=begin)
        begin += len(data)
