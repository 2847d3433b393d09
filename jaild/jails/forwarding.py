"""What jails write, sent to receivers of syslog where their specs say so: a task and a connection for each receiver.

    lines of all jails that go there ─► sent ─► how far each has come, on disk ─┐
        ▲                                 └─fails─► back-off, the same again     │
        └─────────────────────────────────────────────────────────────────────────┘

The log itself is the queue: a receiver that is away holds up nobody, and what rotation removes before it is back is
told and counted. A crash between the two steps sends the lines once more, with the same numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.supervisor import BackOff
from jaild.jails.logs import Logs
from jaild.model import quantity
from jaild.model.errors import NotFoundError
from jaild.model.jails.loglines import Lines
from jaild.model.jails.spec import Syslog
from jaild.model.syslog import Line

_EVERY = 1.0  # seconds between looks at what there is to send
_AWAY = BackOff(first=1.0, longest=30.0)
_BATCH = 512 << 10  # bytes of lines that are sent at once
_SHARE = 64 << 10  # of these, of one jail: about
_AT_ONCE = 1000  # lines that are looked at before others have their turn: there may be 64 Ki of them
LOST = "log.lines_lost"


class Cursor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a jail's log has been sent."""

    uid: str  # the jail's
    position: int
    sent: int = 0  # lines
    lost: int = 0  # bytes that were removed before they could be sent
    behind: int = 0  # bytes that wait; not kept


@dataclass
class _Receiver:
    """Who is to be sent to one address."""

    address: str
    jails: dict[str, Syslog] = field(default_factory=dict)
    first: int = 0  # whose turn it is


