"""The host's own memory in SQLite: WAL, synchronous=FULL, one thread that owns the connection."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from jaild.adapters import audit_rows, rollout_rows, sink_rows
from jaild.adapters import bounded_log as boundedlog
from jaild.adapters.bounded_log import BoundedLog
from jaild.adapters.files.ballast import Ballast
from jaild.adapters.group_commit import GroupCommit, Write
from jaild.adapters.sqlite_errors import failure, is_full, no_space
from jaild.model.errors import (
    FailedPreconditionError,
)
from jaild.model.evacuation.record import Evacuation
from jaild.model.jails.restarts import RestartRecord
from jaild.model.layers.channels import Channel
from jaild.model.migration.journal import Journal, Trace, trace_of
from jaild.model.operation import Operation
from jaild.model.replication.deleted import DeletedJail
from jaild.model.rollouts.record import Rollout
from jaild.model.sinks.records import DeadLetter, SinkRow
from jaild.model.views import AuditEntry, Drain, Event

SCHEMA = 2  # 1: a rollout had its jails in its own row; a jaild that knows no other would take it for one of none

_TABLES = """
create table if not exists operations (id text primary key, created real not null, record blob not null);
create table if not exists events (sequence integer primary key autoincrement, target text not null,
    record blob not null);
create table if not exists journals (id text not null, outgoing integer not null, created real not null,
    record blob not null, jail text not null default '', uid text not null default '', peer text not null default '',
    epoch integer not null default 0, is_target integer not null default 0, primary key (id, outgoing));
