"""Rollouts on a master's disk: SQLite in its cache, a row for each host, and a lock for whoever carries one out."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from jaild.model.errors import FailedPreconditionError
from jaild.model.rollouts.fleet import FleetRollout, HostStep, Word

_SECONDS = 60.0  # that another process may take to write
_SCHEMA = 1  # of the file: a later one is refused rather than guessed at
_TABLES = """
CREATE TABLE IF NOT EXISTS rollouts (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS hosts (
    rollout TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, step BLOB NOT NULL,
    PRIMARY KEY (rollout, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (
    rollout TEXT NOT NULL, host TEXT NOT NULL, kind TEXT NOT NULL, note BLOB NOT NULL,
    PRIMARY KEY (rollout, host, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    rollout TEXT NOT NULL, wave INTEGER NOT NULL, jobs INTEGER NOT NULL, answers INTEGER NOT NULL,
    PRIMARY KEY (rollout, wave)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS words (
    number INTEGER PRIMARY KEY, rollout TEXT NOT NULL, word TEXT NOT NULL, actor TEXT NOT NULL
) STRICT;
"""


T = TypeVar("T")


class UnknownRolloutError(LookupError):
    """The master knows of no such rollout."""


class Store:
    """A master's rollouts. Only who holds the lock of one writes its hosts.

    Reading raises `FailedPreconditionError`: RECORD_TOO_NEW of what a later jaild wrote, RECORD_DAMAGED of one rollout.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database: sqlite3.Connection | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that is written in the block is on disk after it, or nothing is."""
        database = self._open()
        database.execute("begin immediate")
        try:
            yield
        except BaseException:
            database.execute("rollback")
            raise
        database.execute("commit")

    def rollout(self, rollout: str) -> FleetRollout:
        """Return one, without its hosts. `UnknownRolloutError`."""
        row = self._open().execute("SELECT record FROM rollouts WHERE id = ?", (rollout,)).fetchone()
        if row is None:
            raise UnknownRolloutError(rollout)
        return _decoded(rollout, row[0], FleetRollout)

    def rollouts(self) -> list[FleetRollout]:
        """Return all that can be read, newest first."""
        return sorted(self._all()[0], key=lambda each: (-each.created, each.id))

    def damaged(self) -> dict[str, FailedPreconditionError]:
        """Return those that cannot be read, with what is wrong (RECORD_DAMAGED)."""
        return self._all()[1]

    def _all(self) -> tuple[list[FleetRollout], dict[str, FailedPreconditionError]]:
        found, damaged = [], {}
        for rollout, record in self._open().execute("SELECT id, record FROM rollouts"):
            try:
                found.append(_decoded(rollout, record, FleetRollout))
            except FailedPreconditionError as error:
                damaged[rollout] = error
        return found, damaged

    def steps(self, rollout: str) -> list[HostStep]:
        """Return its hosts, wave after wave."""
        rows = self._open().execute("SELECT step FROM hosts WHERE rollout = ? ORDER BY place", (rollout,))
        return [_decoded(rollout, row[0], HostStep) for row in rows]

    def add(self, rollout: FleetRollout, steps: Iterable[HostStep]) -> None:
        """Write a new one."""
        self.put(rollout)
        rows = ((rollout.id, place, step.name, msgspec.json.encode(step)) for place, step in enumerate(steps))
        self._open().executemany("INSERT INTO hosts VALUES (?, ?, ?, ?)", rows)

    def put(self, rollout: FleetRollout, steps: Iterable[HostStep] = ()) -> None:
        """Write it, and those of its hosts that have changed."""
        record = (rollout.id, msgspec.json.encode(rollout))
        self._open().execute("INSERT OR REPLACE INTO rollouts VALUES (?, ?)", record)
        rows = ((msgspec.json.encode(step), rollout.id, step.name) for step in steps)
        self._open().executemany("UPDATE hosts SET step = ? WHERE rollout = ? AND name = ?", rows)

    def note(self, rollout: str, kind: str, notes: Mapping[str, Any]) -> None:
        """Write what is kept of hosts, by their names, and not needed to carry it out."""
        rows = ((rollout, host, kind, msgspec.json.encode(note)) for host, note in notes.items())
        self._open().executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", rows)

    def notes(self, rollout: str, kind: str, host: str = "") -> dict[str, Any]:
        """Return what is kept of hosts, of all or of one."""
        asked = "SELECT host, note FROM notes WHERE rollout = ? AND kind = ? AND ? IN ('', host) ORDER BY host"
        return {name: msgspec.json.decode(note) for name, note in self._open().execute(asked, (rollout, kind, host))}

    def count(self, rollout: str, wave: int, jobs: int, answers: int) -> None:
        """Add to a wave's messages."""
        self._open().execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET jobs = jobs + excluded.jobs, answers = answers + excluded.answers",
            (rollout, wave, jobs, answers),
        )

    def messages(self, rollout: str) -> dict[int, tuple[int, int]]:
        """Return by wave how many jobs there were, and how many answers."""
        asked = "SELECT wave, jobs, answers FROM messages WHERE rollout = ? ORDER BY wave"
        return {wave: (jobs, answers) for wave, jobs, answers in self._open().execute(asked, (rollout,))}

    def say(self, rollout: str, word: Word, actor: str) -> None:
        """Leave a word for who carries it out."""
        self._open().execute("INSERT INTO words (rollout, word, actor) VALUES (?, ?, ?)", (rollout, word, actor))

    def words(self, rollout: str) -> list[tuple[Word, str]]:
        """Return the words that were left, with who left them."""
        asked = "SELECT word, actor FROM words WHERE rollout = ? ORDER BY number"
        return [(Word(word), actor) for word, actor in self._open().execute(asked, (rollout,))]

    def take_words(self, rollout: str) -> list[tuple[Word, str]]:
        """Return the words that were left, with who left them, and forget them."""
        if found := self.words(rollout):
            self._open().execute("DELETE FROM words WHERE rollout = ?", (rollout,))
        return found

    def forget(self, rollout: str) -> None:
        """Remove all of it."""
        self._open().execute("DELETE FROM rollouts WHERE id = ?", (rollout,))
        for table in ("hosts", "notes", "messages", "words"):
            self._open().execute(f"DELETE FROM {table} WHERE rollout = ?", (rollout,))  # noqa: S608  # of this list
        self._lock(rollout).unlink(missing_ok=True)

    @contextmanager
    def carrying_out(self, rollout: str) -> Iterator[bool]:
        """Hold the lock of one for the block; yield whether it was to be had. No lock outlives its process."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock(rollout).open("a+") as file:
            if not self._take(file, keep=True):
                yield False
                return
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield True

    def carried_out_by(self, rollout: str) -> int | None:
        """Return the process that carries one out; None if none does."""
        with self._lock(rollout).open("a+") as file:
            if self._take(file, keep=False):
                return None
            file.seek(0)
            return int(file.read() or 0)

    def _take(self, lock: IO[str], *, keep: bool) -> bool:
        # One asks at a time: who only looks whether a lock is free would be in the way of who is to take it.
        with (self._folder / "locks").open("a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not keep:
                fcntl.flock(lock, fcntl.LOCK_UN)
            return True

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _lock(self, rollout: str) -> Path:
        return self._folder / f"{rollout}.lock"

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = sqlite3.connect(self._folder / "rollouts.sqlite", timeout=_SECONDS, isolation_level=None)
            _require_known(database)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_TABLES)
            database.execute(f"PRAGMA user_version = {_SCHEMA}")
            self._database = database
        return self._database


def _require_known(database: sqlite3.Connection) -> None:
    try:
        (schema,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        database.close()
        raise FailedPreconditionError(
            "RECORD_DAMAGED",
            f"the rollouts of this master cannot be read: {error}",
            hint="its hosts say what goes on: jailctl rollout ls; move the cachedir's jaild/rollouts.sqlite away",
        ) from error
    if schema > _SCHEMA:
        database.close()
        raise FailedPreconditionError(
            "RECORD_TOO_NEW",
            f"a later jaild wrote the rollouts of this master (schema {schema}, known is {_SCHEMA})",
            hint="install that one again on the master",
        )


def _decoded(rollout: str, record: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(record, type=kind)
    except msgspec.DecodeError as error:
        raise FailedPreconditionError(
            "RECORD_DAMAGED",
            f"rollout {rollout} cannot be read: {error}",
            hint=f"its hosts say what they do: jailctl rollout ls; then salt-run jaild_rollout.forget {rollout}",
        ) from error