class Forwarding:
    """Sends what `logs` has. Positions are kept in the file `kept`."""

    def __init__(self, engine: Engine, logs: Logs, kept: Path) -> None:
        self._inventory = engine.inventory
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._files = engine.ports.files
        self._sinks = engine.ports.sinks
        self._logs = logs
        self._path = kept
        self._cursors: dict[str, Cursor] = {}
        self._begun: dict[str, int] = {}  # which beginning of each log its position is of
        self._receivers: dict[str, _Receiver] = {}
        self._is_first = True
        self._changes = self._written = 0
        self._lock = asyncio.Lock()

    def run(self) -> None:
        """Send from now on, in the background."""
        self._supervisor.run("logs to syslog", self.look, every=_EVERY)

    async def renamed(self, jail: str, new: str) -> None:
        """Send a jail's log on from where it was sent to, under the jail's new name."""
        if (cursor := self._cursors.pop(jail, None)) is not None:
            self._cursors[new] = cursor
            self._begun[new] = self._begun.pop(jail, 0)
            await self._keep()

    def views(self) -> dict[str, Cursor]:
        """Return how far each jail has come whose log is sent."""
        ends = {jail: end for jail, end, _ in self._logs.jails()}
        return {
            jail: msgspec.structs.replace(cursor, behind=max(ends.get(jail, 0) - cursor.position, 0))
            for receiver in self._receivers.values()
            for jail in receiver.jails
            if (cursor := self._cursors.get(jail)) is not None
        }

    async def look(self) -> None:
        """Begin to send where a spec says so since the last look, and end where none does any more."""
        if self._is_first:
            with suppress(NotFoundError, msgspec.DecodeError):  # there was none, or it is somebody else's
                self._cursors = msgspec.json.decode(await self._files.read(self._path), type=dict[str, Cursor])
            self._is_first = False
        wanted: dict[str, dict[str, Syslog]] = {}
        there = {jail: begun for jail, _, begun in self._logs.jails()}
        for jail in self._cursors.keys() - there.keys() if there else ():
            del self._cursors[jail]
        for jail, begun in there.items():
            entry = self._inventory.jails.get(jail)
            if entry is None or entry.generation is None or entry.record is None:
                continue
            to = entry.generation.spec.logs.syslog
            if to is not None:
                await self._begin(jail, entry, begun)
                wanted.setdefault(to.address, {})[jail] = to
            elif jail in self._cursors:
                del self._cursors[jail]
        await self._settle(wanted)

    async def _begin(self, jail: str, entry: JailEntry, begun: int) -> None:
        """Find where a jail's log is to be sent from, if it has not been yet: from when its generation was made."""
        cursor, uid = self._cursors.get(jail), entry.record.uid if entry.record is not None else ""
        if cursor is not None and cursor.uid == uid:
            return
        since = entry.generation.created if entry.generation is not None else 0.0
        self._cursors[jail] = Cursor(uid=uid, position=await self._logs.position(jail, since))
        self._begun[jail] = begun
        await self._keep()

    async def _settle(self, wanted: Mapping[str, dict[str, Syslog]]) -> None:
        for address in self._receivers.keys() - wanted.keys():
            await self._supervisor.end(_task(address))
            del self._receivers[address]
        for address, jails in wanted.items():
            receiver = self._receivers.setdefault(address, _Receiver(address))
            receiver.jails = jails
            self._supervisor.run(_task(address), partial(self._forward, receiver), every=_EVERY, back_off=_AWAY)

    async def _forward(self, receiver: _Receiver) -> None:
        """Send what there is. Raises as the port's `send_lines`."""
        while True:
            lines, cursors = await self._batch(receiver)
            if not lines:
                return
            await self._sinks.send_lines(receiver.address, lines)
            self._cursors |= cursors
            await self._keep()

    async def _batch(self, receiver: _Receiver) -> tuple[list[Line], dict[str, Cursor]]:
        """Return what is sent next, of each jail a share, and how far they are then."""
        lines, cursors, room = list[Line](), dict[str, Cursor](), _BATCH
        for jail in self._waiting(receiver):
            its, cursors[jail] = await self._of(jail, receiver.jails[jail])
            lines += its
            room -= sum(len(line.text) for line in its)
            if room <= 0:
                receiver.first = [*receiver.jails].index(jail) + 1
                break
        return lines, cursors

    def _waiting(self, receiver: _Receiver) -> Iterator[str]:
        """Yield jails that have something to be sent, beginning with the one after the last that had its turn."""
        ends = {jail: (end, begun) for jail, end, begun in self._logs.jails() if jail in receiver.jails}
        names = [*receiver.jails]
        first = receiver.first % len(names) if names else 0
        for jail in names[first:] + names[:first]:
            end, begun = ends.get(jail, (0, 0))
            cursor = self._cursors.get(jail)
            if cursor is None or jail not in receiver.jails:
                continue
            if begun != self._begun.get(jail, 0):
                self._begun[jail], position = begun, 0
            else:
                position = min(cursor.position, end)  # a power cut may take the end of a log
            if position != cursor.position:
                self._cursors[jail] = msgspec.structs.replace(cursor, position=position)
            if position < end:
                yield jail

    async def _of(self, jail: str, to: Syslog) -> tuple[list[Line], Cursor]:
        """Return a share of what waits of a jail's log, and how far it is then."""
        cursor, found = self._cursors[jail], list[Line]()
        most = self._sinks.line_bytes(to.address)
        cut, written = Lines(cursor.position, most), 0.0

        def lines(ended: Iterable[tuple[int, bytes]]) -> list[Line]:
            like = partial(Line, facility=to.facility, severity=to.severity, tag=to.tag or jail, jail=cursor.uid)
            host = self._inventory.host_name
            return [like(host=host, time=written, position=end, text=text) for end, text in ended]

        async with aclosing(self._logs.marked(jail, cursor.position)) as log:
            async for piece in log:
                if piece.begin > cut.read:
                    found += lines(cut.flush())
                    if found:
                        break  # these first
                    cursor = await self._lost(jail, to, cursor, piece.begin)
                    cut = Lines(piece.begin, most)
                written = piece.by
                ended = cut.take(piece.data)
                for begin in range(0, len(ended), _AT_ONCE):
                    found += lines(ended[begin : begin + _AT_ONCE])
                    await asyncio.sleep(0)
                if cut.position - cursor.position >= _SHARE:
                    break
            else:
                found += lines(cut.flush())  # of a line so long that it was marked before its end
        return found, msgspec.structs.replace(cursor, position=cut.position, sent=cursor.sent + len(found))

    async def _lost(self, jail: str, to: Syslog, cursor: Cursor, begin: int) -> Cursor:
        """Tell that rotation removed what comes before `begin` and was not sent; at once, so that it is told once."""
        gone = begin - cursor.position
        found = msgspec.structs.replace(cursor, position=begin, lost=cursor.lost + gone)
        self._cursors[jail] = found
        what = quantity.count(gone, "byte")
        await self._events.emit(
            LOST, f"jails/{jail}", f"{what} of its log went by rotation before {to.address} took them"
        )
        await self._keep()
        return found

    async def _keep(self) -> None:
        """Write down how far all are: once for all who ask meanwhile."""
        self._changes += 1
        mine = self._changes
        async with self._lock:
            if self._written < mine:
                now = self._changes
                await self._files.write(self._path, msgspec.json.encode(self._cursors))
                self._written = now


def _task(address: str) -> str:
    return f"logs to {address}"