create table if not exists evacuations (id text primary key, created real not null, record blob not null);
create table if not exists channels (id text primary key, created real not null, record blob not null);
create table if not exists deleted_jails (id text primary key, created real not null, record blob not null);
create table if not exists restarts (id text primary key, created real not null, record blob not null);
create table if not exists host (key text primary key, record blob not null);
"""
_TRACE = ", ".join(Trace.__struct_fields__)
_T = TypeVar("_T")
_TRIES = 10
_FREED = 0.5  # seconds between two
_log = structlog.get_logger("jaild.store")


class SqliteStore:
    """`jaild.ports.store.Store` in one file.

    Every method raises `ResourceExhaustedError` (NO_SPACE), `DataLossError` (STORE_DAMAGED), `InternalError`
    (STORE_FAILED), `FailedPreconditionError` (STORE_CLOSED). When the file system is full the ballast is given up for
    all but events and the audit log: these are refused until there is a ballast again.
    """

    def __init__(self, path: Path, ballast: Ballast | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._ballast = ballast
        self._spent = False  # there is a ballast to be made again
        self._pause = pause
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._damaged: dict[str, str] = {}
        self._events = BoundedLog("events", "true", boundedlog.EVENTS)
        self._audits = {
            refused: BoundedLog("audit", f"refused = {int(refused)}", bound)
            for refused, bound in ((False, boundedlog.AUDIT), (True, boundedlog.AUDIT_REFUSED))
        }
        self._writes = GroupCommit((self._events, *self._audits.values()))

    async def open(self) -> None:
        """Open or make the file. `FailedPreconditionError` (STORE_TOO_NEW) if a later jaild wrote it."""
        await self._call(self._open)

    async def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            await self._call(self._connection.close)
        self._thread.shutdown()

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._close_to_others()
        self._spent = self._ballast is not None
        self._connection = self._insist(self._connected)  # a daemon comes back on a full file system too

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("pragma user_version").fetchone()  # before anything is written
        if version > SCHEMA:
            raise FailedPreconditionError(
                "STORE_TOO_NEW",
                f"{self._path} has schema {version}, this jaild knows {SCHEMA}",
                hint="start the jaild that wrote it, or move the file away: jails are on their datasets, not in it",
            )
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        with connection:  # a file that is new, or of an earlier jaild, is made whole in one transaction or not at all
            connection.executescript(
                f"begin immediate; {_TABLES} {audit_rows.TABLE} {rollout_rows.TABLES} {sink_rows.TABLES}"
            )
            audit_rows.prepare(connection)
            _keep_traces(connection)
            for log in (self._events, *self._audits.values()):
                log.measure(connection)
            if version != SCHEMA:  # written, it would take room though it were the same
                connection.execute(f"pragma user_version={SCHEMA}")

    def trouble(self) -> str:
        """Return what is wrong with the room for it; '' for nothing."""
        if self._ballast is None or not self._spent:
            return ""
        return (
            f"the file system of {self._path.parent} is full: the reserve for journals ({self._ballast.path.name}) is"
            " given up, events and audit entries go to the log only"
        )

    def _restore(self) -> None:
        """Make the ballast again, if it was given up and there is room for it."""
        if self._spent and self._ballast is not None:
            with suppress(OSError):  # full again by now, or read-only: the next write says so
                self._spent = not self._ballast.fill()

    def _insist(self, work: Callable[[], _T]) -> _T:
        """Do what must be written down, with the ballast's room if there is no other."""
        try:
            done = work()
        except sqlite3.Error as error:
            if not is_full(error, self._path) or not self._gave_up():
                raise
            self._spent = True
            _log.warning("reserve for journals given up", path=str(self._path.parent))
            done = self._again(work)
        else:
            self._restore()
        return done

    def _gave_up(self) -> bool:
        try:
            return self._ballast is not None and self._ballast.give_up()
        except OSError as error:  # a full copy-on-write file system may refuse a removal too: what was wanted is told
            _log.warning("the reserve for journals cannot be given up", error=str(error))
            return False

    def _again(self, work: Callable[[], _T]) -> _T:
        for _ in range(_TRIES):  # ZFS and soft updates free a file's blocks a moment after its removal
            try:
                return work()
            except sqlite3.Error as error:
                if not is_full(error, self._path):
                    raise
            self._pause(_FREED)
        return work()

    def _close_to_others(self) -> None:
        """Let nobody else read the file: journals hold jails' specs, secrets included.

        SQLite gives its WAL the mode of the file; one that an older jaild left has that jaild's.
        """
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").chmod(0o600)

    async def _call(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise failure(error, self._path) from error

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise FailedPreconditionError("STORE_CLOSED", "the store is not open", hint="call open() first")
        return self._connection

    async def _write(self, write: Write) -> int:
        connection = self._db
        self._writes.add(write)
        return await self._call(lambda: self._writes.turn(write, connection, together=not self._spent))

    def _alone(self, work: Callable[[], int]) -> int:
        return self._writes.transaction(self._db, [work])[0]

    async def _execute(self, statement: str, *values: object) -> int:
        return await self._do(lambda: self._db.execute(statement, values).lastrowid or 0)

    async def _do(self, work: Callable[[], int]) -> int:
        return await self._write(Write(work, lambda: self._insist(lambda: self._alone(work))))

    async def _select(self, statement: str, *values: object) -> list[tuple[int, bytes]]:
        def work() -> list[tuple[int, bytes]]:
            return self._db.execute(statement, values).fetchall()

        return await self._call(work)

    async def _append(self, log: BoundedLog, size: int, statement: str, *values: object) -> int:
        def work() -> int:
            sequence = self._db.execute(statement, values).lastrowid or 0
            log.appended(self._db, size)
            return sequence

        def alone() -> int:
            self._restore()
            if self._spent:
                raise no_space(self._path, self.trouble())
            return self._alone(work)

        return await self._write(Write(work, alone))

    async def put_operation(self, operation: Operation) -> None:
        """Insert or replace."""
        await self._execute(
            "insert or replace into operations (id, created, record) values (?, ?, ?)",
            operation.id,
            operation.created,
            msgspec.json.encode(operation),
        )

    async def operations(self) -> list[Operation]:
        """Return all, oldest first."""
        return await self._all("operations", Operation)

    async def delete_operation(self, operation_id: str) -> None:
        """Forget one."""
        await self._execute("delete from operations where id = ?", operation_id)

    async def append_event(self, time: float, kind: str, target: str, message: str, detail: Mapping[str, str]) -> Event:
        """Append, and return it with its sequence number."""
        event = Event(sequence=0, time=time, kind=kind, target=target, message=message, detail=dict(detail))
        record = msgspec.json.encode(event)
        statement = "insert into events (target, record) values (?, ?)"
        sequence = await self._append(self._events, len(record), statement, target, record)
        return msgspec.structs.replace(event, sequence=sequence)

    async def events(self, after: int, target: str, limit: int) -> list[Event]:
        """Return events after a sequence number, in order."""
        below = f"{target}/"  # not by LIKE, to which a and A are the same
        rows = await self._select(
            "select sequence, record from events where sequence > ?"
            " and (? = '' or target = ? or substr(target, 1, ?) = ?) order by sequence limit ?",
            after,
            target,
            target,
            len(below),
            below,
            limit,
        )
        first = await self._select("select coalesce(min(sequence), 1), x'' from events")
        gap = after >= 0 and first[0][0] > after + 1
        found = [(sequence, self._decoded(record, Event, f"events/{sequence}")) for sequence, record in rows]
        return [
            msgspec.structs.replace(event, sequence=sequence, gap=gap and position == 0)
            for position, (sequence, event) in enumerate(found)
            if event is not None
        ]

    async def last_event(self) -> int:
        """Return the highest sequence number given out."""
        rows = await self._select("select coalesce(max(seq), 0), x'' from sqlite_sequence where name = 'events'")
        return rows[0][0]

    async def append_audit(self, time: float, entry: AuditEntry) -> None:
        """Append."""
        record = msgspec.json.encode(msgspec.structs.replace(entry, time=time))
        refused = entry.outcome not in {"", "OK"}
        await self._append(self._audits[refused], len(record), audit_rows.APPEND, record, int(refused), entry.target)

    async def audit(self, limit: int, before: int) -> list[AuditEntry]:
        """Return entries, newest first."""
        return self._entries(await self._select(audit_rows.PAGE, before, before, limit))

    async def audit_about(self, target: str, limit: int) -> list[AuditEntry]:
        """Return entries about a resource and what is below it, newest first."""
        return self._entries(await self._select(audit_rows.ABOUT, target, limit))

    def _entries(self, rows: list[tuple[int, bytes]]) -> list[AuditEntry]:
        found = [(sequence, self._decoded(record, AuditEntry, f"audit/{sequence}")) for sequence, record in rows]
        return [msgspec.structs.replace(entry, sequence=sequence) for sequence, entry in found if entry is not None]

    async def put_journal(self, journal: Journal) -> None:
        """Insert or replace."""
        columns = f"id, outgoing, created, record, {_TRACE}"
        await self._execute(
            f"insert or replace into journals ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            journal.id,
            int(journal.outgoing),
            journal.created,
            msgspec.json.encode(journal),
            *msgspec.structs.astuple(trace_of(journal)),
        )

    async def journals(self) -> list[Journal]:
        """Return all, oldest first."""
        return await self._all("journals", Journal)

    async def traces(self) -> list[Trace]:
        """Return what is still known of the journals that could not be read."""

        def work() -> list[tuple[object, ...]]:
            return self._db.execute(f"select id, {_TRACE} from journals where uid <> ''").fetchall()  # noqa: S608

        found = []
        for row, *values in await self._call(work):
            if (problem := self._damaged.get(f"journals/{row}")) is not None:
                trace = msgspec.convert(dict(zip(Trace.__struct_fields__, values, strict=True)), Trace, strict=False)
                self._damaged[f"journals/{row}"] = f"jail {trace.jail}, with {trace.peer}: {problem}"
                found.append(trace)
        return found

    async def put_evacuation(self, evacuation: Evacuation) -> None:
        """Insert or replace."""
        await self._execute(
            "insert or replace into evacuations (id, created, record) values (?, ?, ?)",
            evacuation.id,
            evacuation.created,
            msgspec.json.encode(evacuation),
        )

    async def evacuations(self) -> list[Evacuation]:
        """Return all, oldest first."""
        return await self._all("evacuations", Evacuation)

    async def delete_evacuation(self, evacuation_id: str) -> None:
        """Forget one."""
        await self._execute("delete from evacuations where id = ?", evacuation_id)

    async def put_channel(self, channel: Channel) -> None:
        """Insert or replace."""
        await self._execute(
            "insert or replace into channels (id, created, record) values (?, ?, ?)",
            channel.name,
            channel.moves[0].time,
            msgspec.json.encode(channel),
        )

    async def channels(self) -> list[Channel]:
        """Return all."""
        return await self._all("channels", Channel)

    async def delete_channel(self, name: str) -> None:
        """Forget one."""
        await self._execute("delete from channels where id = ?", name)

    async def put_rollout(self, rollout: Rollout, since: Rollout | None = None) -> None:
        """Insert or replace."""
        await self._do(lambda: rollout_rows.put(self._db, rollout, since))

    async def rollouts(self) -> list[Rollout]:
        """Return all, oldest first."""
        return await self._call(lambda: rollout_rows.read(self._db, self._decoded))

    async def delete_rollout(self, rollout_id: str) -> None:
        """Forget one."""
        await self._do(lambda: rollout_rows.delete(self._db, rollout_id))

    async def put_sink(self, row: SinkRow, letter: DeadLetter | None = None) -> int:
        """Insert or replace, with what was given up meanwhile."""
        return await self._do(lambda: sink_rows.put(self._db, row, letter))

    async def sinks(self) -> list[SinkRow]:
        """Return all."""
        return await self._call(lambda: sink_rows.read(self._db, self._decoded))

    async def forget_sink(self, name: str) -> None:
        """Forget how far one has come."""
        await self._do(lambda: sink_rows.forget(self._db, name))

    async def dead_letters(self, sink: str) -> list[DeadLetter]:
        """Return those of a sink."""
        return await self._call(lambda: sink_rows.letters(self._db, self._decoded, sink))

    async def dead_letter_counts(self) -> dict[str, int]:
        """Return how many each sink has."""
        return await self._call(lambda: sink_rows.counts(self._db))

    async def mark_dead_letters(self, marked: Collection[DeadLetter]) -> None:
        """Write down when they were asked for."""
        await self._do(lambda: sink_rows.mark(self._db, marked))

    async def drop_dead_letters(self, numbers: Collection[int]) -> None:
        """Forget letters."""
        await self._do(lambda: sink_rows.drop(self._db, numbers))

    async def put_deleted_jail(self, row: DeletedJail) -> None:
        """Insert or replace."""
        statement = "insert or replace into deleted_jails (id, created, record) values (?, ?, ?)"
        await self._execute(statement, row.uid, row.deleted, msgspec.json.encode(row))

    async def deleted_jails(self) -> list[DeletedJail]:
        """Return all, oldest first."""
        return await self._all("deleted_jails", DeletedJail)

    async def forget_deleted_jail(self, uid: str) -> None:
        """Forget one."""
        await self._execute("delete from deleted_jails where id = ?", uid)

    async def put_restarts(self, row: RestartRecord) -> None:
        """Insert or replace."""
        statement = "insert or replace into restarts (id, created, record) values (?, ?, ?)"
        await self._execute(statement, row.uid, row.ends[-1] if row.ends else 0.0, msgspec.json.encode(row))

    async def restarts(self) -> list[RestartRecord]:
        """Return all."""
        return await self._all("restarts", RestartRecord)

    async def forget_restarts(self, uid: str) -> None:
        """Forget one."""
        await self._execute("delete from restarts where id = ?", uid)

    async def put_boot(self, boot: str) -> None:
        """Remember the host's boot."""
        await self._execute("insert or replace into host (key, record) values ('boot', ?)", boot.encode())

    async def boot(self) -> str:
        """Return what was put last."""
        rows = await self._select("select 0, record from host where key = 'boot'")
        return rows[0][1].decode(errors="replace") if rows else ""

    async def put_drain(self, drain: Drain | None) -> None:
        """Remember that the host takes no jails, or that it does."""
        await self._execute("insert or replace into host (key, record) values ('drain', ?)", msgspec.json.encode(drain))

    async def drain(self) -> Drain | None:
        """Return what was put last."""
        rows = await self._select("select 0, record from host where key = 'drain'")
        if not rows or rows[0][1] == b"null":
            return None
        # One that cannot be read was there for a reason: a host that takes no jails harms nobody.
        unreadable = Drain(since=0.0, actor="", reason="what the store says of it cannot be read")
        return self._decoded(rows[0][1], Drain, "host/drain") or unreadable

    def damaged(self) -> tuple[str, ...]:
        """Return the rows that could not be read, with the reason."""
        return tuple(f"{row}: {problem}" for row, problem in sorted(self._damaged.items()))

    async def _all(self, table: str, kind: type[_T]) -> list[_T]:
        statement = f"select id, record from {table} order by created, id"  # noqa: S608 -- a name of ours
        found = [self._decoded(record, kind, f"{table}/{row}") for row, record in await self._select(statement)]
        return [record for record in found if record is not None]

    def _decoded(self, record: bytes, kind: type[_T], row: str) -> _T | None:
        """Return a row; None if it cannot be read, whatever is in it: it stays, and keeps no other from being read."""
        try:
            return msgspec.json.decode(record, type=kind)
        except Exception as error:  # noqa: BLE001 -- no JSON, another schema, bytes that are no text, no bytes at all
            self._damaged[row] = f"{type(error).__name__}: {error}"
            return None


def _keep_traces(connection: sqlite3.Connection) -> None:
    """Add what is kept beside each journal to rows of a jaild that did not, as far as they can be read."""
    columns = {column[1] for column in connection.execute("pragma table_info(journals)")}
    for field in Trace.__struct_fields__:
        if field not in columns:
            kind = "integer not null default 0" if field in {"epoch", "is_target"} else "text not null default ''"
            connection.execute(f"alter table journals add column {field} {kind}")
    rows = connection.execute("select id, outgoing, record from journals where uid = ''").fetchall()
    for row, outgoing, record in rows:
        with suppress(Exception):  # it cannot be read: told when it is
            trace = msgspec.structs.astuple(trace_of(msgspec.json.decode(record, type=Journal)))
            kept = f"update journals set ({_TRACE}) = (?, ?, ?, ?, ?) where id = ? and outgoing = ?"  # noqa: S608
            connection.execute(kept, (*trace, row, outgoing))
